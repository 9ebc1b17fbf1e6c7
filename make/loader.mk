# The dylib for macOS, executed: test/apple/loader maps its x86_64 slice on Linux and runs the bridge's native tests on it.

LOADER := $(OUT)/loader
LOADER_SOURCES := $(filter-out %_main.m %_test.c %_test.m test/apple/loader/bridge_stubs.S,$(wildcard test/apple/loader/*.[cmS]))
LOADER_LIBRARY_OBJECTS := $(call object,$(LOADER_SOURCES))
LOADER_OBJECTS := $(LOADER_LIBRARY_OBJECTS) $(LOADER)/obj/bridge_stubs.o
LOADER_TESTS := $(wildcard $(foreach d,test/native test/apple/loader,$(d)/bridge_*_test.[cm]))
LOADER_PROGRAMS := $(patsubst %_test,$(LOADER)/%,$(basename $(notdir $(LOADER_TESTS)))) $(LOADER)/generate
vpath bridge_%_test.c test/native test/apple/loader
vpath bridge_%_test.m test/native test/apple/loader

# The x86_64 members of the static libraries, each linked as the application would that takes all of them.
LOADER_STATIC_PLATFORMS := macos ios-simulator tvos-simulator
LOADER_STATIC := $(LOADER_STATIC_PLATFORMS:%=$(LOADER)/static-%.dylib)

.PHONY: loader-tests
test-artifacts: loader-tests
ifeq ($(OS)-$(ARCH),linux-x86_64)
loader-tests: $(DIST)/darwin/bun-metal.dylib $(LOADER_PROGRAMS) $(LOADER_STATIC) $(LOADER)/cases $(LOADER)/cases.dylib ## build the programs that run the dylib for macOS on Linux
	@:
else
loader-tests:
	@echo "The loader's tests are for x86_64 Linux"
endif

# The functions of bun_metal.h, as lines of bridge_stubs.S.
$(LOADER)/obj/bridge_exports.inc: bridge/bun_metal.h
	@mkdir -p $(dir $@) && sed -n 's/^BM_EXPORT.*[ *]\(bm_[a-z0-9_]*\)(.*/EXPORT \1/p' $< > $@

$(LOADER)/obj/bridge_stubs.o: test/apple/loader/bridge_stubs.S $(LOADER)/obj/bridge_exports.inc
	@$(CLANG) -I$(dir $@) -Wa,-I$(dir $@) -c $< -o $@

# A test's main becomes a function that bridge_main.m calls.
$(LOADER)/obj/%_test.o: %_test.c Makefile | $(LINKED_HEADERS)
	@echo "  compile $< (for the loader)"
	@$(call compile,-Itest/native -Dmain=bridgeTest)
$(LOADER)/obj/%_test.o: %_test.m Makefile | $(LINKED_HEADERS)
	@echo "  compile $< (for the loader)"
	@$(call compile,-Itest/native -Dmain=bridgeTest)

$(LOADER)/bridge_%: $(LOADER)/obj/bridge_%_test.o $(call object,test/apple/loader/bridge_main.m) $(LOADER_OBJECTS) $(LAYER_OBJECTS) $(OUT)/metal/.stamp
	@echo "  link    $@"
	@$(CLANG) $(filter %.o,$^) -fuse-ld=lld -lobjc -lpthread -ldl -lm -o $@

# The program that drives models: an application, whose calls go to the dylib.
$(LOADER)/obj/generate.o: test/model/generate.c Makefile
	@echo "  compile $< (for the loader)"
	@$(call compile,-Dmain=bridgeTest)
$(LOADER)/generate: $(LOADER)/obj/generate.o $(call object,test/apple/loader/bridge_main.m) $(LOADER_OBJECTS) $(LAYER_OBJECTS) $(OUT)/metal/.stamp
	@echo "  link    $@"
	@$(CLANG) $(filter %.o,$^) -fuse-ld=lld -lobjc -lpthread -ldl -lm -o $@

# ---- the loader's own cases: small libraries for macOS ---------------------------------------------------------------

LOADER_CASES := $(patsubst test/apple/loader/cases/%,$(LOADER)/obj/cases/%.o,$(wildcard test/apple/loader/cases/*.[cm]))

$(LOADER)/cases: $(call object,test/apple/loader/cases_main.m) $(LOADER_LIBRARY_OBJECTS) $(LAYER_OBJECTS)
	@echo "  link    $@"
	@$(CLANG) $(filter %.o,$^) -fuse-ld=lld -lobjc -lpthread -ldl -lm -o $@

# Frames without a frame pointer have other unwind information.
$(LOADER)/obj/cases/frames.m.o: LOADER_CASE_CFLAGS := -fomit-frame-pointer
$(LOADER)/obj/cases/%.o: test/apple/loader/cases/% Makefile make/loader.mk
	@echo "  compile $< (macos x86_64)"
	@mkdir -p $(dir $@) && $(CLANG) -target x86_64-$(TARGET_macos) $(APPLE_CFLAGS) $(if $(filter %.m,$<),$(APPLE_OBJCFLAGS)) $(LOADER_CASE_CFLAGS) -c $< -o $@

$(LOADER)/sdk/.stamp: test/apple/loader/cases/symbols.txt apple/stubs.awk
	@rm -rf $(@D) && mkdir -p $(@D)
	@awk -v platform=macos -v architectures=x86_64 -v sdk=$(@D) -f apple/stubs.awk $< && touch $@

$(LOADER)/cases.dylib: $(LOADER_CASES) $(LOADER)/sdk/.stamp
	@echo "  link    $@"
	@$(CLANG) -target x86_64-$(TARGET_macos) -fuse-ld=lld -isysroot $(LOADER)/sdk -dynamiclib \
	  -install_name @rpath/cases.dylib $(LOADER_CASES) -lobjc -framework Foundation -framework CoreFoundation -o $@

# ---- the static libraries of the .xcframework ------------------------------------------------------------------------

# 1: architecture, 2: platform
define loader_static
	@echo "  link    $@"
	@mkdir -p $(@D) && $(CLANG) -target $(1)-$(TARGET_$(2)) -fuse-ld=lld -isysroot $(APPLE_OUT)/$(2)/sdk -dynamiclib \
	  -Wl,-all_load -Wl,-fixup_chains -install_name @rpath/static.dylib $(call apple_folder,$(2))/libBunMetal.a \
	  -lobjc -framework Foundation -framework CoreFoundation -framework Metal -framework CoreGraphics -o $@
endef
$(LOADER)/static-%.dylib: $(APPLE_XCFRAMEWORK)/Info.plist $(APPLE_OUT)/%/sdk/.stamp
	$(call loader_static,x86_64,$*)

# ---- the slice for arm64, on the other architecture's Metal layer, to be run by QEMU ----------------------------------

ifeq ($(FOREIGN),linux-arm64)
LOADER_ARM := $(DIST_BUILD)/linux-arm64/loader
LOADER_ARM_PROGRAMS := $(patsubst $(LOADER)/%,$(LOADER_ARM)/%,$(LOADER_PROGRAMS))
loader_arm_objects = $(patsubst %,$(DIST_BUILD)/linux-arm64/obj/%.o,$(1))
LOADER_ARM_OBJECTS := $(call loader_arm_objects,$(LOADER_SOURCES) $(LAYER)) $(call native_objects,aarch64)
loader_arm_compile = mkdir -p $(dir $@) && $(CLANG) $(call DIST_CFLAGS,$(FOREIGN_TRIPLE)) $(if $(filter %.m,$<),$(OBJCFLAGS)) $(1) -c $< -o $@

LOADER_ARM_STATIC := $(patsubst %,$(LOADER_ARM)/static-%.dylib,macos ios tvos)

.PHONY: loader-tests-arm64
foreign-tests: loader-tests-arm64
loader-tests-arm64: $(APPLE_DYLIB) $(LOADER_ARM_PROGRAMS) $(LOADER_ARM_STATIC) $(LOADER_ARM)/cases $(LOADER_ARM)/cases.dylib ## build the same for the dylib's arm64 slice, to be run by QEMU
	@:

$(LOADER_ARM)/metal: | dist-linux-arm64
	@mkdir -p $(dir $@) && ln -sfn $(CURDIR)/dist/linux-arm64/metal $@

$(LOADER_ARM)/obj/%_test.o: %_test.c Makefile | $(DIST_BUILD)/include/objc
	@echo "  compile $< (for the loader, linux-arm64)"
	@$(call loader_arm_compile,-Itest/native -Dmain=bridgeTest)
$(LOADER_ARM)/obj/%_test.o: %_test.m Makefile | $(DIST_BUILD)/include/objc
	@echo "  compile $< (for the loader, linux-arm64)"
	@$(call loader_arm_compile,-Itest/native -Dmain=bridgeTest)
$(LOADER_ARM)/obj/generate.o: test/model/generate.c Makefile
	@echo "  compile $< (for the loader, linux-arm64)"
	@$(call loader_arm_compile,-Dmain=bridgeTest)
$(LOADER_ARM)/obj/bridge_stubs.o: test/apple/loader/bridge_stubs.S $(LOADER)/obj/bridge_exports.inc
	@mkdir -p $(dir $@) && $(CLANG) --target=$(FOREIGN_TRIPLE) -Wa,-I$(LOADER)/obj -c $< -o $@

$(LOADER_ARM)/bridge_%: $(LOADER_ARM)/obj/bridge_%_test.o $(LOADER_ARM)/obj/bridge_stubs.o $(call loader_arm_objects,test/apple/loader/bridge_main.m) $(LOADER_ARM_OBJECTS) | $(LOADER_ARM)/metal
	$(FOREIGN_LINK)
$(LOADER_ARM)/generate: $(LOADER_ARM)/obj/generate.o $(LOADER_ARM)/obj/bridge_stubs.o $(call loader_arm_objects,test/apple/loader/bridge_main.m) $(LOADER_ARM_OBJECTS) | $(LOADER_ARM)/metal
	$(FOREIGN_LINK)
$(LOADER_ARM)/cases: $(call loader_arm_objects,test/apple/loader/cases_main.m) $(LOADER_ARM_OBJECTS) | $(LOADER_ARM)/metal
	$(FOREIGN_LINK)

$(LOADER_ARM)/obj/cases/frames.m.o: LOADER_CASE_CFLAGS := -fomit-frame-pointer
$(LOADER_ARM)/obj/cases/%.o: test/apple/loader/cases/% Makefile make/loader.mk
	@echo "  compile $< (macos arm64)"
	@mkdir -p $(dir $@) && $(CLANG) -target arm64-$(TARGET_macos) $(APPLE_CFLAGS) $(if $(filter %.m,$<),$(APPLE_OBJCFLAGS)) $(LOADER_CASE_CFLAGS) -c $< -o $@
$(LOADER_ARM)/sdk/.stamp: test/apple/loader/cases/symbols.txt apple/stubs.awk
	@rm -rf $(@D) && mkdir -p $(@D)
	@awk -v platform=macos -v architectures=arm64 -v sdk=$(@D) -f apple/stubs.awk $< && touch $@
$(LOADER_ARM)/cases.dylib: $(patsubst $(LOADER)/%,$(LOADER_ARM)/%,$(LOADER_CASES)) $(LOADER_ARM)/sdk/.stamp
	@echo "  link    $@"
	@$(CLANG) -target arm64-$(TARGET_macos) -fuse-ld=lld -isysroot $(LOADER_ARM)/sdk -dynamiclib \
	  -install_name @rpath/cases.dylib $(filter %.o,$^) -lobjc -framework Foundation -framework CoreFoundation -o $@
$(LOADER_ARM)/static-%.dylib: $(APPLE_XCFRAMEWORK)/Info.plist $(APPLE_OUT)/%/sdk/.stamp
	$(call loader_static,arm64,$*)
endif

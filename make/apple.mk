# What ships for Apple's systems: one universal dylib for macOS, which Bun and Deno open, and an .xcframework of static
# libraries, which applications link. On a Mac, Xcode's SDKs compile and link it; elsewhere clang and lld do, with the
# headers of apple/ and bridge/linux and with stub libraries made from apple/symbols.txt.

DIST := dist
APPLE_OUT := build/apple
APPLE_PLATFORMS := macos ios ios-simulator tvos tvos-simulator

# Of each platform: architectures, the target's name after the architecture, Xcode's name of the SDK, and the oldest
# system that runs compiled shaders (MSL 3.0), where older ones than that compile their source.
ARCHITECTURES_macos := arm64 x86_64
ARCHITECTURES_ios := arm64
ARCHITECTURES_ios-simulator := arm64 x86_64
ARCHITECTURES_tvos := arm64
ARCHITECTURES_tvos-simulator := arm64 x86_64
TARGET_macos := apple-macos13.0
TARGET_ios := apple-ios15.0
TARGET_ios-simulator := apple-ios15.0-simulator
TARGET_tvos := apple-tvos15.0
TARGET_tvos-simulator := apple-tvos15.0-simulator
SDK_macos := macosx
SDK_ios := iphoneos
SDK_ios-simulator := iphonesimulator
SDK_tvos := appletvos
SDK_tvos-simulator := appletvsimulator
METAL_macos := -mmacosx-version-min=13.0
METAL_ios := -mios-version-min=16.0
METAL_ios-simulator := -mios-simulator-version-min=16.0
METAL_tvos := -mtvos-version-min=16.0
METAL_tvos-simulator := -mtvos-simulator-version-min=16.0

APPLE_SOURCES := $(wildcard $(foreach d,bridge bridge/model,$(d)/*.m $(d)/*.c))
APPLE_CFLAGS := -std=gnu11 -O2 -fvisibility=hidden -fblocks -fexceptions -fno-omit-frame-pointer \
  -ffile-prefix-map=$(CURDIR)=. -MMD -MP $(WARNINGS) -Ibridge
APPLE_OBJCFLAGS := -fno-objc-arc -fobjc-exceptions
APPLE_LDFLAGS := -dynamiclib -install_name @rpath/bun-metal.dylib -current_version 1.0 -compatibility_version 1.0 \
  -Wl,-dead_strip -Wl,-adhoc_codesign -lobjc -framework Foundation -framework CoreFoundation -framework Metal \
  -framework CoreGraphics

# What differs between Xcode's tools and LLVM's: the compiler for a platform ($(1)), the two archivers, what signs the
# joined file ($(1)), whether there is Metal's compiler, and whether there are SDKs of all platforms.
ifeq ($(OS),darwin)
  apple_clang = xcrun -sdk $(SDK_$(1)) clang
  APPLE_LIPO := xcrun lipo
  APPLE_LIBTOOL := ZERO_AR_DATE=1 xcrun libtool
  apple_sign = codesign --force --sign - $(1)
  APPLE_METAL := $(shell xcrun -f metal 2>/dev/null)
  APPLE_SDKS := $(shell xcrun -sdk iphoneos --show-sdk-path 2>/dev/null && xcrun -sdk appletvos --show-sdk-path 2>/dev/null)
else
  llvm_tool = $(or $(firstword $(foreach t,$(1)$(patsubst clang%,%,$(notdir $(CLANG))) $(1)-19 $(1),$(shell command -v $(t) 2>/dev/null))),$(1))
  apple_clang = $(CLANG)
  APPLE_CFLAGS += -nostdlibinc -isystem apple/include -Ibridge/linux
  APPLE_LDFLAGS += -fuse-ld=lld -isysroot $(APPLE_OUT)/macos/sdk
  APPLE_STUBS := $(APPLE_OUT)/macos/sdk/.stamp
  APPLE_SDKS := apple/symbols.txt
  APPLE_LIPO = $(call llvm_tool,llvm-lipo)
  APPLE_LIBTOOL = $(call llvm_tool,llvm-libtool-darwin)
  # The linker has signed each slice, and joining them leaves that as it is.
  apple_sign = :
endif

APPLE_DYLIB := $(DIST)/darwin/bun-metal.dylib
APPLE_XCFRAMEWORK := $(DIST)/BunMetal.xcframework

.PHONY: dist-apple apple-stubs metallib
dist-apple: $(APPLE_DYLIB) ## build the dylib for macOS and the .xcframework into dist/
ifneq ($(APPLE_SDKS),)
dist-apple: $(APPLE_XCFRAMEWORK)/Info.plist
else
dist-apple:
	@echo "dist-apple: no SDKs for iOS and tvOS are here, which come with Xcode: the .xcframework is left out"
endif
test-artifacts: dist-apple $(if $(APPLE_STUBS),apple-stubs)

# The objects of one platform ($(1)) and architecture ($(2)).
apple_objects = $(patsubst %,$(APPLE_OUT)/$(1)/$(2)/%.o,$(APPLE_SOURCES))
define apple_objects_rule
$(APPLE_OUT)/$(1)/$(2)/%.o: % Makefile make/apple.mk
	@echo "  compile $$< ($(1) $(2))"
	@mkdir -p $$(dir $$@) && $$(call apple_clang,$(1)) -target $(2)-$(TARGET_$(1)) $$(APPLE_CFLAGS) \
	  $$(if $$(filter %.m,$$<),$$(APPLE_OBJCFLAGS)) -c $$< -o $$@
endef
$(foreach p,$(APPLE_PLATFORMS),$(foreach a,$(ARCHITECTURES_$(p)),$(eval $(call apple_objects_rule,$(p),$(a)))))

# The stub libraries of a platform, where there is no SDK. The tests link static libraries against them.
apple-stubs: $(APPLE_PLATFORMS:%=$(APPLE_OUT)/%/sdk/.stamp)
$(APPLE_OUT)/%/sdk/.stamp: apple/symbols.txt apple/stubs.awk
	@echo "  stubs   $(@D)"
	@rm -rf $(@D) && mkdir -p $(@D)
	@awk -v platform=$* -v architectures="$(ARCHITECTURES_$*)" -v sdk=$(@D) -f apple/stubs.awk apple/symbols.txt
	@touch $@

# ---- shaders that are compiled before they ship ----------------------------------------------------------------------

# A metallib is of one platform. The dylib carries its own as a section; beside a static library lies one for
# applications to take along.
apple_metallib = $(if $(APPLE_METAL),$(DIST)/$(1)/shaders.metallib)

define apple_metallib_rule
$(APPLE_OUT)/$(1)/%.air: % $(wildcard shaders/*.h) make/apple.mk
	@echo "  metal   $$< ($(1))"
	@mkdir -p $$(dir $$@) && xcrun -sdk $(SDK_$(1)) metal -std=metal3.0 $(METAL_$(1)) -fno-fast-math -Wall -c $$< -o $$@
$(DIST)/$(1)/shaders.metallib: $(patsubst %,$(APPLE_OUT)/$(1)/%.air,$(sort $(wildcard shaders/*.metal)))
	@echo "  metallib $$@"
	@mkdir -p $$(dir $$@) && xcrun -sdk $(SDK_$(1)) metallib $$^ -o $$@
endef
$(foreach p,$(APPLE_PLATFORMS),$(eval $(call apple_metallib_rule,$(p))))

ifneq ($(filter-out $(APPLE_PLATFORMS),$(PLATFORM)),)
metallib:
	@echo 'metallib: there is no platform "$(PLATFORM)"; there are: $(APPLE_PLATFORMS)' >&2; exit 2
else ifeq ($(APPLE_METAL),)
metallib:
	@echo "metallib: skipped, as there is no Xcode with Metal's compiler here: shaders are compiled from source at run time"
else
metallib: $(foreach p,$(or $(PLATFORM),$(APPLE_PLATFORMS)),$(call apple_metallib,$(p)))
endif
metallib: ## compile the shaders for PLATFORM=macos, ios, ios-simulator, tvos or tvos-simulator (with Xcode)

# ---- the dylib -------------------------------------------------------------------------------------------------------

define apple_slice_rule
$(APPLE_OUT)/macos/$(1)/bun-metal.dylib: $(call apple_objects,macos,$(1)) $(call apple_metallib,macos) $(APPLE_STUBS)
	@echo "  link    $$@"
	@$$(call apple_clang,macos) -target $(1)-$(TARGET_macos) $$(filter %.o,$$^) $$(APPLE_LDFLAGS) \
	  $$(patsubst %,-Wl$$(comma)-sectcreate$$(comma)__DATA$$(comma)__bm_metallib$$(comma)%,$$(filter %.metallib,$$^)) -o $$@
endef
comma := ,
$(foreach a,$(ARCHITECTURES_macos),$(eval $(call apple_slice_rule,$(a))))

$(APPLE_DYLIB): $(ARCHITECTURES_macos:%=$(APPLE_OUT)/macos/%/bun-metal.dylib)
	@echo "  join    $@"
	@mkdir -p $(@D) && $(APPLE_LIPO) -create $^ -output $@ && $(call apple_sign,$@)

# ---- the .xcframework ------------------------------------------------------------------------------------------------

# The folder of a platform, as ios-arm64_x86_64-simulator.
apple_folder = $(APPLE_XCFRAMEWORK)/$(firstword $(subst -, ,$(1)))-$(subst $() ,_,$(ARCHITECTURES_$(1)))$(patsubst $(firstword $(subst -, ,$(1)))%,%,$(1))

# Beside the library lie its header and module map, and the shaders' source as one file.
define apple_folder_rule
$(2)/libBunMetal.a: $(foreach a,$(ARCHITECTURES_$(1)),$(call apple_objects,$(1),$(a)))
	@echo "  archive $$@"
	@mkdir -p $$(dir $$@) && $$(APPLE_LIBTOOL) -static -D -o $$@ $$^
$(2)/Headers/bun_metal.h: bridge/bun_metal.h
	@mkdir -p $$(dir $$@) && cp $$< $$@
$(2)/Headers/module.modulemap: apple/module.modulemap
	@mkdir -p $$(dir $$@) && cp $$< $$@
$(2)/Shaders/bun_metal.metal: scripts/shader_source.sh $(wildcard shaders/*.metal shaders/*.h)
	@mkdir -p $$(dir $$@) && sh $$< $(sort $(wildcard shaders/*.metal)) >$$@
$(2)/Shaders/shaders.metallib: $(DIST)/$(1)/shaders.metallib
	@mkdir -p $$(dir $$@) && cp $$< $$@
$(APPLE_XCFRAMEWORK)/Info.plist: $(2)/libBunMetal.a $(2)/Headers/bun_metal.h $(2)/Headers/module.modulemap \
  $(2)/Shaders/bun_metal.metal $(if $(APPLE_METAL),$(2)/Shaders/shaders.metallib)
endef
$(foreach p,$(APPLE_PLATFORMS),$(eval $(call apple_folder_rule,$(p),$(call apple_folder,$(p)))))

$(APPLE_XCFRAMEWORK)/Info.plist: apple/info_plist.sh make/apple.mk
	@echo "  write   $@"
	@sh apple/info_plist.sh $(foreach p,$(APPLE_PLATFORMS),"$(p): $(ARCHITECTURES_$(p))") >$@

-include $(shell find $(APPLE_OUT) -name '*.d' 2>/dev/null)

# What ships for Linux, and the npm package. Apple's part is apple.mk's.
#
# dist/linux-x64 and dist/linux-arm64 hold the native library, GCC's Objective-C runtime, which it needs beside it, the
# compiled shaders, one file per instruction level, and the headers for compiling MSL at run time; dist/cuda holds the
# shaders for CUDA devices and the kernels that stand in for them, which are the same for both. Nothing in them depends on
# the building machine or the directory: two builds give the same bytes. The other architecture is cross-compiled against
# Debian's packages for that (scripts/deps.sh dist).

.PHONY: dist dist-artifacts dist-linux package package-tarball foreign-tests test-dist test-dist-artifacts

DIST_PLATFORMS := linux-x64 linux-arm64
DIST_TRIPLE_linux-x64 := x86_64-linux-gnu
DIST_TRIPLE_linux-arm64 := aarch64-linux-gnu
# Files are named after the level, those of the only level of a kind after the kind.
DIST_SHADERS_linux-x64 := x86-64-v2 x86-64-v3 x86-64-v4
DIST_SHADERS_linux-arm64 := aarch64
DIST_LEVEL_aarch64 := armv8-a
DIST_CUDA := dist/cuda/shaders.metallib dist/cuda/native.kernels
# The newest glibc whose symbols may be needed: that of Debian 12, Ubuntu 22.04 and Red Hat 9 or older.
DIST_GLIBC := 2.34

DIST_BUILD := build/dist
DIST_CFLAGS = --target=$(1) $(filter-out -g -I$(OUT)/include,$(CFLAGS)) -g0 -I$(DIST_BUILD)/include \
              -ffile-prefix-map=$(CURDIR)=. -fno-ident
DIST_LDFLAGS = --target=$(1) $(filter-out -lobjc,$(LDFLAGS)) -l:libobjc.so.4 -L$(dir $(call dist_libobjc,$(1))) \
               -Wl,-rpath,'$$ORIGIN' -Wl,--strip-all -Wl,--build-id=sha1 \
               -Wl,--version-script=bridge/linux/exports.map
# Where Debian has the runtime of an architecture: the machine's own, or the one for cross-compiling.
dist_libobjc = $(firstword $(wildcard /usr/lib/$(1)/libobjc.so.4 /usr/$(1)/lib/libobjc.so.4))
dist_native_objects = $(call native_objects,$(firstword $(subst -, ,$(DIST_TRIPLE_$(1)))))

dist: ## build what ships, for Linux and Apple, into dist/
	@BUN_TOOLS='$(TOOLS)' sh scripts/deps.sh dist
	@$(MAKE) --no-print-directory dist-artifacts

ifeq ($(OS),linux)
dist-artifacts: dist-linux
else
dist-artifacts:
	@echo "  dist    the libraries for Linux are built on Linux: left out"
endif
ifneq ($(wildcard make/apple.mk),)
dist-artifacts: dist-apple
endif

dist-linux: $(foreach p,$(DIST_PLATFORMS),dist-$(p))

# Whether the machine's own shaders are of this level ($(1)), which a library says in its text, and no older than what they are
# made of ($(2)).
dist_has_shaders = test -f $(OUT)/shaders.metallib && test -z "$$(find $(2) -newer $(OUT)/shaders.metallib)" && \
  test "$$(grep -aoE 'x86-64-v[2-4]|armv8-a' $(OUT)/shaders.metallib | sort -u)" = $(1)

# 1: platform
define dist_platform
.PHONY: dist-$(1)
dist-$(1): dist/$(1)/libbun_metal.so dist/$(1)/libobjc.so.4 dist/$(1)/libobjc.LICENSE.txt $(DIST_BUILD)/$(1)/metal.stamp \
           $(foreach s,$(DIST_SHADERS_$(1)),dist/$(1)/shaders-$(s).metallib) $(DIST_CUDA)

$(DIST_BUILD)/$(1)/obj/%.o: % Makefile make/dist.mk | $(DIST_BUILD)/include/objc
	@echo "  compile $$< ($(1))"
	@mkdir -p $$(dir $$@) && $$(CLANG) $$(call DIST_CFLAGS,$(DIST_TRIPLE_$(1))) $$(if $$(filter %.m,$$<),$$(OBJCFLAGS)) -c $$< -o $$@

dist/$(1)/libbun_metal.so: $(patsubst %,$(DIST_BUILD)/$(1)/obj/%.o,$(BRIDGE) $(LAYER)) $(call dist_native_objects,$(1)) bridge/linux/exports.map | dist/$(1)/libobjc.so.4
	@echo "  link    $$@"
	@$$(CLANG) $$(filter %.o,$$^) $$(call DIST_LDFLAGS,$(DIST_TRIPLE_$(1))) -o $$@
	@sh scripts/dist_glibc.sh $(DIST_GLIBC) $$@ dist/$(1)/libobjc.so.4

dist/$(1)/libobjc.so.4: $$(call dist_libobjc,$(DIST_TRIPLE_$(1)))
	@mkdir -p $$(dir $$@) && install -m 644 $$< $$@

dist/$(1)/libobjc.LICENSE.txt: scripts/libobjc_license.sh dist/$(1)/libobjc.so.4
	@sh $$< $$(call dist_libobjc,$(DIST_TRIPLE_$(1))) >$$@

$(DIST_BUILD)/$(1)/metal.stamp: $(MSL_HEADERS)
	@$$(call install_msl_headers,dist/$(1)/metal) && mkdir -p $$(dir $$@) && touch $$@

# Those for this machine's level may be there.
dist/$(1)/shaders-%.metallib: $(wildcard shaders/*.metal shaders/*.h) $(OUT)/mslc
	@echo "  mslc    $$@"
	@mkdir -p $$(dir $$@) && if $$(call dist_has_shaders,$$(or $$(DIST_LEVEL_$$*),$$*),$$^); then cp $(OUT)/shaders.metallib $$@; else \
	  $(OUT)/mslc --target $$(or $$(DIST_LEVEL_$$*),$$*) $(sort $(wildcard shaders/*.metal)) -o $$@; fi
endef
$(foreach p,$(DIST_PLATFORMS),$(eval $(call dist_platform,$(p))))

dist/cuda/%: build/cuda/%
	@mkdir -p $(@D) && cp $< $@

# The headers of GCC's Objective-C runtime are the same for every architecture.
$(DIST_BUILD)/include/objc: $(OBJC_HEADERS)
	@mkdir -p $(dir $@) && ln -sfn $< $@

-include $(shell find $(DIST_BUILD) -name '*.d' 2>/dev/null)

# JavaScript of the TypeScript sources, for runtimes that do not take TypeScript from packages, and its declarations.
dist/js/mod.js: $(shell find mod.ts src -name '*.ts') tsconfig.json scripts/tsconfig.package.json node_modules/.stamp
	@echo "  tsc     dist/js"
	@rm -rf dist/js && $(BUN) x tsc -p scripts/tsconfig.package.json && touch $@

package: dist bun-deps ## pack the npm package into dist/
	@$(MAKE) --no-print-directory package-tarball
package-tarball: dist/js/mod.js
	@rm -f dist/bun-metal-*.tgz
	@npm pack --silent --ignore-scripts --pack-destination dist | sed 's|^|  pack    dist/|'

# The native tests of the architecture that this machine is not, to be run by QEMU: but for those that need the library that
# stands for CUDA's driver, which is of this machine's.
FOREIGN := $(if $(filter x86_64,$(ARCH)),linux-arm64,linux-x64)
FOREIGN_TRIPLE := $(DIST_TRIPLE_$(FOREIGN))
FOREIGN_TESTS := $(patsubst $(OUT)/native/%,$(DIST_BUILD)/$(FOREIGN)/native/%,$(filter-out $(CUDA_TESTS),$(NATIVE_TESTS)))
.SECONDARY: $(patsubst %,$(DIST_BUILD)/$(FOREIGN)/obj/%.o,$(wildcard test/native/*_test.m test/native/*_test.c))
foreign-tests: $(FOREIGN_TESTS)
	@:

$(DIST_BUILD)/$(FOREIGN)/metal: dist-$(FOREIGN)
	@ln -sfn $(CURDIR)/dist/$(FOREIGN)/metal $@

FOREIGN_LINK = @echo "  link    $@" && mkdir -p $(dir $@) && $(CLANG) --target=$(FOREIGN_TRIPLE) $(filter %.o,$^) -fuse-ld=lld \
               -L$(dir $(call dist_libobjc,$(FOREIGN_TRIPLE))) -l:libobjc.so.4 -lpthread -ldl -lm -o $@
FOREIGN_OBJECTS := $(patsubst %,$(DIST_BUILD)/$(FOREIGN)/obj/%.o,$(BRIDGE) $(LAYER)) $(call dist_native_objects,$(FOREIGN))
$(DIST_BUILD)/$(FOREIGN)/native/%: $(DIST_BUILD)/$(FOREIGN)/obj/test/native/%_test.m.o $(FOREIGN_OBJECTS) | $(DIST_BUILD)/$(FOREIGN)/metal
	$(FOREIGN_LINK)
$(DIST_BUILD)/$(FOREIGN)/native/%: $(DIST_BUILD)/$(FOREIGN)/obj/test/native/%_test.c.o $(FOREIGN_OBJECTS) | $(DIST_BUILD)/$(FOREIGN)/metal
	$(FOREIGN_LINK)

test-dist: test-dist-artifacts ## test what ships: packages, reproducibility, the other architecture under QEMU
	@$(MAKE) --no-print-directory --output-sync=target $(DIST_CHECKS:%=check-%)

# All that these tests run, and what `make test` builds: so that both can run beside each other and nothing is built twice.
test-dist-artifacts: bun-deps
	@BUN_TOOLS='$(TOOLS)' sh scripts/deps.sh test-dist
	@$(MAKE) --no-print-directory deno-deps
	@$(MAKE) --no-print-directory artifacts test-artifacts dist-artifacts foreign-tests dist/js/mod.js
	@$(MAKE) --no-print-directory package-tarball

# One process for each file: they run side by side.
DIST_CHECKS := $(patsubst test/dist/%.check.ts,%,$(wildcard test/dist/*.check.ts))
.PHONY: $(DIST_CHECKS:%=check-%)
$(DIST_CHECKS:%=check-%): check-%:
	@DENO='$(DENO)' $(BUN) test --timeout 600000 ./test/dist/$*.check.ts $(ARGS)

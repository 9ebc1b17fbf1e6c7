# What ships for Apple's systems: one universal dylib for macOS, which Bun and Deno open, and an .xcframework of static
# libraries, which applications link. On a Mac, Xcode's SDKs compile and link it; elsewhere clang and lld do, with the
# headers of apple/ and bridge/linux and with stub libraries made from apple/symbols.txt.

DIST := dist
APPLE_OUT := build/apple
APPLE_PLATFORMS := macos ios ios-simulator tvos tvos-simulator

# Of each platform: architectures, what follows the architecture in a target's name, and Xcode's name of the SDK.
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

APPLE_SOURCES := $(wildcard bridge/*.m bridge/model/*.m)
APPLE_CFLAGS := -std=gnu11 -O2 -fvisibility=hidden -fblocks -fexceptions -fno-objc-arc -fobjc-exceptions \
  -fno-omit-frame-pointer -ffile-prefix-map=$(CURDIR)=. -MMD -MP $(WARNINGS) -Ibridge
APPLE_LDFLAGS := -dynamiclib -install_name @rpath/bun-metal.dylib -current_version 1.0 -compatibility_version 1.0 \
  -Wl,-dead_strip -Wl,-adhoc_codesign \
  -lobjc -framework Foundation -framework CoreFoundation -framework Metal -framework CoreGraphics

ifeq ($(OS),darwin)
  apple_clang = xcrun -sdk $(SDK_$(1)) clang
  APPLE_LIPO := xcrun lipo
  APPLE_LIBTOOL := ZERO_AR_DATE=1 xcrun libtool
  apple_sign = codesign --force --sign - $(1)
else
  llvm_tool = $(firstword $(foreach name,$(1)-$(lastword $(subst -, ,$(CLANG))) $(1)-19 $(1),$(shell command -v $(name) 2>/dev/null)))
  apple_clang = $(CLANG)
  APPLE_CFLAGS += -nostdlibinc -isystem apple/include -Ibridge/linux
  APPLE_LDFLAGS += -fuse-ld=lld -isysroot $(APPLE_OUT)/macos/sdk
  APPLE_SDK := $(APPLE_OUT)/macos/sdk/.stamp
  APPLE_LIPO = $(call llvm_tool,llvm-lipo)
  APPLE_LIBTOOL = $(call llvm_tool,llvm-libtool-darwin)
  # The linker has signed each slice, and joining them leaves that as it is.
  apple_sign = :
endif

.PHONY: dist-apple
dist-apple: $(DIST)/darwin/bun-metal.dylib ## build the dylib for macOS and the .xcframework into dist/

apple_objects = $(patsubst %,$(APPLE_OUT)/$(1)/$(2)/%.o,$(APPLE_SOURCES))

# The objects of one platform ($(1)) and architecture ($(2)).
define apple_objects_rule
$(APPLE_OUT)/$(1)/$(2)/%.o: % Makefile make/apple.mk
	@echo "  compile $$< ($(1) $(2))"
	@mkdir -p $$(dir $$@) && $$(call apple_clang,$(1)) -target $(2)-$(TARGET_$(1)) $$(APPLE_CFLAGS) -c $$< -o $$@
endef
$(foreach p,$(APPLE_PLATFORMS),$(foreach a,$(ARCHITECTURES_$(p)),$(eval $(call apple_objects_rule,$(p),$(a)))))

# The stub libraries of a platform, where an SDK has them.
$(APPLE_OUT)/%/sdk/.stamp: apple/symbols.txt apple/stubs.awk
	@echo "  stubs   $(@D)"
	@rm -rf $(@D) && mkdir -p $(@D)
	@awk -v platform=$* -v architectures="$(ARCHITECTURES_$*)" -v sdk=$(@D) -f apple/stubs.awk apple/symbols.txt
	@touch $@

# ---- the dylib -------------------------------------------------------------------------------------------------------

define apple_slice_rule
$(APPLE_OUT)/macos/$(1)/bun-metal.dylib: $(call apple_objects,macos,$(1)) $(APPLE_SDK)
	@echo "  link    $$@"
	@$$(call apple_clang,macos) -target $(1)-$(TARGET_macos) $$(filter %.o,$$^) $$(APPLE_LDFLAGS) -o $$@
endef
$(foreach a,$(ARCHITECTURES_macos),$(eval $(call apple_slice_rule,$(a))))

$(DIST)/darwin/bun-metal.dylib: $(ARCHITECTURES_macos:%=$(APPLE_OUT)/macos/%/bun-metal.dylib)
	@echo "  join    $@"
	@mkdir -p $(@D) && $(APPLE_LIPO) -create $^ -output $@ && $(call apple_sign,$@)

-include $(shell find $(APPLE_OUT) -name '*.d' 2>/dev/null)

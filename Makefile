# bun-metal: `make help` lists what there is to type.

OS := $(shell uname -s | tr '[:upper:]' '[:lower:]')
ARCH := $(shell uname -m)
OUT := build/$(OS)-$(ARCH)
TOOLS := .tools
MAKEFLAGS += --no-builtin-rules $(if $(MAKELEVEL:0=),,-j$(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2))

# Bun: the one on PATH, or the one that `make deps` brings.
BUN := $(or $(shell command -v bun 2>/dev/null),$(CURDIR)/$(TOOLS)/node_modules/.bin/bun)

ifeq ($(OS),darwin)
  CLANG := clang
  DYLIB := dylib
else
  CLANG := $(or $(shell command -v clang-19 2>/dev/null),$(shell ls /usr/bin/clang-[0-9]* 2>/dev/null | sort -V | tail -n 1),clang)
  DYLIB := so
endif

LIBRARY := $(OUT)/libbun_metal.$(DYLIB)
WITHOUT_POOLS := $(OUT)/libbun_metal_without_pools.$(DYLIB)
WARNINGS := -Wall -Wextra -Werror
CFLAGS := -std=gnu11 -O2 -g -fPIC -fvisibility=hidden -fblocks -fexceptions -MMD -MP $(WARNINGS) -Ibridge
BRIDGE := $(wildcard bridge/*.m bridge/model/*.m bridge/model/*.c)

ifeq ($(OS),darwin)
  # The bridge alone: Foundation and Metal are Apple's.
  CFLAGS += -mmacosx-version-min=13.0
  OBJCFLAGS := -fno-objc-arc
  LDFLAGS := -dynamiclib -install_name @rpath/libbun_metal.dylib -framework Foundation -framework Metal -framework CoreGraphics
  PROGRAM_LDFLAGS := -framework Foundation -framework Metal -framework CoreGraphics
  LAYER :=
  MSLC :=
  SHADERS :=
  # The other native tests, and the rooms that are left out, are about the Metal layer for Linux.
  NATIVE_SOURCES := $(wildcard $(foreach n,object program queue,test/native/bridge_$(n)_test.c))
  BUN_TEST_FLAGS := --path-ignore-patterns 'test/linux/**' --path-ignore-patterns 'test/apple/loader*'
else
  CFLAGS += -D_GNU_SOURCE -Ibridge/linux -I$(OUT)/include
  OBJCFLAGS := -fobjc-runtime=gcc -fconstant-string-class=NSConstantString -fobjc-exceptions
  # libobjc's headers live among GCC's own, whose stdatomic.h must not come before clang's: link to them alone.
  OBJC_HEADERS := $(lastword $(sort $(wildcard /usr/lib/gcc/*/*/include/objc)))
  # nodelete: the CPU device has threads of its own, which run code of this library.
  LDFLAGS := -shared -fuse-ld=lld -Wl,--no-undefined -Wl,-z,now -Wl,-z,nodelete -lobjc -lpthread -ldl -lm
  PROGRAM_LDFLAGS := -fuse-ld=lld -lobjc -lpthread -ldl -lm
  LAYER := $(filter-out %_main.c,$(wildcard $(foreach d,Foundation objects msl cpu cpu/native cuda cuda/native,$(foreach e,m c S,bridge/linux/$(d)/*.$(e)))))
  MSLC := $(OUT)/mslc
  SHADERS := $(OUT)/shaders.metallib build/cuda/shaders.metallib
  NATIVE_SOURCES := $(wildcard test/native/*_test.[cm])
endif

object = $(patsubst %,$(OUT)/obj/%.o,$(1))
# Of the CPU device's kernels for an architecture: make/native.mk.
native_objects = $(patsubst bridge/linux/cpu/%.cc,build/%.o,$(wildcard bridge/linux/cpu/native/$(1)/*.cc))
BRIDGE_OBJECTS := $(call object,$(BRIDGE))
LAYER_OBJECTS := $(call object,$(LAYER)) $(if $(LAYER),$(call native_objects,$(ARCH)))
UNPOOLED_OBJECTS := $(patsubst %,$(OUT)/obj-without-pools/%.o,$(BRIDGE))
NATIVE_TESTS := $(patsubst test/native/%_test,$(OUT)/native/%,$(basename $(NATIVE_SOURCES)))
# The headers that compiling MSL takes: those of all devices, and in a directory each those of one.
MSL_HEADERS := $(shell find bridge/linux/msl/metal bridge/linux/cpu/metal bridge/linux/cuda/metal -type f 2>/dev/null)
install_msl_headers = rm -rf $(1) && mkdir -p $(1) && cp -R bridge/linux/msl/metal/. $(1) && \
  cp -R bridge/linux/cpu/metal/library $(1)/cpu && cp -R bridge/linux/cuda/metal/library $(1)/cuda

.DEFAULT_GOAL := help
.PHONY: help deps bun-deps build artifacts run test test-artifacts native-tests without-pools lint format clean
.DELETE_ON_ERROR:
.SUFFIXES:

help: ## list the targets
	@echo "bun-metal: Llama inference and GPU tensors for Bun and Deno over Metal"; echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile $(wildcard make/*.mk); echo
	@echo "  Arguments of the example: make run ARGS='--prompt \"Mr. Darcy\" --tokens 100'"

deps: ## bring what is missing: Bun, and the compiler on Linux
	@BUN_TOOLS='$(TOOLS)' sh scripts/deps.sh

build: deps ## build the native library and the shaders into build/
	@$(MAKE) --no-print-directory artifacts

run: build bun-deps ## write a paragraph with the model that the repository carries
	@$(BUN) run examples/llama.ts $(ARGS)

test: build bun-deps ## run all tests
	@$(MAKE) --no-print-directory test-artifacts
	@$(BUN) test --timeout 180000 $(BUN_TEST_FLAGS) $(ARGS)

lint: deps bun-deps ## type check, lint, format check
	@$(BUN) x tsc -p .
	@$(BUN) x biome check --error-on-warnings

format: deps bun-deps ## format and fix what can be fixed
	@$(BUN) x biome check --write

clean: ## remove what was built (not the tools that deps brought)
	rm -rf build dist

# The packages that the sources import, and those that only their development needs.
bun-deps: deps
	@$(MAKE) --no-print-directory -s node_modules/.stamp
node_modules/.stamp: package.json bun.lock
	@$(BUN) install --frozen-lockfile
	@touch $@

# Evaluated by a second make, once `deps` has brought the compiler and its headers.
artifacts: $(LIBRARY) $(MSLC) $(SHADERS)
	@:
test-artifacts: native-tests without-pools
native-tests: $(NATIVE_TESTS)
	@:
without-pools: $(WITHOUT_POOLS)
	@:

$(LIBRARY): $(BRIDGE_OBJECTS) $(LAYER_OBJECTS)
	@echo "  link    $@"
	@$(CLANG) $^ $(LDFLAGS) -o $@

# The control of the leak tests: the same bridge, compiled without its autorelease pools. It has to fail them.
$(WITHOUT_POOLS): $(UNPOOLED_OBJECTS) $(LAYER_OBJECTS)
	@echo "  link    $@"
	@$(CLANG) $^ $(LDFLAGS) -o $@

# The compiler alone, without what runs its results.
MSLC_SOURCES := $(wildcard bridge/linux/msl/*.c $(foreach n,cpu/fault cpu/library cuda/compression cuda/kernels cuda/ptx cuda/registers cuda/slice,bridge/linux/$(n).c))
$(OUT)/mslc: $(call object,$(MSLC_SOURCES)) $(OUT)/metal/.stamp
	@echo "  link    $@"
	@$(CLANG) $(filter %.o,$^) -fuse-ld=lld -lpthread -ldl -lm -o $@

# The Metal Shading Language's headers, where the compiler looks for them: beside the library.
$(OUT)/metal/.stamp: $(MSL_HEADERS)
	@$(call install_msl_headers,$(@D)) && touch $@

$(OUT)/shaders.metallib: $(wildcard shaders/*.metal shaders/*.h) $(OUT)/mslc
	@echo "  mslc    $@"
	@$(OUT)/mslc $(sort $(wildcard shaders/*.metal)) -o $@

# For CUDA devices, of which none has to be there, and for machines of every kind.
build/cuda/shaders.metallib: $(wildcard shaders/*.metal shaders/*.h) $(OUT)/mslc
	@echo "  mslc    $@"
	@mkdir -p $(@D) && $(OUT)/mslc --target nvptx64-sm_80 $(sort $(wildcard shaders/*.metal)) -o $@

LINKED_HEADERS := $(if $(OBJC_HEADERS),$(OUT)/include/objc)
$(LINKED_HEADERS): $(OBJC_HEADERS)
	@mkdir -p $(dir $@) && ln -sfn $< $@

compile = mkdir -p $(dir $@) && $(CLANG) $(CFLAGS) $(if $(filter %.m,$<),$(OBJCFLAGS)) $(1) -c $< -o $@

$(OUT)/obj/%.o: % Makefile | $(LINKED_HEADERS)
	@echo "  compile $<"
	@$(call compile)

$(OUT)/obj-without-pools/%.o: % Makefile | $(LINKED_HEADERS)
	@echo "  compile $< (without pools)"
	@$(call compile,-DBUN_METAL_WITHOUT_POOLS)

$(OUT)/native/%: $(OUT)/obj/test/native/%_test.m.o $(BRIDGE_OBJECTS) $(LAYER_OBJECTS) $(OUT)/metal/.stamp
	@mkdir -p $(dir $@) && $(CLANG) $(filter %.o,$^) $(PROGRAM_LDFLAGS) -o $@
$(OUT)/native/%: $(OUT)/obj/test/native/%_test.c.o $(BRIDGE_OBJECTS) $(LAYER_OBJECTS) $(OUT)/metal/.stamp
	@mkdir -p $(dir $@) && $(CLANG) $(filter %.o,$^) $(PROGRAM_LDFLAGS) -o $@

# What ships, and what only some machines can build: one file per subject.
include $(sort $(wildcard make/*.mk))

-include $(shell find $(OUT) -name '*.d' 2>/dev/null)

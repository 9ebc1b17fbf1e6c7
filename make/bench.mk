# Measuring, beside llama.cpp too: a workspace of its own, which only this target installs. node-llama-cpp brings llama.cpp
# as prebuilt binaries for the CPU; the packages of other devices, which it lists as optional, are left out.

.PHONY: bench bench-device bench-products bench-programs

BENCH := build/bench

bench: build bun-deps ## measure, beside llama.cpp too (ARGS=--help lists the options)
	@$(MAKE) --no-print-directory -s bench-programs
	@$(BUN) run test/bench/run.ts $(ARGS)

bench-device: build bun-deps ## measure models on one device, as a share of what it copies (ARGS=--help lists the options)
	@$(BUN) run test/bench/device.ts $(ARGS)

bench-products: build bun-deps ## measure products alone, beside the shaders without the device's own kernels
	@$(BUN) run test/bench/products.ts $(ARGS)

ifeq ($(OS),linux)
bench-programs: test/bench/node_modules/.stamp $(BENCH)/bandwidth $(BENCH)/busy
	@:
else
bench-programs:
	@:
endif

# No script of a package runs: nothing is compiled or downloaded beside the packages.
test/bench/node_modules/.stamp: test/bench/package.json test/bench/bun.lock | deps
	@cd test/bench && $(BUN) install --frozen-lockfile --ignore-scripts --omit=optional --omit=peer
	@touch $@

$(BENCH)/%: test/bench/%.c make/bench.mk
	@mkdir -p $(dir $@) && $(CLANG) -std=gnu11 -O3 -march=native $(WARNINGS) $< -lpthread -o $@

# How the CPU device's threads scale, measured and simulated: programs that need nothing beside them.
ifneq ($(LAYER),)
DEVICE_OBJECTS := $(call object,$(filter bridge/linux/cpu/% bridge/linux/cuda/% bridge/linux/msl/%,$(LAYER))) $(call native_objects,$(ARCH))
$(BENCH)/pool_scaling $(BENCH)/pool_simulation: $(BENCH)/%: test/bench/%.c test/bench/model_step.h $(DEVICE_OBJECTS)
	@mkdir -p $(dir $@) && $(CLANG) $(CFLAGS) $(filter %.c %.o,$^) -static -lpthread -lm -o $@
endif

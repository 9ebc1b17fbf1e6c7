# Measuring, beside llama.cpp too: a workspace of its own, which only this target installs. node-llama-cpp brings llama.cpp
# as prebuilt binaries for the CPU; the packages of other devices, which it lists as optional, are left out.

.PHONY: bench bench-programs

BENCH := build/bench

bench: build bun-deps ## measure, beside llama.cpp too (ARGS=--help lists the options)
	@$(MAKE) --no-print-directory -s bench-programs
	@$(BUN) run test/bench/run.ts $(ARGS)

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

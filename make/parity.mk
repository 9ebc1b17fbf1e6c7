# Comparing with llama.cpp: a workspace of its own, which only this target installs. It brings llama.cpp as prebuilt
# binaries for the CPU and the vocabularies of real models, half a gigabyte in all.

.PHONY: parity

parity: build bun-deps test/parity/node_modules/.stamp ## compare with llama.cpp (RECORD=1 records what it gives)
	@RECORD='$(RECORD)' $(BUN) test --timeout 300000 $(addprefix ./,$(wildcard test/parity/*.check.ts)) $(ARGS)

# No script of a package runs: nothing is compiled or downloaded beside the packages.
test/parity/node_modules/.stamp: test/parity/package.json test/parity/bun.lock | deps
	@cd test/parity && $(BUN) install --frozen-lockfile --ignore-scripts
	@touch $@

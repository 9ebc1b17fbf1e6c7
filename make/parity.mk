# Comparing with llama.cpp: a workspace of its own, which only these targets install. It brings llama.cpp as prebuilt
# binaries for the CPU and, as what only development needs, the vocabularies of real models, half a gigabyte in all.

.PHONY: parity parity-quick

PARITY := test/parity/node_modules
# No script of a package runs: nothing is compiled or downloaded beside the packages.
PARITY_INSTALL = cd test/parity && $(BUN) install --frozen-lockfile --ignore-scripts

parity: build bun-deps $(PARITY)/.stamp ## compare with llama.cpp (RECORD=1 records what it gives)
	@RECORD='$(RECORD)' $(BUN) test --timeout 300000 $(addprefix ./,$(wildcard test/parity/*.check.ts)) $(ARGS)

# Logits of every architecture and of some types after short prompts: without vocabularies, and in less than a minute.
parity-quick: build bun-deps $(PARITY)/.stamp-binaries ## compare logits with llama.cpp, by short prompts
	@QUICK=1 $(BUN) test --timeout 300000 $(foreach n,architectures models,./test/parity/$(n).check.ts) $(ARGS)

$(PARITY)/.stamp: test/parity/package.json test/parity/bun.lock | deps
	@$(PARITY_INSTALL)
	@touch $@ $@-binaries

# The binaries alone: 20 MB to download, 50 MB on disk. Where npm has none for this platform the comparison fails, and says
# so.
$(PARITY)/.stamp-binaries: test/parity/package.json test/parity/bun.lock | deps
	@$(PARITY_INSTALL) --production
	@touch $@

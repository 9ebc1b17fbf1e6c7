# The op suite: every kernel over the shapes of models, with a table of worst errors. `make test` runs a part of it.

.PHONY: test-ops

test-ops: build bun-deps ## run every kernel over models' shapes and print the worst errors
	@$(BUN) run test/kernels/ops.ts

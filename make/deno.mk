# Deno: brought from npm where it is not on PATH, for the tests alone. `make run` and the package need Bun or Deno.

.PHONY: test-deno deno-deps

# Made absolute: programs of the tests run elsewhere.
DENO = $(shell sh scripts/deno.sh '$(TOOLS)')
export DENO_NO_UPDATE_CHECK := 1

test-deno: build bun-deps deno-deps ## run in Deno the tests that can run there, and check the package for JSR
	@$(DENO) test --allow-all --no-check --config test/deno/deno.jsonc $(ARGS)
	@$(DENO) publish --dry-run --allow-dirty --quiet

deno-deps: deps
	@sh scripts/deno.sh '$(TOOLS)' >/dev/null

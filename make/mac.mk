# What only a Mac can tell; docs/verify-on-a-mac.md says what it asks and why.
.PHONY: verify-mac
verify-mac: $(if $(filter darwin,$(OS)),build bun-deps test-artifacts) ## on a Mac: check what no other machine can (STEPS='pools leaks')
	@BUN='$(BUN)' sh scripts/verify_mac.sh $(STEPS)

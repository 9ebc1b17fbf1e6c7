# Models without JavaScript: the C program that their tests drive, and the one that docs/embedding.md shows. They link the
# library as an application does.

$(OUT)/generate: test/model/generate.c
$(OUT)/embedding: $(OUT)/embedding.c

$(OUT)/generate $(OUT)/embedding: bridge/bun_metal.h make/model.mk $(LIBRARY)
	@echo "  link    $@"
	@$(CLANG) -std=gnu11 -O2 -g $(WARNINGS) -Ibridge $(if $(filter linux,$(OS)),-D_GNU_SOURCE) $(filter %.c,$^) \
	  -L$(OUT) -lbun_metal -lpthread -Wl,-rpath,$(abspath $(OUT)) -o $@

# Its one block of C.
$(OUT)/embedding.c: docs/embedding.md
	@mkdir -p $(dir $@) && awk '/^```c$$/ { inside = 1; next } /^```$$/ { inside = 0 } inside' $< >$@

test-artifacts: $(OUT)/generate $(OUT)/embedding

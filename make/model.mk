# Models without JavaScript: the C program that their tests drive. It links the library as an application does.

$(OUT)/generate: test/model/generate.c bridge/bun_metal.h $(LIBRARY)
	@echo "  link    $@"
	@$(CLANG) -std=gnu11 -O2 -g $(WARNINGS) -Ibridge -D_GNU_SOURCE $< -L$(OUT) -lbun_metal -lpthread -Wl,-rpath,$(abspath $(OUT)) -o $@

test-artifacts: $(OUT)/generate

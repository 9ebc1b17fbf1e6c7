# The CPU device's own kernels: C++ without its library, a file for each level of instructions. They take longer to compile
# than all the rest, so every build for an architecture uses the same objects: without paths or debug information.

NATIVE_CXXFLAGS := -std=gnu++20 -O2 -fno-exceptions -fno-rtti -fPIC -fvisibility=hidden -fno-ident -MMD -MP $(WARNINGS) \
                   -ffile-prefix-map=$(CURDIR)=.

# native/ARCHITECTURE/LEVEL
build/native/%.o: bridge/linux/cpu/native/%.cc Makefile make/native.mk
	@echo "  compile $<"
	@mkdir -p $(dir $@) && $(CLANG) --target=$(*D)-linux-gnu $(NATIVE_CXXFLAGS) -c $< -o $@

# The level with tiles of AMX is tested on emulated ones, too: few machines have any.
ifneq ($(LAYER),)
ifeq ($(ARCH),x86_64)
$(OUT)/native/native_products: $(OUT)/obj/test/native/amx_emulated.o
endif
endif
$(OUT)/obj/test/native/%.o: test/native/%.cc Makefile make/native.mk
	@echo "  compile $<"
	@mkdir -p $(dir $@) && $(CLANG) $(NATIVE_CXXFLAGS) -c $< -o $@

# The mathematical functions that CUDA devices have from this layer, as code of the host.
$(OUT)/native/cuda_math: $(OUT)/obj/test/native/cuda_math.o
$(DIST_BUILD)/$(FOREIGN)/native/cuda_math: $(DIST_BUILD)/$(FOREIGN)/obj/test/native/cuda_math.o
$(DIST_BUILD)/$(FOREIGN)/obj/test/native/%.o: test/native/%.cc Makefile make/native.mk
	@echo "  compile $< ($(FOREIGN))"
	@mkdir -p $(dir $@) && $(CLANG) --target=$(FOREIGN_TRIPLE) $(NATIVE_CXXFLAGS) -c $< -o $@

-include $(wildcard build/native/*/*.d)

# The CUDA device's own kernels (bridge/linux/cuda/native): PTX of CUDA C++, without CUDA's toolkit, and the same files as code
# of the host, for the tests of test/native/cuda_simulator.

ifneq ($(LAYER),)
SIMULATOR := test/native/cuda_simulator
SIMULATOR_TESTS := $(patsubst $(SIMULATOR)/%_test.cc,$(OUT)/native/cuda_simulator_%,$(wildcard $(SIMULATOR)/*_test.cc))
SIMULATOR_CXXFLAGS := -std=gnu++20 -O1 -g -fno-exceptions -fno-rtti -fno-threadsafe-statics -MMD -MP $(WARNINGS) -Ibridge/linux -I$(SIMULATOR)
SIMULATOR_OBJECTS := $(foreach n,simulator matrices gpu,$(OUT)/obj/$(SIMULATOR)/$(n).o)
NATIVE_TESTS += $(SIMULATOR_TESTS)
native-tests: $(SIMULATOR_TESTS)
$(SIMULATOR_OBJECTS): SIMULATOR_CXXFLAGS += -O2

$(OUT)/obj/$(SIMULATOR)/%.o: $(SIMULATOR)/%.cc make/native_cuda.mk
	@echo "  compile $<"
	@mkdir -p $(dir $@) && $(CLANG) $(SIMULATOR_CXXFLAGS) -c $< -o $@

# Plans are C: those of a test's kernels are linked with it.
$(OUT)/native/cuda_simulator_%: $(OUT)/obj/$(SIMULATOR)/%_test.o $(SIMULATOR_OBJECTS) \
                                $(call object,bridge/linux/cuda/api.c $(wildcard bridge/linux/cuda/native/*_plan.c))
	@echo "  link    $@"
	@mkdir -p $(dir $@) && $(CLANG) $^ -fuse-ld=lld -lpthread -ldl -lm -o $@

.SECONDARY: $(patsubst $(SIMULATOR)/%.cc,$(OUT)/obj/$(SIMULATOR)/%.o,$(wildcard $(SIMULATOR)/*.cc))
endif

# The PTX of a file: what all devices can run, or, where it is called NAME_sm90a.cu, what those of compute capability 9.0 can.
CUDA_NATIVE_TARGETS := 80 90a
# PTX 8.0 is of CUDA 12.0. Of a toolkit that is there by chance clang would take another version.
CUDA_NATIVE_FLAGS := -x cuda --cuda-device-only -nocudainc -nocudalib --cuda-path=/nonexistent -Xclang -target-feature \
                     -Xclang +ptx80 -ffreestanding -nostdlibinc -std=c++20 -O3 -Xclang -fcuda-short-ptr -mllvm -nvptx-short-ptr $(WARNINGS) -Ibridge/linux -MMD -MP
define cuda_native_target
build/cuda/native/sm_$(1)/%.ptx: bridge/linux/cuda/native/%.cu make/native_cuda.mk
	@echo "  compile $$< (sm_$(1))"
	@mkdir -p $$(@D) && $$(CLANG) $$(CUDA_NATIVE_FLAGS) --cuda-gpu-arch=sm_$(1) -MF $$@.d -MT $$@ -S $$< -o $$@
endef
$(foreach t,$(CUDA_NATIVE_TARGETS),$(eval $(call cuda_native_target,$(t))))

# The tests of the simulator on a GPU, with the kernels of their own (test/native/cuda_simulator/gpu.h).
build/cuda/native/test/%.ptx: $(SIMULATOR)/%.cu make/native_cuda.mk
	@echo "  compile $< (sm_80)"
	@mkdir -p $(@D) && $(CLANG) $(CUDA_NATIVE_FLAGS) --cuda-gpu-arch=sm_80 -MF $@.d -MT $@ -S $< -o $@
test-artifacts: $(patsubst $(SIMULATOR)/%.cu,build/cuda/native/test/%.ptx,$(wildcard $(SIMULATOR)/*.cu))
-include $(wildcard build/cuda/native/*/*.d)

# All of them in one file, beside the shaders for CUDA devices. The library knows which file is its own.
ifneq ($(LAYER),)
CUDA_NATIVE := build/cuda/native.kernels
CUDA_NATIVE_DIGEST := build/cuda/native/digest.h
CUDA_NATIVE_PTX := $(patsubst bridge/linux/cuda/native/%.cu,build/cuda/native/sm_80/%.ptx, \
                     $(filter-out %_sm90a.cu,$(sort $(wildcard bridge/linux/cuda/native/*.cu)))) \
                   $(patsubst bridge/linux/cuda/native/%.cu,build/cuda/native/sm_90a/%.ptx, \
                     $(sort $(wildcard bridge/linux/cuda/native/*_sm90a.cu)))
PACK := $(OUT)/cuda_native_pack

$(PACK): $(call object,$(foreach n,cuda/native/pack_main cuda/ptx cuda/slice cuda/compression cuda/registers msl/image msl/text msl/target,bridge/linux/$(n).c))
	@echo "  link    $@"
	@$(CLANG) $^ -fuse-ld=lld -o $@

$(CUDA_NATIVE): $(CUDA_NATIVE_PTX) $(PACK)
	@echo "  pack    $@"
	@mkdir -p $(dir $(CUDA_NATIVE_DIGEST)) && $(PACK) $@ $(CUDA_NATIVE_DIGEST).new $(CUDA_NATIVE_PTX)
	@cmp -s $(CUDA_NATIVE_DIGEST).new $(CUDA_NATIVE_DIGEST) || cp $(CUDA_NATIVE_DIGEST).new $(CUDA_NATIVE_DIGEST)
$(CUDA_NATIVE_DIGEST): $(CUDA_NATIVE) ;

artifacts: $(CUDA_NATIVE)
$(foreach d,$(OUT)/obj $(DIST_PLATFORMS:%=$(DIST_BUILD)/%/obj),$(d)/bridge/linux/cuda/native/library.c.o): $(CUDA_NATIVE_DIGEST)
endif

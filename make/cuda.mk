# NVIDIA's GPUs: a library that stands for CUDA's driver where there is none, for tests, and the tests on a real one.

ifneq ($(LAYER),)
FAKE_CUDA := $(OUT)/fake-cuda/libcuda.so.1

$(FAKE_CUDA): $(wildcard test/linux/fake_cuda/*) bridge/linux/cuda/api.h make/cuda.mk
	@echo "  link    $@"
	@mkdir -p $(dir $@) && $(CLANG) -std=gnu11 -D_GNU_SOURCE -O1 -g -fPIC -shared -fuse-ld=lld -fvisibility=hidden $(WARNINGS) \
	  -Ibridge/linux -Itest/linux/fake_cuda $(filter %.c,$^) -lpthread -o $@

test-artifacts: $(FAKE_CUDA)

# The native tests of the CUDA device find it before any other.
CUDA_TESTS := $(foreach n,cuda cuda_graph cuda_native,$(OUT)/native/$(n))
$(CUDA_TESTS): PROGRAM_LDFLAGS += -Wl,-rpath,'$$ORIGIN/../fake-cuda'
$(CUDA_TESTS): | $(FAKE_CUDA)
$(patsubst $(OUT)/native/%,$(OUT)/obj/test/native/%_test.m.o,$(CUDA_TESTS)): CFLAGS += -Itest/linux
endif

.PHONY: test-gpu
test-gpu: build bun-deps ## run the tests on an NVIDIA GPU, and the kernels' under compute-sanitizer
	@$(MAKE) --no-print-directory test-artifacts
	@BUN='$(BUN)' OUT='$(OUT)' sh scripts/test_gpu.sh $(ARGS)

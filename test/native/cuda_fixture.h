/*
 * cuda_fixture.h: the CUDA device over a driver library that stands for CUDA's (test/linux/fake_cuda). Kernels do not run
 * there; runKernel below does what they would.
 */
#ifndef TEST_NATIVE_CUDA_FIXTURE_H
#define TEST_NATIVE_CUDA_FIXTURE_H

#import "metal_fixture.h"

#import "fake_cuda/fake_cuda.h"

#include <dlfcn.h>
#include <unistd.h>

#include "cuda/metal/library/abi.h"

static NSString *const kernels =
#ifdef CUDA_FIXTURE_HAS_OWN_SHADERS
    @"extern \"C\" void bun_metal_has_native_kernels() {}\n" // as in shaders that ship
#endif
    @"#include <metal_stdlib>\n"
    @"using namespace metal;\n"
    @"struct Step { uint factor; uint word; };\n"
    @"kernel void step_by(device uint *x [[buffer(0)]], constant Step &step [[buffer(1)]],\n"
    @"                 device const uint *words [[buffer(2)]], uint i [[thread_position_in_grid]]) {\n"
    @"  x[i] = x[i] * step.factor + words[step.word];\n"
    @"}\n"
    @"kernel void gather(device uint *x [[buffer(0)]], constant uint *table [[buffer(1)]],\n"
    @"                   uint i [[thread_position_in_grid]]) { x[i] += table[i]; }\n"
    @"kernel void fault(device uint *x [[buffer(0)]]) { x[0] = 0; }\n"
    @"kernel void staged(device uint *x [[buffer(0)]], threadgroup uint *first [[threadgroup(0)]],\n"
    @"                   threadgroup uint *second [[threadgroup(1)]], uint i [[thread_index_in_threadgroup]]) {\n"
    @"  threadgroup uint own[4];\n"
    @"  own[i % 4] = first[i] = second[i] = x[i];\n"
    @"  threadgroup_barrier(mem_flags::mem_threadgroup);\n"
    @"  x[i] = first[i] + second[i] + own[0];\n"
    @"}\n";

static FakeCountsFunction *counts;
static FakeLimitFunction *limit;
static FakeFailFunction *failNext;
static FakeOnKernelFunction *onKernel;
static FakeMemoryFunction *memoryAt;
static FakeCallsFunction *calls;
static FakeGraphFunction *graphNodes;
static FakeFollowsFunction *follows;
static FakeBeginsEarlyFunction *beginsEarly;
static FakeMisuseFunction *misuse;

/* ---- kernels -------------------------------------------------------------------------------------------------------- */

static CudaLaunch latestLaunch;
static FakeKernel latestKernel;
static unsigned ran;

static inline int runKernel(const FakeKernel *kernel) {
  CHECK_NUMBER(kernel->size, sizeof(CudaLaunch));
  CudaLaunch launch;
  memcpy(&launch, kernel->parameter, sizeof launch);
  latestLaunch = launch;
  latestKernel = *kernel;
  ran++;
  if (strstr(kernel->name, "fault")) return 700;
  uint32_t *x = memoryAt(launch.buffers[0]);
  CHECK(x != NULL);
  if (strstr(kernel->name, "step_by")) {
    const uint32_t *step = launch.inlined & 2 ? (const uint32_t *)(const void *)launch.constants : memoryAt(launch.buffers[1]);
    const uint32_t *words = memoryAt(launch.buffers[2]);
    CHECK(step != NULL && words != NULL);
    for (uint32_t i = 0; step && words && i < launch.grid[0]; i++) x[i] = x[i] * step[0] + words[step[1]];
  }
  if (strstr(kernel->name, "gather")) {
    const uint32_t *table = memoryAt(launch.buffers[1]);
    CHECK(table != NULL);
    for (uint32_t i = 0; table && i < launch.grid[0]; i++) x[i] += table[i];
  }
  return 0;
}

static inline id<MTLBuffer> newPrivate(NSUInteger length) {
  return [device newBufferWithLength:length options:MTLResourceStorageModePrivate];
}

static inline bool findFake(void) {
  void *handle = dlopen("libcuda.so.1", RTLD_NOW);
#define FIND(variable, name) *(void **)&variable = handle ? dlsym(handle, name) : NULL
  FIND(counts, "fakeCounts");
  FIND(limit, "fakeLimit");
  FIND(failNext, "fakeFail");
  FIND(onKernel, "fakeOnKernel");
  FIND(memoryAt, "fakeMemory");
  FIND(calls, "fakeCalls");
  FIND(graphNodes, "fakeGraph");
  FIND(follows, "fakeFollows");
  FIND(beginsEarly, "fakeBeginsEarly");
  FIND(misuse, "fakeMisuse");
  return counts && limit && failNext && onKernel && memoryAt && calls && graphNodes && follows &&
         beginsEarly && misuse;
}

/* Opens the device that the library stands for. False with a line that says why not. */
static inline bool openCuda(void) {
  if (!findFake()) {
    printf("the library that stands for CUDA's is not there\n");
    return false;
  }
  onKernel(runKernel);
  @autoreleasepool {
    NSArray *all = MTLCopyAllDevices();
    device = [[all objectAtIndex:1] retain];
    [all release];
    NSError *error = nil;
    library = [device newLibraryWithSource:kernels options:nil error:&error];
    if (!library) printf("cannot compile: %s\n", [[error localizedDescription] UTF8String]);
    queue = [device newCommandQueue];
  }
  return library != nil;
}

/* As closeFixture, and says what the library was misused for. */
static inline int closeCuda(void) {
  CHECK_TEXT(misuse() ? misuse() : "none", "none");
  closeFixture();
  return finishCases();
}

#endif

/*
 * Device profiles: the CPU device as another one. Settings are read once per process, so each case is a process of its own.
 */
#import "metal_fixture.h"

#include <sys/wait.h>
#include <unistd.h>

static void appleFamilies(void) {
  CHECK([device supportsFamily:MTLGPUFamilyApple7]);
  CHECK(![device supportsFamily:MTLGPUFamilyApple8]);
  CHECK([device supportsFamily:MTLGPUFamilyMetal3]);
  CHECK([[device name] hasSuffix:@"(apple7)"]);
}

static void plainDevice(void) {
  CHECK([device supportsFamily:MTLGPUFamilyApple9]);
  CHECK(![device supportsFamily:MTLGPUFamilyApple10]);
  CHECK(![device supportsFamily:MTLGPUFamilyMac2]);
  CHECK([device hasUnifiedMemory]);
  CHECK([device respondsToSelector:@selector(newResidencySetWithDescriptor:error:)]);
}

static void discrete(void) {
  CHECK(![device hasUnifiedMemory]);
  CHECK([device supportsFamily:MTLGPUFamilyMac2]);
  CHECK(![device supportsFamily:MTLGPUFamilyApple7]);
  CHECK(![device supportsFamily:MTLGPUFamilyMetal3]);
  CHECK([device maxBufferLength] <= 3584ul << 20);
  CHECK(![device respondsToSelector:@selector(newResidencySetWithDescriptor:error:)]);
  id<MTLCommandQueue> queues = [device newCommandQueue];
  id<MTLComputePipelineState> offset = newPipelineFor(@"offset", NO);
  id<MTLBuffer> numbers = newBuffer(1024);
  id<MTLComputeCommandEncoder> encoder = [[queues commandBuffer] computeCommandEncoder];
  [encoder setComputePipelineState:offset];
  [encoder setBuffer:numbers offset:0 atIndex:0];
  [encoder setBuffer:numbers offset:32 atIndex:1];
  const MTLSize one = {1, 1, 1};
  CHECK_RAISES("MTLBufferOffset", [encoder dispatchThreadgroups:one threadsPerThreadgroup:one]); // rule 37
  [encoder setBufferOffset:256 atIndex:1];
  [encoder dispatchThreadgroups:one threadsPerThreadgroup:one];
  [encoder endEncoding];
  [offset release], [numbers release], [queues release];
}

static void oldSystem(void) {
  CHECK([device maxBufferLength] <= 256ul << 20);
  CHECK(MTLCopyAllDevices() == nil);
  CHECK(![device respondsToSelector:@selector(architecture)]);
  CHECK(![device respondsToSelector:@selector(recommendedMaxWorkingSetSize)]);
  CHECK([device respondsToSelector:@selector(maxBufferLength)]);
  CHECK_RAISES("NSInvalidArgumentException", [device architecture]);
  id<MTLBuffer> buffer = newBuffer(16);
  CHECK(![buffer respondsToSelector:@selector(gpuAddress)]);
  CHECK_RAISES("NSInvalidArgumentException", [buffer gpuAddress]);
  [buffer release];
  MTLCompileOptions *options = [[MTLCompileOptions alloc] init];
  CHECK(![options respondsToSelector:@selector(setMathMode:)]);
  CHECK([options respondsToSelector:@selector(setFastMathEnabled:)]);
  CHECK_RAISES("NSInvalidArgumentException", [options setMathMode:MTLMathModeSafe]);
  [options release];
  CHECK(![queue respondsToSelector:@selector(addResidencySet:)]);
}

static void simulator(void) {
  CHECK_NUMBER([device maxThreadsPerThreadgroup].width, 512);
  CHECK_NUMBER([device maxThreadgroupMemoryLength], 16352);
  CHECK(![device supportsFamily:MTLGPUFamilyApple3]);
  id<MTLComputePipelineState> addOne = newPipelineFor(@"add_one", NO);
  CHECK(newPipelineFor(@"add_one", YES) == nil);
  CHECK_NUMBER([addOne maxTotalThreadsPerThreadgroup], 512);
  id<MTLBuffer> numbers = newBuffer(64);
  const MTLSize one = {1, 1, 1};
  @autoreleasepool {
    id<MTLComputeCommandEncoder> encoder = [[queue commandBuffer] computeCommandEncoder];
    [encoder setComputePipelineState:addOne];
    [encoder setBuffer:numbers offset:0 atIndex:0];
    CHECK_RAISES("MTLNonuniformThreadgroups", [encoder dispatchThreads:one threadsPerThreadgroup:one]); // rule 45
    CHECK_RAISES("MTLIndirectBuffer", [encoder dispatchThreadgroupsWithIndirectBuffer:numbers
                                                                 indirectBufferOffset:0
                                                                threadsPerThreadgroup:one]);
    [encoder endEncoding];
  }
  [numbers release], [addOne release];
}

static void limits(void) {
  CHECK_NUMBER([device maxBufferLength], 1048576);
  CHECK_NUMBER([device recommendedMaxWorkingSetSize], 4194304);
  CHECK_RAISES("MTLBufferLength", newBuffer(1048577));
}

static void refusals(void) {
  void *memory = NULL;
  NSUInteger page = (NSUInteger)getpagesize();
  CHECK_NUMBER(posix_memalign(&memory, page, page), 0);
  CHECK([device newBufferWithBytesNoCopy:memory length:page options:0 deallocator:nil] == nil);
  free(memory);
  MTLIndirectCommandBufferDescriptor *commands = [[[MTLIndirectCommandBufferDescriptor alloc] init] autorelease];
  [commands setCommandTypes:MTLIndirectCommandTypeConcurrentDispatch];
  CHECK([device newIndirectCommandBufferWithDescriptor:commands maxCommandCount:1 options:0] == nil);
  NSError *error = nil;
  CHECK([device newResidencySetWithDescriptor:[[[MTLResidencySetDescriptor alloc] init] autorelease] error:&error] == nil);
  CHECK([[error localizedDescription] length] > 0);
  error = nil;
  CHECK([device newBinaryArchiveWithDescriptor:[[[MTLBinaryArchiveDescriptor alloc] init] autorelease] error:&error] == nil);
  CHECK([[error localizedDescription] length] > 0);
}

static void nonsense(void) {
  CHECK_RAISES("MTLDeviceSettings", MTLCreateSystemDefaultDevice());
  CHECK_RAISES("MTLDeviceSettings", MTLCopyAllDevices());
}

/* Runs a case in a process whose environment has one or two settings more. */
static void runIn(const char *name, const char *value, const char *name2, const char *value2, void (*body)(void),
                  const char *title) {
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    checkFailures = 0;
    if (name) setenv(name, value, 1);
    if (name2) setenv(name2, value2, 1);
    @autoreleasepool {
      if (body != nonsense && !openFixture()) exit(1);
      runCase(title, body);
      closeFixture();
    }
    exit(finishCases());
  }
  int status = 0;
  waitpid(child, &status, 0);
  CHECK_NUMBER(status, 0);
}

int main(void) {
#define IN(name, value, body) runIn(name, value, NULL, NULL, body, #body)
  IN(NULL, NULL, plainDevice);
  IN("BUN_METAL_CPU_PROFILE", "apple7", appleFamilies);
  IN("BUN_METAL_CPU_PROFILE", "intel-discrete", discrete);
  IN("BUN_METAL_CPU_PROFILE", "old-ios", oldSystem);
  IN("BUN_METAL_CPU_PROFILE", "simulator", simulator);
  IN("BUN_METAL_CPU_PROFILE", "amiga", nonsense);
  IN("BUN_METAL_CPU_MAX_BUFFER", "much", nonsense);
  IN("BUN_METAL_CPU_MAX_BUFFER", "-1", nonsense);
  IN("BUN_METAL_CPU_WORKING_SET", "0x1000", nonsense);
  IN("BUN_METAL_CPU_REFUSE", "nocopy,everything", nonsense);
  IN("BUN_METAL_CPU_REFUSE", "nocopy,icb,residency,archive", refusals);
  runIn("BUN_METAL_CPU_MAX_BUFFER", "1048576", "BUN_METAL_CPU_WORKING_SET", "4194304", limits, "limits");
  return finishCases();
}

/* The CUDA device below Metal's objects: memory, copies, arguments of kernels, and errors. */
#import "cuda_fixture.h"

/* ---- devices and memory --------------------------------------------------------------------------------------------- */

static void devicesAreListed(void) {
  NSArray *all = MTLCopyAllDevices();
  CHECK_NUMBER([all count], 2);
  id<MTLDevice> cpu = [all objectAtIndex:0], gpu = [all objectAtIndex:1];
  CHECK_TEXT([[gpu name] UTF8String], "Fake GPU 0");
  CHECK_TEXT([[[gpu architecture] name] UTF8String], "cuda-sm_90");
  CHECK([gpu registryID] != [cpu registryID] && [gpu registryID] != 0);
  CHECK([gpu hasUnifiedMemory] == NO && [gpu supportsFamily:MTLGPUFamilyApple9]);
  CHECK_NUMBER([gpu maxThreadgroupMemoryLength], 232448);
  CHECK_NUMBER([gpu maxBufferLength], 1 << 30);
  CHECK_NUMBER([gpu maxThreadsPerThreadgroup].depth, 64);
  id<MTLDevice> preferred = MTLCreateSystemDefaultDevice();
  CHECK(preferred == cpu);
  setenv("BUN_METAL_DEVICE", "cuda", 1);
  id<MTLDevice> asked = MTLCreateSystemDefaultDevice();
  unsetenv("BUN_METAL_DEVICE");
  CHECK(asked == gpu);
  [preferred release], [asked release], [all release];
}

static void memoryIsWhereItsStorageSays(void) {
  FakeCounts before, during, after;
  counts(&before);
  id<MTLBuffer> private = newPrivate(1000), large = newBuffer(10 << 20);
  counts(&during);
  CHECK([private contents] == NULL && [private gpuAddress] != 0);
  CHECK([large contents] != NULL && numberIn(large, 0) == 0 && numberIn(large, (10 << 18) - 1) == 0);
  CHECK_NUMBER(during.memory - before.memory, 1);
  CHECK_NUMBER(during.host - before.host, 1);
  CHECK_NUMBER(during.bytes - before.bytes, 1000);
  [private release], [large release];
  counts(&after);
  CHECK(memcmp(&before, &after, sizeof before) == 0);
}

static void smallSharedMemoryIsUsedAgain(void) {
  unsigned made = 0;
  for (int round = 0; round < 2; round++) {
    id<MTLBuffer> buffers[20];
    for (NSUInteger i = 0; i < 20; i++) {
      buffers[i] = newBuffer(1000 << (i % 10));
      const NSUInteger words = [buffers[i] length] / 4;
      CHECK(numberIn(buffers[i], 0) == 0 && numberIn(buffers[i], words / 2) == 0 && numberIn(buffers[i], words - 1) == 0);
      memset([buffers[i] contents], 0xff, [buffers[i] length]);
    }
    if (round == 0) made = calls("cuMemHostAlloc");
    for (int i = 0; i < 20; i++) [buffers[i] release];
  }
  CHECK_NUMBER(calls("cuMemHostAlloc"), made);
  // What is kept is given back where memory is short.
  FakeCounts before, after;
  counts(&before);
  failNext("cuMemHostAlloc", 0, 2);
  id<MTLBuffer> large = newBuffer(10 << 20);
  CHECK(large != nil);
  [large release];
  counts(&after);
  CHECK_NUMBER(after.host, before.host - 1);
}

static void memoryThatIsOutIsTold(void) {
  double available, total;
  limit(1 << 20);
  id<MTLBuffer> fits = newPrivate(600 << 10), none = newPrivate(600 << 10);
  CHECK(fits != nil && none == nil);
  const char *reason = MTLReasonOfNil();
  CHECK(reason && strstr(reason, "614400") && strstr(reason, "434176") && strstr(reason, "1048576"));
  MTLMemoryOfDevice(device, &available, &total);
  CHECK_NUMBER(available, 434176);
  CHECK_NUMBER(total, 1 << 30);
  [fits release];
  limit(1 << 30);
  failNext("cuMemHostAlloc", 0, 1);
  CHECK(newBuffer(20 << 20) == nil && strstr(MTLReasonOfNil(), "Cannot allocate 20971520 bytes"));
  none = newPrivate(600 << 10);
  CHECK(none != nil);
  [none release];
}

static void memoryOfTheCallersIsWrapped(void) {
  const NSUInteger page = (NSUInteger)getpagesize();
  uint32_t *memory = aligned_alloc(page, page);
  memset(memory, 0, page);
  FakeCounts before, after;
  counts(&before);
  __block int given = 0;
  id<MTLBuffer> wrapped = [device newBufferWithBytesNoCopy:memory
                                                    length:page
                                                   options:0
                                               deallocator:^(void *pointer, NSUInteger length) {
                                                 given += pointer == memory && length == page;
                                               }];
  CHECK([wrapped contents] == memory && (void *)[wrapped gpuAddress] != memory);
  id<MTLCommandBuffer> commands = [queue commandBuffer];
  id<MTLBlitCommandEncoder> blit = [commands blitCommandEncoder];
  [blit fillBuffer:wrapped range:NSMakeRange(8, 4) value:0xff];
  [blit endEncoding];
  [commands commit];
  [commands waitUntilCompleted];
  CHECK(memory[1] == 0 && memory[2] == UINT32_MAX && memory[3] == 0);
  [wrapped release];
  CHECK_NUMBER(given, 1);
  // Where the driver refuses, Metal has no buffer, and nothing is given back that was not taken.
  failNext("cuMemHostRegister_v2", 0, 1);
  failNext("cuMemHostGetDevicePointer_v2", 0, 1);
  wrapped = [device newBufferWithBytesNoCopy:memory length:page options:0 deallocator:^(void *pointer, NSUInteger length) {
    given += pointer && length;
  }];
  CHECK(wrapped == nil && MTLReasonOfNil() != NULL);
  CHECK_NUMBER(given, 1);
  counts(&after);
  CHECK_NUMBER(after.registered, before.registered);
  free(memory);
}

static void copiesAndFillsAreDone(void) {
  id<MTLBuffer> from = newBuffer(64), between = newPrivate(64), to = newBuffer(64);
  for (uint32_t i = 0; i < 16; i++) ((uint32_t *)[from contents])[i] = i + 1;
  id<MTLCommandBuffer> commands = [queue commandBuffer];
  id<MTLBlitCommandEncoder> blit = [commands blitCommandEncoder];
  [blit copyFromBuffer:from sourceOffset:0 toBuffer:between destinationOffset:0 size:64];
  [blit fillBuffer:between range:NSMakeRange(4, 8) value:7];
  [blit copyFromBuffer:between sourceOffset:0 toBuffer:to destinationOffset:4 size:60];
  [blit endEncoding];
  [commands commit];
  [commands waitUntilCompleted];
  CHECK_NUMBER([commands status], MTLCommandBufferStatusCompleted);
  CHECK(numberIn(to, 0) == 0 && numberIn(to, 1) == 1 && numberIn(to, 2) == 0x07070707 && numberIn(to, 3) == 0x07070707);
  CHECK(numberIn(to, 4) == 4 && numberIn(to, 15) == 15);
  CHECK([commands GPUEndTime] - [commands GPUStartTime] > 0.00024 && [commands GPUEndTime] - [commands GPUStartTime] < 0.00026);
  [from release], [between release], [to release];
}

/* ---- dispatches ----------------------------------------------------------------------------------------------------- */

static void argumentsReachTheKernel(void) {
  id<MTLComputePipelineState> step = newPipelineFor(@"step_by", NO), gather = newPipelineFor(@"gather", NO);
  id<MTLBuffer> numbers = newBuffer(64), words = newBuffer(16);
  ((uint32_t *)[words contents])[3] = 5;
  ((uint32_t *)[numbers contents])[0] = 2;
  uint32_t constants[] = {10, 3}, table[200] = {1, 2, 3, 4};
  id<MTLCommandBuffer> commands = [queue commandBuffer];
  id<MTLComputeCommandEncoder> encoder = [commands computeCommandEncoder];
  [encoder setBuffer:numbers offset:0 atIndex:0];
  [encoder setComputePipelineState:step];
  [encoder setBytes:constants length:sizeof constants atIndex:1];
  [encoder setBuffer:words offset:0 atIndex:2];
  [encoder dispatchThreads:MTLSizeMake(4, 1, 1) threadsPerThreadgroup:MTLSizeMake(32, 1, 1)];
  constants[0] = 0; // was copied
  [encoder setComputePipelineState:gather];
  [encoder setBytes:table length:sizeof table atIndex:1];
  [encoder dispatchThreads:MTLSizeMake(4, 1, 1) threadsPerThreadgroup:MTLSizeMake(32, 1, 1)];
  table[0] = 100;
  [encoder setBytes:table length:sizeof table atIndex:1];
  [encoder dispatchThreads:MTLSizeMake(1, 1, 1) threadsPerThreadgroup:MTLSizeMake(32, 1, 1)];
  [encoder endEncoding];
  [commands commit];
  [commands waitUntilCompleted];
  CHECK_NUMBER([commands status], MTLCommandBufferStatusCompleted);
  CHECK_NUMBER(numberIn(numbers, 0), 2 * 10 + 5 + 1 + 100);
  CHECK_NUMBER(numberIn(numbers, 1), 5 + 2);
  CHECK_NUMBER(numberIn(numbers, 3), 5 + 4);
  [numbers release], [words release], [step release], [gather release];
}

static void largeGridsAreSeveralLaunches(void) {
  id<MTLComputePipelineState> fits = newPipelineFor(@"gather", NO);
  id<MTLBuffer> numbers = newBuffer(64);
  id<MTLCommandBuffer> commands = [queue commandBuffer];
  id<MTLComputeCommandEncoder> encoder = [commands computeCommandEncoder];
  [encoder setComputePipelineState:fits];
  [encoder setBuffer:numbers offset:0 atIndex:0];
  [encoder setBuffer:numbers offset:0 atIndex:1];
  [encoder dispatchThreadgroups:MTLSizeMake(2, 70000, 1) threadsPerThreadgroup:MTLSizeMake(4, 2, 1)];
  [encoder endEncoding];
  ran = 0;
  [commands commit];
  [commands waitUntilCompleted];
  CHECK_NUMBER(ran, 2);
  CHECK_NUMBER(latestLaunch.origin[1], 65535);
  CHECK_NUMBER(latestKernel.grid[1], 70000 - 65535);
  CHECK(latestLaunch.grid[1] == 140000 && latestLaunch.grid[0] == 8 && latestLaunch.requested[1] == 2);
  [numbers release], [fits release];
}

static void threadgroupMemoryIsLaidOut(void) {
  id<MTLComputePipelineState> staged = newPipelineFor(@"staged", NO);
  id<MTLBuffer> numbers = newBuffer(64);
  id<MTLCommandBuffer> commands = [queue commandBuffer];
  id<MTLComputeCommandEncoder> encoder = [commands computeCommandEncoder];
  [encoder setComputePipelineState:staged];
  [encoder setBuffer:numbers offset:0 atIndex:0];
  [encoder setThreadgroupMemoryLength:64 << 10 atIndex:0];
  [encoder setThreadgroupMemoryLength:48 atIndex:1];
  [encoder dispatchThreadgroups:MTLSizeMake(1, 1, 1) threadsPerThreadgroup:MTLSizeMake(16, 1, 1)];
  [encoder endEncoding];
  [commands commit];
  [commands waitUntilCompleted];
  const NSUInteger own = [staged staticThreadgroupMemoryLength];
  CHECK(own >= 16 && own % 16 == 0);
  CHECK_NUMBER([commands status], MTLCommandBufferStatusCompleted);
  CHECK_NUMBER(latestLaunch.threadgroupMemory[0], own);
  CHECK_NUMBER(latestLaunch.threadgroupMemory[1], own + (64 << 10));
  CHECK_NUMBER(latestKernel.shared, own + (64 << 10) + 48);
  [numbers release], [staged release];
}

/* ---- errors --------------------------------------------------------------------------------------------------------- */

static void kernelsThatDoNotCompileSayWhy(void) {
  id<MTLFunction> function = [library newFunctionWithName:@"fault"];
  NSError *error = nil;
  id<MTLLibrary> wrong = [device newLibraryWithSource:@"kernel void FAKE_ERROR(device uint *x) { x[0] = 1; }" options:nil error:&error];
  id<MTLFunction> fake = [wrong newFunctionWithName:@"FAKE_ERROR"];
  id<MTLComputePipelineState> none = [device newComputePipelineStateWithFunction:fake error:&error];
  const char *text = [[error localizedDescription] UTF8String];
  CHECK(none == nil && text && strstr(text, "Cannot compile kernel 'FAKE_ERROR'") && strstr(text, "a fake's error"));
  [fake release], [wrong release];
  const unsigned loaded = calls("cuLibraryLoadData"), modules = calls("cuModuleLoadDataEx");
  failNext("cuKernelGetFunction", 0, 2); // a module is what is left then
  id<MTLComputePipelineState> first = [device newComputePipelineStateWithFunction:function error:&error];
  id<MTLComputePipelineState> second = [device newComputePipelineStateWithFunction:function error:&error];
  id<MTLLibrary> again = [device newLibraryWithSource:kernels options:nil error:&error];
  id<MTLFunction> same = [again newFunctionWithName:@"fault"];
  id<MTLComputePipelineState> third = [device newComputePipelineStateWithFunction:same error:&error];
  CHECK(first && second && third);
  CHECK_NUMBER(calls("cuLibraryLoadData") - loaded, 1); // compiled once for all
  CHECK_NUMBER(calls("cuModuleLoadDataEx") - modules, 1);
  [first release], [second release], [third release], [same release], [again release], [function release];
}

/* Compiles MSL to a library in a file, as a build does. +1. */
static id<MTLLibrary> newCompiledLibrary(const char *source) {
  char folder[512] = "", name[] = "/tmp/bun-metal-cuda-XXXXXX", command[1600];
  const ssize_t length = readlink("/proc/self/exe", folder, sizeof folder - 1);
  if (length <= 0 || !mkdtemp(name)) return nil;
  *strrchr(folder, '/') = 0;
  snprintf(command, sizeof command,
           "cd %s && cat > k.metal && %s/../mslc --target nvptx64-sm_80 k.metal -o k.metallib", name, folder);
  FILE *input = popen(command, "w");
  if (!input) return nil;
  fputs(source, input);
  CHECK_NUMBER(pclose(input), 0);
  snprintf(command, sizeof command, "%s/k.metallib", name);
  NSError *error = nil;
  id<MTLLibrary> compiled =
      [device newLibraryWithURL:[NSURL fileURLWithPath:[NSString stringWithUTF8String:command]] error:&error];
  snprintf(command, sizeof command, "rm -r %s", name);
  CHECK_NUMBER(system(command), 0);
  return compiled;
}

/* A command buffer with one kernel, which has one buffer. */
static id<MTLCommandBuffer> runOn(id<MTLBuffer> numbers, id<MTLComputePipelineState> pipeline) {
  id<MTLCommandBuffer> commands = [queue commandBuffer];
  id<MTLComputeCommandEncoder> encoder = [commands computeCommandEncoder];
  [encoder setComputePipelineState:pipeline];
  [encoder setBuffer:numbers offset:0 atIndex:0];
  [encoder dispatchThreads:MTLSizeMake(1, 1, 1) threadsPerThreadgroup:MTLSizeMake(1, 1, 1)];
  [encoder endEncoding];
  [commands commit];
  [commands waitUntilCompleted];
  return commands;
}

static void kernelsOfCompiledLibrariesAreCompiledInTheBackground(void) {
  enum { Count = 24 };
  char source[8192] = "#include <metal_stdlib>\nkernel void FAKE_ERROR(device uint *x) { x[0] = 1; }\n";
  for (int i = 0; i < Count; i++)
    snprintf(source + strlen(source), sizeof source - strlen(source), "kernel void add_%d(device uint *x) { x[0] += %d; }\n", i, i);
  const unsigned loaded = calls("cuLibraryLoadData");
  id<MTLLibrary> outer = library, compiled = newCompiledLibrary(source);
  CHECK(compiled != nil);
  library = compiled;
  id<MTLComputePipelineState> pipelines[Count], wrong = newPipelineFor(@"FAKE_ERROR", NO);
  for (int i = 0; i < Count; i++)
    pipelines[i] = newPipelineFor([NSString stringWithFormat:@"add_%d", i], NO);
  CHECK(wrong != nil && pipelines[Count - 1] != nil); // whatever becomes of them
  library = outer;
  id<MTLBuffer> numbers = newBuffer(64);
  const unsigned before = ran;
  for (int i = Count; i-- > 0;) CHECK_NUMBER([runOn(numbers, pipelines[i]) status], MTLCommandBufferStatusCompleted);
  CHECK_NUMBER(ran - before, Count);
  for (int i = 0; i < 2; i++) {
    id<MTLCommandBuffer> failed = runOn(numbers, wrong);
    const char *text = [[[failed error] localizedDescription] UTF8String];
    CHECK_NUMBER([failed status], MTLCommandBufferStatusError);
    CHECK(text && strstr(text, "Cannot compile kernel 'FAKE_ERROR'") && strstr(text, "a fake's error"));
  }
  const unsigned attempts = calls("cuLibraryLoadData") - loaded;
  CHECK(attempts >= Count + 2 && attempts <= Count + 3); // what has failed is tried again
  for (int i = 0; i < Count; i++) [pipelines[i] release];
  [wrong release], [compiled release], [numbers release];
}

/* Libraries may go while their kernels are on the way. */
static void nobodyHasToWaitForKernels(void) {
  id<MTLLibrary> outer = library;
  for (int round = 0; round < 2; round++) {
    char source[8192] = "#include <metal_stdlib>\n";
    for (int i = 0; i < 40; i++)
      snprintf(source + strlen(source), sizeof source - strlen(source), "kernel void k_%d_%d(device uint *x) { x[0] = %d; }\n", round, i, i);
    library = newCompiledLibrary(source);
    for (int i = 0; i < 40; i++) [newPipelineFor([NSString stringWithFormat:@"k_%d_%d", round, i], NO) release];
    [library release];
  }
  library = outer;
}

/* The last case: the device is lost by it. */
static void faultsAreToldAndEndTheDevice(void) {
  id<MTLComputePipelineState> fault = newPipelineFor(@"fault", NO);
  id<MTLBuffer> numbers = newBuffer(64), private = newPrivate(64);
  for (int i = 0; i < 2; i++) {
    id<MTLCommandBuffer> commands = runOn(numbers, fault);
    CHECK_NUMBER([commands status], MTLCommandBufferStatusError);
    const char *text = [[[commands error] localizedDescription] UTF8String];
    CHECK(text && strstr(text, "CUDA_ERROR_ILLEGAL_ADDRESS"));
    CHECK(text && (strstr(text, "An earlier command broke the device") != NULL) == (i == 1));
  }
  CHECK(newPrivate(64) == nil && strstr(MTLReasonOfNil(), "CUDA_ERROR_ILLEGAL_ADDRESS"));
  [fault release], [numbers release], [private release];
}

int main(void) {
  if (!openCuda()) return 1;
  RUN_CASE(devicesAreListed);
  RUN_CASE(memoryIsWhereItsStorageSays);
  RUN_CASE(memoryThatIsOutIsTold);
  RUN_CASE(smallSharedMemoryIsUsedAgain);
  RUN_CASE(memoryOfTheCallersIsWrapped);
  RUN_CASE(copiesAndFillsAreDone);
  RUN_CASE(argumentsReachTheKernel);
  RUN_CASE(largeGridsAreSeveralLaunches);
  RUN_CASE(threadgroupMemoryIsLaidOut);
  RUN_CASE(kernelsThatDoNotCompileSayWhy);
  RUN_CASE(kernelsOfCompiledLibrariesAreCompiledInTheBackground);
  RUN_CASE(nobodyHasToWaitForKernels);
  RUN_CASE(faultsAreToldAndEndTheDevice);
  return closeCuda();
}

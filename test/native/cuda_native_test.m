/* Stand-ins on the CUDA device: which commands they take, the graphs with them, and their memory. With BUN_METAL_CUDA_NATIVE set,
 * what that leaves of them. */
#import "cuda_native_steps.h"

#include <time.h>

/* ---- graphs ---------------------------------------------------------------------------------------------------------- */

/* Each command changes a number of its own, or, behind a barrier, one that another has changed. Stand-ins take any runs. */
static void standInsKeepTheOrderOfBarriers(void) {
  unsigned seed = (unsigned)time(NULL);
  printf("     graphs of seed %u\n", seed);
  for (int round = 0; round < 12; round++) {
    const unsigned count = 2 + (unsigned)rand_r(&seed) % (MostCommands - 2);
    Steps steps = newNativeSteps(count, 0);
    takesScratch = round % 2;
    overlaps = round % 3 == 0;
    bool waits[MostCommands] = {false};
    uint32_t wanted[MostCommands] = {0};
    unsigned place = 0;
    for (unsigned i = 0; i < MostCommands; i++) {
      mostTaken[i] = (unsigned)rand_r(&seed) % 4 ? (unsigned)rand_r(&seed) % MostTaken : 0;
      numbersOf(&steps)[i] = 0;
    }
    for (unsigned i = 0; i < count; i++) {
      waits[i] = rand_r(&seed) % (round % 2 ? 2 : 6) == 0;
      if (waits[i]) place = (unsigned)rand_r(&seed) % 3;
      else place++;
      const uint32_t factor = rand_r(&seed) % 5 ? 3 + i : OtherFactor;
      encodeStep(&steps, i, place, factor, 0, waits[i]);
      wanted[place] = wanted[place] * factor + 1;
    }
    runSteps(&steps, NSMakeRange(0, count));
    unsigned wrong = 0;
    for (unsigned i = 0; i < MostCommands; i++) wrong += numbersOf(&steps)[i] != wanted[i];
    CHECK_NUMBER(wrong, 0);
    const char *names[MostCommands];
    const unsigned nodes = graphNodes(names, MostCommands);
    CHECK(nodes <= count);
    for (unsigned i = 0; i < nodes; i++) CHECK(overlaps || !beginsEarly(i));
    numbersOf(&steps)[0] = 5;
    runSteps(&steps, NSMakeRange(0, count)); // with memory that was used
    freeSteps(&steps);
  }
}

static void runsAreOneNodeInTheirPlace(void) {
  Steps steps = newNativeSteps(8, 0);
  const bool waits[] = {false, false, false, true, false, true, false, false};
  for (unsigned i = 0; i < 8; i++) encodeStep(&steps, i, i, 2, 0, waits[i]);
  mostTaken[2] = 3; // commands 2, 3 and 4: across a barrier
  mostTaken[6] = 2; // commands 6 and 7: behind the same one
  runSteps(&steps, NSMakeRange(0, 8));
  const char *names[MostCommands];
  CHECK_NUMBER(graphNodes(names, MostCommands), 5); // 0, 1, 2-4, 5, 6-7
  CHECK(strstr(names[0], "step_by") && strcmp(names[2], "steps_90") == 0 && strcmp(names[4], "steps_90") == 0);
  const bool wanted[5][5] = {{0, 0, 1, 1, 1}, {0, 0, 1, 1, 1}, {0, 0, 0, 1, 1}, {0}, {0}};
  for (unsigned a = 0; a < 5; a++)
    for (unsigned b = 0; b < 5; b++) CHECK_NUMBER(follows(a, b) != 0, wanted[a][b]);
  CHECK_NUMBER(nativeRan, 2);
  freeSteps(&steps);
}

static void kernelsAreThoseOfTheNewestTarget(void) {
  Steps steps = newNativeSteps(1, 1);
  encodeStep(&steps, 0, 0, 2, 0, true);
  runSteps(&steps, NSMakeRange(0, 1));
  const char *major = getenv("FAKE_CUDA_MAJOR");
  const bool isOld = major && atoi(major) == 8;
  CHECK_TEXT(latestNative, isOld ? "steps_80" : "steps_90");
  CHECK_NUMBER(latestNativeKernel.overlaps, 0);
  // What is for both has the instructions of the newer where it runs on that.
  kernelName = "early";
  encodeStep(&steps, 0, 0, 3, 0, true);
  runSteps(&steps, NSMakeRange(0, 1));
  CHECK_TEXT(latestNative, "steps_early");
  CHECK_NUMBER(latestNativeKernel.target, isOld ? 80 : 90);
  CHECK_NUMBER(latestNativeKernel.overlaps, !isOld);
  freeSteps(&steps);
}

static void chainsOverlap(void) {
  Steps steps = newNativeSteps(6, 1);
  overlaps = true;
  mostTaken[2] = 0; // compiled from MSL
  const bool waits[] = {true, true, true, true, true, false};
  for (unsigned i = 0; i < 6; i++) encodeStep(&steps, i, i, 2, 0, waits[i]);
  runSteps(&steps, NSMakeRange(0, 6));
  const char *names[MostCommands];
  CHECK_NUMBER(graphNodes(names, MostCommands), 6);
  // 0 comes behind copies, 2 is no stand-in, 3 comes behind it, 4 and 5 are two.
  for (unsigned i = 0; i < 6; i++) CHECK_NUMBER(beginsEarly(i), i == 1);
  for (unsigned i = 0; i < 4; i++) CHECK(follows(i, i + 1) && follows(i, 5));
  // Only where both say so.
  Steps other = newNativeSteps(2, 1);
  for (unsigned i = 0; i < 2; i++) encodeStep(&other, i, i, 2, 0, true);
  runSteps(&other, NSMakeRange(0, 2));
  CHECK(graphNodes(names, MostCommands) == 2 && !beginsEarly(1));
  freeSteps(&other);
  freeSteps(&steps);
}

static void plansKnowWhatNobodyWrites(void) {
  Steps steps = newNativeSteps(2, 1);
  const NSRange all = NSMakeRange(0, 2);
  encodeStep(&steps, 0, 4, 2, 0, true);
  encodeStep(&steps, 1, 5, 2, 0, true);
  runSteps(&steps, all);
  CHECK_NUMBER(unwritten, 6); // constants and words
  // Words that lie where another command writes.
  [[steps.commands indirectComputeCommandAtIndex:1] setKernelBuffer:steps.numbers offset:64 atIndex:2];
  runSteps(&steps, all);
  CHECK_NUMBER(unwritten, 2);
  // What is written elsewhere than before is news for all.
  const unsigned made = calls("cuGraphInstantiateWithFlags");
  encodeStep(&steps, 0, 6, 2, 0, true);
  runSteps(&steps, all);
  CHECK_NUMBER(calls("cuGraphInstantiateWithFlags"), made);
  encodeStep(&steps, 0, 0, 2, 0, true);
  runSteps(&steps, all);
  CHECK_NUMBER(calls("cuGraphInstantiateWithFlags") - made, 1);
  freeSteps(&steps);
}

static CudaNativePlan *const plans[] = {planSteps, NULL};
static MslText kernelsOfTest;

/* What all graphs begin with. Without such a kernel, as in the other cases, it is a node of the driver's own. */
static void wordsAreBroughtByAKernel(void) {
  MslText slice = newSlice(true);
  cudaNativeReplace(plans, slice.bytes, slice.length);
  Steps steps = newNativeSteps(3, 0);
  mostTaken[1] = 1;
  overlaps = true;
  const unsigned copies = calls("cuGraphAddMemcpyNode");
  for (unsigned i = 0; i < 3; i++) encodeStep(&steps, i, i, 2, 0, true);
  for (uint32_t word = 1; word < 3; word++) {
    ((uint32_t *)[steps.words contents])[0] = word;
    for (unsigned i = 0; i < 3; i++) numbersOf(&steps)[i] = i;
    runSteps(&steps, NSMakeRange(0, 3));
    for (unsigned i = 0; i < 3; i++) CHECK_NUMBER(numbersOf(&steps)[i], 2 * i + word);
  }
  const char *names[MostCommands];
  CHECK_NUMBER(graphNodes(names, MostCommands), 4);
  CHECK_TEXT(names[0], "copy_words");
  for (unsigned i = 1; i < 4; i++) CHECK(follows(0, i) && !beginsEarly(i));
  CHECK_NUMBER(calls("cuGraphAddMemcpyNode"), copies);
  freeSteps(&steps);
  cudaNativeReplace(plans, kernelsOfTest.bytes, kernelsOfTest.length);
  mslTextFree(&slice);
}

/* ---- changes --------------------------------------------------------------------------------------------------------- */

static void changesAreSeenByPlans(void) {
  Steps steps = newNativeSteps(4, 0);
  const NSRange all = NSMakeRange(0, 4);
  mostTaken[0] = 2;
  for (unsigned i = 0; i < 4; i++) encodeStep(&steps, i, 0, 2, 0, true);
  mostTaken[1] = 0;
  numbersOf(&steps)[0] = 0;
  const unsigned made = calls("cuGraphInstantiateWithFlags"), changed = calls("cuGraphExecKernelNodeSetParams");
  runSteps(&steps, all);
  CHECK_NUMBER(numbersOf(&steps)[0], 15);
  CHECK_NUMBER(nativeRan, 2);
  // The second command of a run: its launch changes.
  encodeStep(&steps, 1, 0, 10, 0, true);
  numbersOf(&steps)[0] = 0;
  runSteps(&steps, all);
  CHECK_NUMBER(numbersOf(&steps)[0], (11 * 2 + 1) * 2 + 1);
  CHECK_NUMBER(calls("cuGraphInstantiateWithFlags") - made, 1);
  CHECK_NUMBER(calls("cuGraphExecKernelNodeSetParams") - changed, 1);
  // Both commands of a run change once.
  encodeStep(&steps, 2, 0, 3, 0, true);
  encodeStep(&steps, 3, 0, 3, 0, true);
  numbersOf(&steps)[0] = 0;
  runSteps(&steps, all);
  CHECK_NUMBER(numbersOf(&steps)[0], (11 * 3 + 1) * 3 + 1);
  CHECK_NUMBER(calls("cuGraphExecKernelNodeSetParams") - changed, 2);
  // What is encoded again as it was, and what the plan has no eye for, changes nothing.
  encodeStep(&steps, 3, 0, 3, 0, true);
  numbersOf(&steps)[0] = 0;
  runSteps(&steps, all);
  CHECK_NUMBER(numbersOf(&steps)[0], (11 * 3 + 1) * 3 + 1);
  CHECK_NUMBER(calls("cuGraphExecKernelNodeSetParams") - changed, 2);
  // What the plan takes no more needs another graph, and so does what it takes again.
  for (unsigned round = 0; round < 2; round++) {
    const uint32_t factor = round ? 5 : OtherFactor;
    nativeRan = 0;
    encodeStep(&steps, 1, 0, factor, 0, true);
    numbersOf(&steps)[0] = 0;
    runSteps(&steps, all);
    CHECK_NUMBER(numbersOf(&steps)[0], ((factor + 1) * 3 + 1) * 3 + 1);
    CHECK_NUMBER(calls("cuGraphInstantiateWithFlags") - made, 2 + round);
    CHECK_NUMBER(nativeRan, 2); // 0 alone and 2 with 3, or 0 with 1
  }
  freeSteps(&steps);
}

static void constantsThatChangeAreNoneForPlans(void) {
  Steps steps = newNativeSteps(2, 2);
  const NSRange all = NSMakeRange(0, 2);
  encodeStep(&steps, 0, 0, 2, 0, true);
  encodeStep(&steps, 1, 0, 3, 0, true);
  numbersOf(&steps)[0] = 1;
  runSteps(&steps, all);
  CHECK_NUMBER(numbersOf(&steps)[0], 10);
  CHECK_NUMBER(nativeRan, 1);
  for (uint32_t factor = 5; factor < 8; factor++) {
    ((uint32_t *)[steps.constants contents])[4] = factor; // of command 1; nothing is encoded again
    numbersOf(&steps)[0] = 1;
    nativeRan = 0;
    runSteps(&steps, all);
    CHECK_NUMBER(numbersOf(&steps)[0], 3 * factor + 1);
    CHECK_NUMBER(nativeRan, 1); // command 0 alone
  }
  freeSteps(&steps);
}

static void graphsWithMemory(void) {
  FakeCounts made, after;
  Steps steps = newNativeSteps(4, 1);
  takesScratch = true;
  for (unsigned i = 0; i < 4; i++) encodeStep(&steps, i, i, 2, 0, true);
  runSteps(&steps, NSMakeRange(0, 4));
  counts(&made);
  const unsigned fills = calls("cuMemsetD8Async");
  for (int i = 0; i < 3; i++) runSteps(&steps, NSMakeRange(0, 4));
  CHECK_NUMBER(calls("cuMemsetD8Async"), fills);
  // More memory for partial sums than it has: another graph, which has it.
  mostTaken[0] = 3;
  encodeStep(&steps, 0, 0, 3, 0, true);
  runSteps(&steps, NSMakeRange(0, 4));
  CHECK_NUMBER(calls("cuMemsetD8Async") - fills, 1);
  counts(&after);
  CHECK_NUMBER(after.memory, made.memory);
  CHECK_NUMBER(after.instances, made.instances);
  freeSteps(&steps);
}

static void memoryIsKeptWithItsGraph(void) {
  FakeCounts before, after;
  for (int round = 0; round < 3; round++) {
    if (round == 1) counts(&before); // what was compiled is kept
    @autoreleasepool {
      graphsWithMemory();
    }
  }
  counts(&after);
  CHECK_NUMBER(after.bytes, before.bytes);
  CHECK_NUMBER(after.memory, before.memory);
}

/* One step in a command buffer of its own, which is waited for. */
static id<MTLCommandBuffer> dispatchStep(const Steps *steps, id<MTLComputePipelineState> pipeline) {
  static const uint32_t constant[] = {2, 0};
  id<MTLCommandBuffer> commands = [queue commandBuffer];
  id<MTLComputeCommandEncoder> encoder = [commands computeCommandEncoder];
  [encoder setComputePipelineState:pipeline];
  [encoder setBuffer:steps->numbers offset:0 atIndex:0];
  [encoder setBytes:constant length:sizeof constant atIndex:1];
  [encoder setBuffer:steps->words offset:0 atIndex:2];
  [encoder dispatchThreads:MTLSizeMake(1, 1, 1) threadsPerThreadgroup:MTLSizeMake(32, 1, 1)];
  [encoder endEncoding];
  [commands commit];
  [commands waitUntilCompleted];
  return commands;
}

static void dispatchesAreOfferedAlone(void) {
  Steps steps = newNativeSteps(1, MostTaken);
  takesScratch = true;
  id<MTLComputePipelineState> pipeline = newPipelineFor(@"step_by", NO);
  numbersOf(&steps)[0] = numbersOf(&steps)[1] = 0;
  for (int round = 0; round < 2; round++) {
    id<MTLCommandBuffer> commands = [queue commandBuffer];
    id<MTLComputeCommandEncoder> encoder = [commands computeCommandEncoder];
    [encoder setComputePipelineState:pipeline];
    for (unsigned i = 0; i < 6; i++) {
      const uint32_t constant[] = {i == 5 ? OtherFactor : 2 + i, 0};
      [encoder setBuffer:steps.numbers offset:4 * (i % 2) atIndex:0];
      [encoder setBytes:constant length:sizeof constant atIndex:1];
      [encoder setBuffer:steps.words offset:0 atIndex:2];
      [encoder dispatchThreads:MTLSizeMake(1, 1, 1) threadsPerThreadgroup:MTLSizeMake(32, 1, 1)];
    }
    [encoder endEncoding];
    [commands commit];
    [commands waitUntilCompleted];
    CHECK_NUMBER([commands status], MTLCommandBufferStatusCompleted);
    CHECK_NUMBER(nativeRan, 5 * (round + 1));
    numbersOf(&steps)[round] = 0;
  }
  CHECK_NUMBER(numbersOf(&steps)[0], ((0 * 2 + 1) * 4 + 1) * 6 + 1);
  [pipeline release];
  freeSteps(&steps);
}

/* Counters are zero, which runEither checks, also where memory was had for them and none for partial sums. */
static void memoryOfDispatchesIsClearedWhateverFails(void) {
  static const struct {
    const char *symbol;
    unsigned after;
  } failures[] = {{"cuMemAlloc_v2", 0}, {"cuMemAlloc_v2", 1}, {"cuMemsetD8Async", 0}};
  for (size_t i = 0; i < sizeof failures / sizeof *failures; i++) {
    id<MTLCommandQueue> other = [device newCommandQueue], usual = queue; // with no memory yet
    queue = other;
    Steps steps = newNativeSteps(1, 1);
    takesScratch = true;
    id<MTLComputePipelineState> pipeline = newPipelineFor(@"step_by", NO);
    numbersOf(&steps)[0] = 0;
    failNext(failures[i].symbol, failures[i].after, 2);
    CHECK_NUMBER([dispatchStep(&steps, pipeline) status], MTLCommandBufferStatusError);
    CHECK_NUMBER([dispatchStep(&steps, pipeline) status], MTLCommandBufferStatusCompleted);
    CHECK_NUMBER(numbersOf(&steps)[0], 1);
    CHECK_NUMBER(nativeRan, 1);
    [pipeline release];
    freeSteps(&steps);
    queue = usual;
    [other release];
  }
}

/* How often the driver is told something of a function while steps run on the first device or the second: alone, in a graph,
 * and in a graph that changes. */
static unsigned attributesSet(NSUInteger index) {
  const id<MTLDevice> usualDevice = device;
  const id<MTLLibrary> usualLibrary = library;
  const id<MTLCommandQueue> usualQueue = queue;
  const unsigned before = calls("cuFuncSetAttribute");
  NSArray *all = MTLCopyAllDevices();
  device = [all objectAtIndex:1 + index];
  library = [device newLibraryWithSource:kernels options:nil error:NULL];
  queue = [device newCommandQueue];
  Steps steps = newNativeSteps(2, 2);
  id<MTLComputePipelineState> pipeline = newPipelineFor(@"step_by", NO);
  CHECK_NUMBER([dispatchStep(&steps, pipeline) status], MTLCommandBufferStatusCompleted);
  for (uint32_t factor = 2; factor < 5; factor++) {
    for (unsigned i = 0; i < 2; i++) encodeStep(&steps, i, 0, factor, 0, true);
    runSteps(&steps, NSMakeRange(0, 2));
  }
  CHECK_NUMBER(nativeRan, 4);
  [pipeline release];
  freeSteps(&steps);
  [queue release], [library release];
  device = usualDevice, library = usualLibrary, queue = usualQueue;
  [all release];
  return calls("cuFuncSetAttribute") - before;
}

/* A function is one of a device's context. */
static void driversAreToldOnceOfEachDevicesKernels(void) {
  attributesSet(0);
  CHECK_NUMBER(attributesSet(0), 0);
  CHECK_NUMBER(attributesSet(1), 1);
  CHECK_NUMBER(attributesSet(1), 0);
  CHECK_NUMBER(attributesSet(0), 0);
}

static void shadersOfOthersAreAsTheyAreWritten(void) {
  NSString *other = @"kernel void step_by(device uint *x [[buffer(0)]], constant uint2 &step [[buffer(1)]],\n"
                    @"                    device const uint *words [[buffer(2)]]) { x[0] = x[0] * step.x + words[step.y]; }\n";
  id<MTLLibrary> own = library;
  library = [device newLibraryWithSource:[@"#include <metal_stdlib>\nusing namespace metal;\n" stringByAppendingString:other] options:nil error:NULL];
  CHECK(library != nil);
  Steps steps = newNativeSteps(1, 1);
  encodeStep(&steps, 0, 0, 2, 0, true);
  runSteps(&steps, NSMakeRange(0, 1));
  CHECK_NUMBER(nativeRan, 0);
  freeSteps(&steps);
  [library release];
  library = own;
}

/* ---- errors ---------------------------------------------------------------------------------------------------------- */

static void failuresAreErrorsOfTheirWork(void) {
  Steps steps = newNativeSteps(2, 1);
  takesScratch = true;
  encodeStep(&steps, 0, 0, 2, 0, true);
  encodeStep(&steps, 1, 0, 2, 0, true);
  kernelName = "another";
  CHECK_FAILS(&steps, "There is no native kernel 'another' for Fake GPU 0: BUN_METAL_CUDA_NATIVE=off does without");
  kernelName = "steps";
  static const char *const symbols[] = {"cuMemAlloc_v2", "cuMemsetD8Async", "cuGraphAddKernelNode", "cuGraphInstantiateWithFlags"};
  for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
    // The words' copy is allocated before.
    failNext(symbols[i], i == 0, 2);
    CHECK_FAILS(&steps, "CUDA_ERROR_OUT_OF_MEMORY");
  }
  runSteps(&steps, NSMakeRange(0, 2));
  overlaps = true;
  encodeStep(&steps, 1, 0, 3, 0, true);
  failNext("cuGraphAddDependencies_v2", 0, 2);
  CHECK_FAILS(&steps, "CUDA_ERROR_OUT_OF_MEMORY");
  runSteps(&steps, NSMakeRange(0, 2));
  freeSteps(&steps);
  CHECK_NUMBER(nativeRan, 4);
}

static void damagedKernelsAreErrors(void) {
  MslText slice = newSlice(false);
  slice.bytes[slice.length / 2] ^= 0x55;
  cudaNativeReplace((CudaNativePlan *const[]){planSteps, NULL}, slice.bytes, slice.length / 2);
  Steps steps = newNativeSteps(2, 1);
  encodeStep(&steps, 0, 0, 2, 0, true);
  encodeStep(&steps, 1, 0, 2, 0, true);
  CHECK_FAILS(&steps, "is damaged");
  freeSteps(&steps);
  mslTextFree(&slice);
}

/* Some driver may lack what its version promises: the same work is done without. */
static void driversWithoutOverlapsDoWithout(void) {
  static const char *const symbols[] = {"cuGraphAddDependencies_v2", "cuGraphInstantiateWithFlags"};
  for (size_t i = 0; i < 2; i++) {
    Steps steps = newNativeSteps(3, 1);
    overlaps = true;
    for (unsigned k = 0; k < 3; k++) encodeStep(&steps, k, 0, 2, 0, true);
    failNext(symbols[i], 0, 801);
    const char *names[MostCommands];
    for (int round = 0; round < 2; round++) {
      numbersOf(&steps)[0] = 1;
      runSteps(&steps, NSMakeRange(0, 3));
      CHECK_NUMBER(numbersOf(&steps)[0], 15);
    }
    CHECK_NUMBER(graphNodes(names, MostCommands), 3);
    for (unsigned k = 0; k < 3; k++) CHECK(!beginsEarly(k));
    CHECK(follows(0, 1) && follows(1, 2));
    CHECK(cudaDevice(0)->refusesOverlaps); // and so it is not tried again
    cudaDevice(0)->refusesOverlaps = false;
    freeSteps(&steps);
  }
}

/* With a setting. */
static void settingsLeaveStandInsOut(void) {
  const char *setting = getenv("BUN_METAL_CUDA_NATIVE");
  Steps steps = newNativeSteps(2, 1);
  overlaps = true;
  encodeStep(&steps, 0, 0, 2, 0, true);
  encodeStep(&steps, 1, 0, 3, 0, true);
  numbersOf(&steps)[0] = 1;
  runSteps(&steps, NSMakeRange(0, 2));
  CHECK_NUMBER(numbersOf(&steps)[0], 10);
  CHECK_NUMBER(nativeRan, strcmp(setting, "off") == 0 ? 0 : 2);
  CHECK(!beginsEarly(0) && !beginsEarly(1));
  freeSteps(&steps);
}

int main(void) {
  setenv("FAKE_CUDA_DEVICES", "2", 1);
  if (!openCuda()) return 1;
  onKernel(runEither);
  kernelsOfTest = newSlice(false);
  cudaNativeReplace(plans, kernelsOfTest.bytes, kernelsOfTest.length);
  if (getenv("BUN_METAL_CUDA_NATIVE") || getenv("FAKE_CUDA_MAJOR")) {
    if (getenv("BUN_METAL_CUDA_NATIVE")) RUN_CASE(settingsLeaveStandInsOut);
    else RUN_CASE(kernelsAreThoseOfTheNewestTarget);
  } else {
    RUN_CASE(standInsKeepTheOrderOfBarriers);
    RUN_CASE(runsAreOneNodeInTheirPlace);
    RUN_CASE(kernelsAreThoseOfTheNewestTarget);
    RUN_CASE(chainsOverlap);
    RUN_CASE(wordsAreBroughtByAKernel);
    RUN_CASE(plansKnowWhatNobodyWrites);
    RUN_CASE(changesAreSeenByPlans);
    RUN_CASE(constantsThatChangeAreNoneForPlans);
    RUN_CASE(memoryIsKeptWithItsGraph);
    RUN_CASE(dispatchesAreOfferedAlone);
    RUN_CASE(memoryOfDispatchesIsClearedWhateverFails);
    RUN_CASE(driversAreToldOnceOfEachDevicesKernels);
    RUN_CASE(shadersOfOthersAreAsTheyAreWritten);
    RUN_CASE(failuresAreErrorsOfTheirWork);
    RUN_CASE(driversWithoutOverlapsDoWithout);
    RUN_CASE(damagedKernelsAreErrors);
  }
  cudaNativeReplace(NULL, NULL, 0);
  mslTextFree(&kernelsOfTest);
  return closeCuda();
}

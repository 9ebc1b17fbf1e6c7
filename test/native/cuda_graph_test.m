/* Indirect commands on the CUDA device: the graphs that they become, and what is kept of them. */
#import "cuda_steps.h"

#include <time.h>

static void graphsHaveTheEdgesOfBarriers(void) {
  unsigned seed = (unsigned)time(NULL);
  printf("     graphs of seed %u\n", seed);
  for (int round = 0; round < 6; round++) {
    const unsigned count = 2 + (unsigned)rand_r(&seed) % (MostCommands - 2);
    Steps steps = newSteps(count);
    bool waits[MostCommands] = {false};
    for (unsigned i = 0; i < count; i++) {
      // Wide layers in some rounds, narrow ones in others: both kinds of edges between layers.
      waits[i] = rand_r(&seed) % (round % 2 ? 2 : 12) == 0;
      encodeStep(&steps, i, i, 1, 0, waits[i]);
    }
    runSteps(&steps, NSMakeRange(0, count));
    const char *names[MostCommands];
    CHECK_NUMBER(graphNodes(names, MostCommands), count);
    unsigned wrong = 0;
    for (unsigned a = 0; a < count; a++) {
      bool isBehind = false;
      for (unsigned b = a + 1; b < count; b++) {
        isBehind = isBehind || waits[b];
        wrong += (follows(a, b) != 0) != isBehind || follows(b, a) != 0;
      }
    }
    CHECK_NUMBER(wrong, 0);
    freeSteps(&steps);
  }
}

static void graphsAreKeptAndChanged(void) {
  Steps steps = newSteps(4);
  const NSRange all = NSMakeRange(0, 4);
  ((uint32_t *)[steps.words contents])[0] = 1;
  for (unsigned i = 0; i < 4; i++) encodeStep(&steps, i, 0, 2, 0, true); // ((x 2 + 1) 2 + 1) ...
  numbersOf(&steps)[0] = 0;
  const unsigned made = calls("cuGraphInstantiateWithFlags"), changed = calls("cuGraphExecKernelNodeSetParams");
  runSteps(&steps, all);
  CHECK_NUMBER(numbersOf(&steps)[0], 15);
  CHECK_NUMBER(latestLaunch.inlined, 2);
  // The same again, with other words: no node changes.
  ((uint32_t *)[steps.words contents])[0] = 3;
  numbersOf(&steps)[0] = 0;
  runSteps(&steps, all);
  CHECK_NUMBER(numbersOf(&steps)[0], 45);
  CHECK_NUMBER(calls("cuGraphInstantiateWithFlags") - made, 1);
  CHECK_NUMBER(calls("cuGraphExecKernelNodeSetParams") - changed, 0);
  // A command that changes is one node that changes.
  encodeStep(&steps, 3, 0, 10, 0, true);
  numbersOf(&steps)[0] = 0;
  runSteps(&steps, all);
  CHECK_NUMBER(numbersOf(&steps)[0], 21 * 10 + 3);
  CHECK_NUMBER(calls("cuGraphInstantiateWithFlags") - made, 1);
  CHECK_NUMBER(calls("cuGraphExecKernelNodeSetParams") - changed, 1);
  // One that goes, and comes back: two graphs, which both stay.
  for (int round = 0; round < 3; round++) {
    [[steps.commands indirectComputeCommandAtIndex:3] reset];
    numbersOf(&steps)[0] = 0;
    runSteps(&steps, all);
    CHECK_NUMBER(numbersOf(&steps)[0], 21);
    encodeStep(&steps, 3, 0, 10, 0, true);
    numbersOf(&steps)[0] = 0;
    runSteps(&steps, all);
    CHECK_NUMBER(numbersOf(&steps)[0], 213);
  }
  CHECK_NUMBER(calls("cuGraphInstantiateWithFlags") - made, 2);
  freeSteps(&steps);
}

static void constantsThatChangeAreSeen(void) {
  Steps steps = newSteps(2);
  const NSRange all = NSMakeRange(0, 2);
  uint32_t *constants = [steps.constants contents];
  encodeStep(&steps, 0, 0, 2, 0, true);
  encodeStep(&steps, 1, 0, 3, 0, true);
  ((uint32_t *)[steps.words contents])[0] = 1;
  numbersOf(&steps)[0] = 1;
  runSteps(&steps, all);
  CHECK_NUMBER(numbersOf(&steps)[0], 10);
  const unsigned made = calls("cuGraphInstantiateWithFlags");
  for (uint32_t factor = 5; factor < 9; factor++) {
    constants[4] = factor; // of command 1; nothing is encoded again
    numbersOf(&steps)[0] = 1;
    runSteps(&steps, all);
    CHECK_NUMBER(numbersOf(&steps)[0], 3 * factor + 1);
  }
  // It was no constant once, and is not taken for one again.
  CHECK_NUMBER(calls("cuGraphInstantiateWithFlags") - made, 1);
  CHECK_NUMBER(latestLaunch.inlined, 0);
  // What the device writes is read when the command runs.
  id<MTLCommandBuffer> fills = [queue commandBuffer];
  id<MTLBlitCommandEncoder> blit = [fills blitCommandEncoder];
  [blit fillBuffer:steps.constants range:NSMakeRange(0, 4) value:1];
  [blit endEncoding];
  [fills commit];
  numbersOf(&steps)[0] = 1;
  runSteps(&steps, all);
  CHECK_NUMBER(numbersOf(&steps)[0], (0x01010101u + 1) * 8 + 1);
  freeSteps(&steps);
}

static void listsThatAreResetAreSnapshots(void) {
  Steps steps = newSteps(2);
  ((uint32_t *)[steps.words contents])[0] = 1;
  encodeStep(&steps, 0, 0, 1, 0, true);
  encodeStep(&steps, 1, 0, 1, 0, true);
  numbersOf(&steps)[0] = 0;
  id<MTLCommandBuffer> commands = [queue commandBuffer];
  id<MTLComputeCommandEncoder> encoder = [commands computeCommandEncoder];
  const id<MTLResource> used[] = {steps.numbers, steps.constants, steps.words};
  [encoder useResources:used count:3 usage:MTLResourceUsageRead | MTLResourceUsageWrite];
  [encoder executeCommandsInBuffer:steps.commands withRange:NSMakeRange(0, 2)];
  [encoder endEncoding];
  id<MTLBlitCommandEncoder> blit = [commands blitCommandEncoder];
  [blit resetCommandsInBuffer:steps.commands withRange:NSMakeRange(0, 1)];
  [blit endEncoding];
  [commands commit];
  [commands waitUntilCompleted];
  CHECK_NUMBER(numbersOf(&steps)[0], 2);
  runSteps(&steps, NSMakeRange(0, 2));
  CHECK_NUMBER(numbersOf(&steps)[0], 3);
  freeSteps(&steps);
}

static void manyMayBeInFlight(void) {
  Steps steps = newSteps(1);
  encodeStep(&steps, 0, 0, 1, 0, true);
  ((uint32_t *)[steps.words contents])[0] = 1;
  numbersOf(&steps)[0] = 0;
  for (int i = 0; i < 40; i++) submitSteps(&steps, NSMakeRange(0, 1));
  runSteps(&steps, NSMakeRange(0, 1));
  CHECK_NUMBER(numbersOf(&steps)[0], 41);
  freeSteps(&steps);
}

/* The end of short work is seen by who looks for it, that of long work by who waits. */
static void endsAreSeen(void) {
  static const char *const times[] = {"0", "3000"};
  for (int i = 0; i < 2; i++) {
    setenv("FAKE_CUDA_STEP_US", times[i], 1);
    manyMayBeInFlight();
  }
  unsetenv("FAKE_CUDA_STEP_US");
}

/* ---- errors, and what is left ----------------------------------------------------------------------------------------- */

static void failuresOfCallsAreErrorsOfTheirWork(void) {
  static const char *const symbols[] = {"cuEventRecord", "cuGraphCreate", "cuGraphAddKernelNode", "cuGraphAddMemcpyNode",
                                        "cuGraphInstantiateWithFlags", "cuGraphLaunch", "cuEventQuery",
                                        "cuEventSynchronize"};
  for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
    Steps steps = newSteps(2);
    encodeStep(&steps, 0, 0, 1, 0, true);
    encodeStep(&steps, 1, 0, 1, 0, true);
    failNext(symbols[i], 0, 2);
    CHECK_FAILS(&steps, "CUDA_ERROR_OUT_OF_MEMORY", "Fake GPU 0");
    runSteps(&steps, NSMakeRange(0, 2));
    freeSteps(&steps);
  }
}

static void nothingIsLeftOfQueues(void) {
  FakeCounts before, after;
  counts(&before);
  for (int i = 0; i < 5; i++) {
    if (i == 1) counts(&before); // small shared memory is kept
    id<MTLCommandQueue> other = [device newCommandQueue], usual = queue;
    queue = other;
    @autoreleasepool {
      graphsAreKeptAndChanged();
      constantsThatChangeAreSeen();
    }
    queue = usual;
    [other release];
  }
  counts(&after);
  CHECK(memcmp(&before, &after, sizeof before) == 0);
  failNext("cuStreamCreate", 0, 2);
  CHECK([device newCommandQueue] == nil && strstr(MTLReasonOfNil(), "Cannot make a stream"));
}

int main(void) {
  if (!openCuda()) return 1;
  RUN_CASE(graphsHaveTheEdgesOfBarriers);
  RUN_CASE(graphsAreKeptAndChanged);
  RUN_CASE(constantsThatChangeAreSeen);
  RUN_CASE(listsThatAreResetAreSnapshots);
  RUN_CASE(manyMayBeInFlight);
  RUN_CASE(endsAreSeen);
  RUN_CASE(failuresOfCallsAreErrorsOfTheirWork);
  RUN_CASE(nothingIsLeftOfQueues);
  return closeCuda();
}

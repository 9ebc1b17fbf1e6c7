/* Stand-ins for the steps of cuda_steps.h: a plan that takes as many of them as it is told to, and the kernels that it names. */
#ifndef TEST_NATIVE_CUDA_NATIVE_STEPS_H
#define TEST_NATIVE_CUDA_NATIVE_STEPS_H

#define CUDA_FIXTURE_HAS_OWN_SHADERS
#import "cuda_steps.h"

#include "cuda/native/copy.h"
#include "cuda/native/library.h"
#include "cuda/slice.h"

enum { MostTaken = 8, ScratchBytes = 16, PartialBytes = 64 };

/** A step as the stand-in does it. */
typedef struct NativeStep {
  uint64_t x, words;
  uint32_t factor, word;
} NativeStep;

typedef struct NativeSteps {
  uint64_t scratch, partials;
  uint32_t count, unused;
  NativeStep steps[MostTaken];
} NativeSteps;

/* What the plan is to do; it takes no step whose factor is this one. */
enum { OtherFactor = 77 };
static uint32_t mostTaken[MostCommands]; /* by the number that the first command changes */
static bool takesScratch, overlaps;
static const char *kernelName;
static uint64_t numbersAt; /* the address of number 0 */
static uint32_t unwritten; /* as the plan saw it last */

static uint32_t planSteps(const CudaNativeDevice *gpu, const CudaNativeCommand *commands, uint32_t count, CudaNativeLaunch *out) {
  CHECK(gpu->multiprocessors == 132 && (gpu->capability == 90 || gpu->capability == 80) && gpu->sharedBytes > 200000);
  NativeSteps parameters = {0};
  const uint64_t place = (commands->buffers[0] - numbersAt) / 4;
  const uint32_t most = place < MostCommands ? mostTaken[place] : 0;
  uint32_t taken = 0;
  for (; taken < count && taken < most; taken++) {
    const CudaNativeCommand *command = &commands[taken];
    const uint32_t *step = command->constants[1];
    if (strcmp(command->function->name, "step_by") != 0 || !step || step[0] == OtherFactor) break;
    unwritten = command->unwritten;
    CHECK(command->bufferLengths[0] > 0 && command->threads[0] == 1 && command->threadsPerThreadgroup[0] == 32);
    parameters.steps[taken] = (NativeStep){command->buffers[0], command->buffers[2], step[0], step[1]};
  }
  if (taken == 0) return 0;
  parameters.count = taken;
  *out = (CudaNativeLaunch){.kernel = kernelName,
                            .grid = {taken, 1, 1},
                            .block = {32, 1, 1},
                            .overlaps = overlaps,
                            .parameterBytes = sizeof parameters};
  if (takesScratch) {
    out->scratchBytes = ScratchBytes;
    out->scratchOffset = offsetof(NativeSteps, scratch);
    out->partialBytes = PartialBytes * taken;
    out->partialOffset = offsetof(NativeSteps, partials);
  }
  memcpy(out->parameters, &parameters, sizeof parameters);
  return taken;
}

static unsigned nativeRan;
static char latestNative[64];
static FakeKernel latestNativeKernel;

static void runCopies(const FakeKernel *kernel) {
  CopyParameters parameters;
  CHECK_NUMBER(kernel->size, sizeof parameters);
  memcpy(&parameters, kernel->parameter, sizeof parameters);
  for (unsigned i = 0; i < kernel->grid[1]; i++) {
    const CopyRange *range = &parameters.ranges[i];
    unsigned char *to = memoryAt(range->to), *from = memoryAt(range->from);
    CHECK(to && from && memoryAt(range->to + range->bytes - 1) && memoryAt(range->from + range->bytes - 1));
    if (to && from) memcpy(to, from, range->bytes);
  }
}

static int runEither(const FakeKernel *kernel) {
  if (strcmp(kernel->name, "copy_words") == 0) {
    runCopies(kernel);
    return 0;
  }
  if (strncmp(kernel->name, "steps", 5) != 0) return runKernel(kernel);
  CHECK_NUMBER(kernel->size, sizeof(NativeSteps));
  NativeSteps parameters;
  memcpy(&parameters, kernel->parameter, sizeof parameters);
  snprintf(latestNative, sizeof latestNative, "%s", kernel->name);
  latestNativeKernel = *kernel;
  nativeRan++;
  CHECK_NUMBER(parameters.scratch != 0, takesScratch);
  if (parameters.scratch) {
    static const unsigned char zeros[ScratchBytes];
    unsigned char *scratch = memoryAt(parameters.scratch), *partials = memoryAt(parameters.partials);
    CHECK(scratch && partials && parameters.scratch % 256 == 0 && parameters.partials % 256 == 0);
    CHECK(memoryAt(parameters.partials + PartialBytes * parameters.count - 1) != NULL);
    if (scratch) CHECK(memcmp(scratch, zeros, sizeof zeros) == 0);
    if (partials) memset(partials, 0xee, PartialBytes * parameters.count);
  }
  for (uint32_t i = 0; i < parameters.count; i++) {
    const NativeStep *step = &parameters.steps[i];
    uint32_t *x = memoryAt(step->x);
    const uint32_t *words = memoryAt(step->words);
    CHECK(x && words);
    if (x && words) *x = *x * step->factor + words[step->word];
  }
  return 0;
}

/* The kernels of the test, for two targets; nothing in them runs. The last one, if it is wanted, copies. */
static MslText newSlice(bool hasCopies) {
  enum { Kernels = 4 };
  static const char *const texts[Kernels][4] = {
      {"steps@80", "steps_80", ".target sm_80\n", ".visible .entry steps_80(\n.param .align 8 .b8 p[216]\n)\n{\nret;\n}\n"},
      {"steps@90a", "steps_90", ".target sm_90a\n", ".visible .entry steps_90(\n.param .align 8 .b8 p[216]\n)\n{\nret;\n}\n"},
      {"early@80", "steps_early", ".target sm_80\n",
       ".visible .entry steps_early(\n.param .align 8 .b8 p[216]\n)\n{\n.pragma \"griddepcontrol.launch_dependents\";\n"
       ".pragma \"griddepcontrol.wait\";\nret;\n}\n"},
      {"copy_words@80", "copy_words", ".target sm_80\n",
       ".visible .entry copy_words(\n.param .align 8 .b8 p[192]\n)\n{\nret;\n}\n"}};
  _Static_assert(sizeof(NativeSteps) == 216 && sizeof(CopyParameters) == 192, "as the entries have it");
  CudaSlice slice = {.kernelCount = hasCopies ? Kernels : Kernels - 1};
  MslText out = {0};
  for (uint32_t i = 0; i < slice.kernelCount; i++) {
    for (int k = 0; k < 2; k++) cudaSliceText(&slice.kernels, texts[i][k], strlen(texts[i][k]));
    for (int k = 0; k < 4; k++) cudaSliceNumber(&slice.kernels, 0);
    cudaSliceNumber(&slice.kernels, 2);
    for (uint32_t k = 0; k < 2; k++) {
      cudaSliceText(&slice.pieces, texts[i][2 + k], strlen(texts[i][2 + k]));
      cudaSliceNumber(&slice.kernels, slice.pieceCount++);
    }
  }
  CHECK(cudaSliceWrite(&out, ".version 7.8\n", &slice));
  cudaSliceFree(&slice);
  return out;
}

static Steps newNativeSteps(NSUInteger count, uint32_t most) {
  Steps steps = newSteps(count);
  numbersAt = [steps.numbers gpuAddress];
  for (int i = 0; i < MostCommands; i++) mostTaken[i] = most;
  takesScratch = overlaps = false;
  kernelName = "steps";
  nativeRan = 0;
  ((uint32_t *)[steps.words contents])[0] = 1;
  return steps;
}

#endif

/* norm_plan.c: when and how normalisation is for norm.cu. */
#include "norm.h"
#include "plan.h"

/* What is bound to a dispatch (shaders/norm.metal). */
enum { NormX, NormWeight, NormOut, NormConstants };
enum { AddA, AddB, AddWeight, AddSum, AddOut, AddConstants };

typedef struct Kernel {
  const char *name;
  uint32_t threads, fours;
} Kernel;

#define KERNEL(threads, fours) {"norm_rows_" #threads "_" #fours, threads, fours},
static const Kernel kernels[] = {NORM_KERNELS(KERNEL)};
#undef KERNEL

/* `count` buffers of rows, but for the weights, which are one. */
static bool areRows(const CudaNativeCommand *command, uint32_t count, uint32_t weights, uint64_t rowBytes, uint64_t rows) {
  for (uint32_t i = 0; i < count; i++)
    if (!isBound(command, i, i == weights ? rowBytes : rowBytes * rows, 16)) return false;
  return true;
}

uint32_t cudaNormPlan(const CudaNativeDevice *device, const CudaNativeCommand *commands, uint32_t count, CudaNativeLaunch *out) {
  (void)device, (void)count;
  const CudaNativeCommand *command = commands;
  const bool adds = strcmp(command->function->name, "add_rmsnorm_f32") == 0;
  if (!adds && strcmp(command->function->name, "rmsnorm_f32") != 0) return 0;
  const uint32_t constants = adds ? AddConstants : NormConstants;
  const struct RmsNormArgs *args = argumentsOf(command, constants, sizeof *args);
  if (!args) return 0;
  /* The original's grid: a threadgroup for each row. */
  const uint64_t rows = command->threads[1];
  const uint32_t *group = command->threadsPerThreadgroup;
  if (command->threads[0] != group[0] || group[1] != 1 || command->threads[2] != 1) return 0;
  if (rows == 0 || rows > INT32_MAX || args->n == 0 || args->n % 4 != 0) return 0;
  const uint32_t fours = args->n / 4;
  const Kernel *kernel = kernels;
  const Kernel *const end = kernels + sizeof kernels / sizeof *kernels;
  while (kernel < end && kernel->threads * kernel->fours < fours) kernel++;
  if (kernel == end || !areRows(command, constants, adds ? AddWeight : NormWeight, 16ull * fours, rows)) return 0;
  const NormParameters parameters = {
      .x = command->buffers[adds ? AddA : NormX],
      .added = adds ? command->buffers[AddB] : 0,
      .weight = command->buffers[adds ? AddWeight : NormWeight],
      .sum = adds ? command->buffers[AddSum] : 0,
      .out = command->buffers[adds ? AddOut : NormOut],
      .rows = (uint32_t)rows,
      .fours = fours,
      .eps = args->eps,
      .readsEarly = command->unwritten >> (adds ? AddWeight : NormWeight) & 1,
  };
  const uint32_t blockRows = NormThreads / kernel->threads;
  *out = (CudaNativeLaunch){
      .kernel = kernel->name,
      .grid = {(uint32_t)divideUp(rows, blockRows), 1, 1},
      .block = {NormThreads, 1, 1},
      .sharedBytes = NormThreads / 32 * sizeof(float),
      .overlaps = true,
      .parameterBytes = sizeof parameters,
  };
  memcpy(out->parameters, &parameters, sizeof parameters);
  return 1;
}

/* sample_plan.c: which commands sample.cu takes: choices of few rows. */
#include "plan.h"
#include "sample.h"

enum { MostRows = 8, ChoiceBytes = 28, BlockLogits = 1024 };

uint32_t cudaSamplePlan(const CudaNativeDevice *device, const CudaNativeCommand *commands, uint32_t count,
                        CudaNativeLaunch *out) {
  (void)count;
  const CudaNativeCommand *command = commands;
  const struct SampleArgs *args = argumentsOf(command, 5, sizeof *args);
  if (strcmp(command->function->name, "sample_f32") != 0 || !args || args->n == 0 || args->places == 0) return 0;
  const uint64_t rows = command->threads[1], row = (uint64_t)args->n * 4;
  if (rows == 0 || rows > MostRows || command->threadsPerThreadgroup[1] != 1 ||
      command->threads[0] > command->threadsPerThreadgroup[0])
    return 0;
  const uint64_t lengths[] = {rows * row, rows * ChoiceBytes, rows * 4, rows * row, (uint64_t)args->places * ChosenBytes};
  for (uint32_t i = 0; i < 5; i++)
    if (!isBound(command, i, lengths[i], 1)) return 0;

  // All blocks have to run side by side.
  const uint64_t most = device->multiprocessors / rows;
  uint64_t blocks = divideUp(args->n, BlockLogits);
  if (blocks > SampleMostBlocks) blocks = SampleMostBlocks;
  if (blocks > most) blocks = most;
  if (blocks == 0) return 0;
  const uint64_t each = divideUp(args->n, blocks);
  if (each > SampleThreads * SampleEach) return 0;
  blocks = divideUp(args->n, each);

  const CudaSample sample = {
      .logits = (const float *)command->buffers[0],
      .choices = (const uint32_t *)command->buffers[1],
      .places = (const uint32_t *)command->buffers[2],
      .list = (uint32_t *)command->buffers[3],
      .chosen = (uint32_t *)command->buffers[4],
      .n = args->n,
      .placeCount = args->places,
      .each = (uint32_t)each,
  };
  *out = (CudaNativeLaunch){
      .kernel = "sample_row",
      .grid = {(uint32_t)blocks, (uint32_t)rows, 1},
      .block = {SampleThreads, 1, 1},
      .sharedBytes = SampleShared,
      .scratchBytes = rows * SampleCounters * sizeof(uint32_t),
      .scratchOffset = offsetof(CudaSample, counters),
      .partialBytes = rows * blocks * (sizeof(SampleBest) + sizeof(uint64_t)),
      .partialOffset = offsetof(CudaSample, bests),
      .overlaps = true,
      .parameterBytes = sizeof sample,
  };
  memcpy(out->parameters, &sample, sizeof sample);
  return 1;
}

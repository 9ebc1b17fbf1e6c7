/* activation_plan.c: when and how activations are for activation.cu. */
#include "activation.h"
#include "plan.h"

/* What is bound to a dispatch (shaders/elementwise.metal). */
enum { Gate, Up, Out, Constants };

uint32_t cudaActivationPlan(const CudaNativeDevice *device, const CudaNativeCommand *commands, uint32_t count,
                            CudaNativeLaunch *out) {
  (void)device, (void)count;
  const CudaNativeCommand *command = commands;
  const bool isSilu = strcmp(command->function->name, "silu_mul_f32") == 0;
  if (!isSilu && strcmp(command->function->name, "gelu_mul_f32") != 0) return 0;
  const struct RowArgs *args = argumentsOf(command, Constants, sizeof *args);
  if (!args) return 0;
  /* Rows follow each other. The original's grid has a thread for each element, or more. */
  const uint64_t rows = command->threads[1], n = args->n, elements = rows * n;
  if (n == 0 || rows == 0 || rows > INT32_MAX || elements % 4 != 0 || command->threads[0] < n || command->threads[2] != 1) return 0;
  for (uint32_t i = Gate; i <= Out; i++)
    if (!isBound(command, i, 4 * elements, 16)) return 0;
  /* A thread reads what it has to before it writes there; nobody may read what another one writes. */
  for (uint32_t i = Gate; i <= Up; i++) {
    const uint64_t from = command->buffers[i], to = command->buffers[Out];
    if (from != to && cudaRangesOverlap(rangeAt(from, 4 * elements), rangeAt(to, 4 * elements))) return 0;
  }
  const ActivationParameters parameters = {command->buffers[Gate], command->buffers[Up], command->buffers[Out], elements / 4};
  const uint64_t blocks = divideUp(parameters.fours, ActivationThreads * ActivationFours);
  if (blocks > INT32_MAX) return 0;
  *out = (CudaNativeLaunch){
      .kernel = isSilu ? "activation_silu_mul" : "activation_gelu_mul",
      .grid = {(uint32_t)blocks, 1, 1},
      .block = {ActivationThreads, 1, 1},
      .overlaps = true,
      .parameterBytes = sizeof parameters,
  };
  memcpy(out->parameters, &parameters, sizeof parameters);
  return 1;
}

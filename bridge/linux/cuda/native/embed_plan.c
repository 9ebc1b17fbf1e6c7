/* embed_plan.c: which commands embed.cu takes: rows of a table, and before that the tokens that were chosen. */
#include "embed.h"
#include "plan.h"

enum { MostRows = 65535 };

static const struct {
  const char *name;
  EmbedType type;
  uint32_t elements, bytes; /* of a block */
} types[] = {
    {"embed_f32", EmbedF32, 1, 4},      {"embed_f16", EmbedF16, 1, 2},       {"embed_bf16", EmbedBF16, 1, 2},
    {"embed_q8_0", EmbedQ8_0, 32, 34},  {"embed_q4_0", EmbedQ4_0, 32, 18},   {"embed_q4_k", EmbedQ4_K, 256, 144},
    {"embed_q5_k", EmbedQ5_K, 256, 176}, {"embed_q6_k", EmbedQ6_K, 256, 210},
};
enum { Types = sizeof types / sizeof *types };

/* Rows of a dispatch that has a threadgroup of one thread for each. */
static bool choosesTokens(const CudaNativeCommand *command, uint64_t rows) {
  const struct ChosenArgs *args = argumentsOf(command, 3, sizeof *args);
  if (!args || command->threads[0] != 1 || command->threads[1] != rows || command->threadsPerThreadgroup[1] != 1) return false;
  return isBound(command, 0, rows * 4, 1) && isBound(command, 1, (uint64_t)args->places * ChosenBytes, 1) &&
         isBound(command, 2, rows * 4, 1);
}

uint32_t cudaEmbedPlan(const CudaNativeDevice *device, const CudaNativeCommand *commands, uint32_t count,
                       CudaNativeLaunch *out) {
  (void)device;
  const bool chooses = count > 1 && strcmp(commands->function->name, "chosen_tokens") == 0;
  const CudaNativeCommand *embeds = commands + chooses;
  uint32_t type = 0;
  while (type < Types && strcmp(embeds->function->name, types[type].name) != 0) type++;
  const struct EmbedArgs *args = argumentsOf(embeds, 3, sizeof *args);
  if (type == Types || !args || args->n == 0 || args->n % types[type].elements != 0) return 0;
  const uint64_t rows = embeds->threads[1], row = (uint64_t)args->n / types[type].elements * types[type].bytes;
  const uint32_t each = types[type].elements > 1 ? 16 : 1; /* numbers of a thread of the original */
  if (rows == 0 || rows > MostRows || embeds->threadsPerThreadgroup[1] != 1 || embeds->threads[0] * each < args->n) return 0;
  const uint64_t outBytes = rows * args->n * 4, tableBytes = row * args->vocab;
  const uint64_t lengths[] = {tableBytes, rows * 4, outBytes};
  for (uint32_t i = 0; i < 3; i++)
    if (!isBound(embeds, i, lengths[i], 1)) return 0;
  if (types[type].elements == 1 && embeds->buffers[0] % types[type].bytes != 0) return 0;
  CudaEmbed embed = {
      .table = (const void *)embeds->buffers[0],
      .tokens = (const uint32_t *)embeds->buffers[1],
      .out = (float *)embeds->buffers[2],
      .n = args->n,
      .vocab = args->vocab,
      .type = types[type].type,
  };
  if (chooses) {
    const struct ChosenArgs *chosen = commands->constants[3];
    if (!choosesTokens(commands, rows) || commands->buffers[2] != embeds->buffers[1]) return 0;
    const CudaRange tokens = rangeAt(commands->buffers[0], rows * 4), plain = rangeAt(commands->buffers[2], rows * 4);
    const CudaRange choices = rangeAt(commands->buffers[1], (uint64_t)chosen->places * ChosenBytes);
    const CudaRange table = rangeAt(embeds->buffers[0], tableBytes), result = rangeAt(embeds->buffers[2], outBytes);
    /* Blocks read tokens and choices while others write. */
    if (cudaRangesOverlap(tokens, plain) || cudaRangesOverlap(choices, plain) || cudaRangesOverlap(tokens, result) ||
        cudaRangesOverlap(choices, result) || cudaRangesOverlap(plain, result) || cudaRangesOverlap(table, plain))
      return 0;
    embed.tokens = (const uint32_t *)tokens.from;
    embed.chosen = (const uint32_t *)choices.from;
    embed.plainTokens = (uint32_t *)plain.from;
    embed.places = chosen->places;
  }
  *out = (CudaNativeLaunch){
      .kernel = "embed_tokens",
      .grid = {(uint32_t)divideUp(args->n, EmbedThreads), (uint32_t)rows, 1},
      .block = {EmbedThreads, 1, 1},
      .overlaps = true,
      .parameterBytes = sizeof embed,
  };
  memcpy(out->parameters, &embed, sizeof embed);
  return 1 + chooses;
}

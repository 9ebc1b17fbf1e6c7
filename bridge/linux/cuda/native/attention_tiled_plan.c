/* attention_tiled_plan.c: when and how attention of many rows is for attention_tiled.cu. */
#include "attention_tiled.h"
#include "plan.h"

/* What is bound to a dispatch (shaders/attention_tiled.metal). */
enum { Query, KeyCache, ValueCache, Positions, Sequences, BlockTables, Out, RowCount, Constants };

typedef struct Kernel {
  const char *name;
  uint32_t type, width, queries, warps, fragments, keys;
} Kernel;

#define KERNEL(width, type, queries, warps, fragments, keys, blocks) \
  {"attention_tiled_" #width "_" #type "_" #queries, AttentionTiled_##type, width, queries, warps, fragments, keys},
static const Kernel kernels[] = {ATTENTION_TILED_KERNELS(KERNEL)};
#undef KERNEL

static const char *const typeNames[] = {[AttentionTiled_f32] = "f32", [AttentionTiled_f16] = "f16", [AttentionTiled_q8_0] = "q8_0"};
enum { TypeCount = sizeof typeNames / sizeof *typeNames };

/* attention_tiled_{largest head}_{type of caches}: the type, or TypeCount. */
static uint32_t typeOf(const char *name) {
  static const char prefix[] = "attention_tiled_";
  if (strncmp(name, prefix, sizeof prefix - 1) != 0) return TypeCount;
  const char *rest = name + sizeof prefix - 1;
  rest += strspn(rest, "0123456789");
  if (*rest++ != '_') return TypeCount;
  uint32_t type = 0;
  while (type < TypeCount && strcmp(rest, typeNames[type]) != 0) type++;
  return type;
}

static bool areTaken(const CudaNativeCommand *command, const struct AttentionArgs *args, uint32_t type) {
  const uint32_t heads = args->heads, kvHeads = args->kvHeads, headDim = args->headDim;
  if (kvHeads == 0 || heads == 0 || heads % kvHeads != 0 || heads > 1u << 20) return false;
  if (headDim == 0 || headDim % 8 != 0 || headDim > 256 || args->blockSize == 0 || args->window == 0) return false;
  if (type == AttentionTiled_q8_0 && headDim % 32 != 0) return false;
  for (uint32_t i = Query; i <= RowCount; i++)
    if (!isBound(command, i, 4, 1)) return false;
  const uint64_t row = 4ull * heads * headDim;
  if (!isBound(command, Query, row, 8) || !isBound(command, Out, row, 8)) return false;
  for (uint32_t i = KeyCache; i <= ValueCache; i++) {
    if (!isBound(command, i, 4, 16)) return false;
    /* Words are read up to the end of blocks that need not end at one. */
    if (type == AttentionTiled_q8_0 && command->bufferLengths[i] % 4 != 0) return false;
  }
  return true;
}

uint32_t cudaAttentionTiledPlan(const CudaNativeDevice *device, const CudaNativeCommand *commands, uint32_t count,
                                CudaNativeLaunch *out) {
  (void)count;
  const CudaNativeCommand *command = commands;
  const uint32_t type = typeOf(command->function->name);
  const struct AttentionArgs *args = argumentsOf(command, Constants, sizeof *args);
  if (type == TypeCount || !args || !areTaken(command, args, type)) return 0;

  /* The original's grid: key heads x tiles of eight queries for each of its SIMD groups. */
  const uint32_t *group = command->threadsPerThreadgroup;
  if (group[0] == 0 || group[0] % 32 != 0 || group[1] != 1 || group[2] != 1) return 0;
  if (command->threads[0] != (uint64_t)args->kvHeads * group[0] || command->threads[2] != 1) return 0;
  const uint64_t queries = command->threads[1] * (group[0] / 32 * 8);

  const Kernel *kernel = NULL;
  uint64_t tiles = 0;
  for (uint32_t i = 0; i < sizeof kernels / sizeof *kernels; i++) {
    const Kernel *other = &kernels[i];
    if (other->type != type || other->width < args->headDim || (kernel && kernel->width < other->width)) continue;
    /* Tiles of more queries, where these are fewer, and still enough for nearly all multiprocessors. */
    const uint64_t others = divideUp(queries, other->queries);
    if (kernel && (others == tiles || 4 * others * args->kvHeads < 3ull * device->multiprocessors)) continue;
    kernel = other;
    tiles = others;
  }
  if (kernel == NULL) return 0;
  const AttentionTiledShared shared =
      attentionTiledShared(kernel->type, kernel->width, kernel->warps, kernel->fragments, kernel->keys);
  if (tiles == 0 || tiles * args->kvHeads > INT32_MAX || shared.bytes > device->sharedBytes) return 0;

  /* Where few blocks would be, several share out the keys, as far as the cache can have some for them. */
  const uint64_t capacity = (uint64_t)args->blocksPerSequence * args->blockSize;
  const uint64_t seen = capacity < args->window ? capacity : args->window;
  const uint64_t most = seen * (queries < kernel->queries ? queries : kernel->queries);
  const uint32_t blocks = (uint32_t)tiles * args->kvHeads;
  uint64_t splits = device->multiprocessors / blocks;
  if (splits > most / (2 * kernel->keys)) splits = most / (2 * kernel->keys);
  if (splits > AttentionTiledMaxSplits) splits = AttentionTiledMaxSplits;
  if (splits == 0) splits = 1;

  const uint32_t words = 1u << Positions | 1u << Sequences | 1u << BlockTables | 1u << RowCount;
  const AttentionTiledParameters parameters = {
      .q = command->buffers[Query],
      .keys = command->buffers[KeyCache],
      .values = command->buffers[ValueCache],
      .positions = command->buffers[Positions],
      .sequences = command->buffers[Sequences],
      .blockTables = command->buffers[BlockTables],
      .out = command->buffers[Out],
      .rowCount = command->buffers[RowCount],
      .heads = args->heads,
      .kvHeads = args->kvHeads,
      .headDim = args->headDim,
      .blockSize = args->blockSize,
      .blocksPerSequence = args->blocksPerSequence,
      .scale = args->scale,
      .softCap = args->softCap,
      .window = args->window,
      .tiles = (uint32_t)tiles,
      .readsEarly = (command->unwritten & words) == words,
      .splits = (uint32_t)splits,
  };
  *out = (CudaNativeLaunch){
      .kernel = kernel->name,
      .grid = {blocks * (uint32_t)splits, 1, 1},
      .block = {32 * kernel->warps, 1, 1},
      .sharedBytes = shared.bytes,
      .scratchBytes = splits > 1 ? 4ull * blocks : 0,
      .scratchOffset = offsetof(AttentionTiledParameters, counters),
      .partialBytes = splits > 1 ? 4ull * blocks * splits * kernel->queries * (kernel->width + 2) : 0,
      .partialOffset = offsetof(AttentionTiledParameters, partials),
      .overlaps = true,
      .parameterBytes = sizeof parameters,
  };
  memcpy(out->parameters, &parameters, sizeof parameters);
  return 1;
}

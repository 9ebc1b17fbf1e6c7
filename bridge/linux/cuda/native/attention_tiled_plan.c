/* attention_tiled_plan.c: when and how attention of many rows is for attention_tiled.cu. */
#include "attention_tiled.h"
#include "native.h"

#include <stddef.h>
#include <string.h>

/* shaders/args.h: struct AttentionArgs. */
typedef struct Arguments {
  uint32_t heads, kvHeads, headDim, blockSize, blocksPerSequence;
  float scale, softCap;
  uint32_t window, splits;
} Arguments;

/* What is bound to a dispatch (shaders/attention_tiled.metal). */
enum { Query, KeyCache, ValueCache, Positions, Sequences, BlockTables, Out, RowCount, Constants, BufferCount };


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

static bool areTaken(const CudaNativeCommand *command, const Arguments *arguments, uint32_t type) {
  const uint32_t heads = arguments->heads, kvHeads = arguments->kvHeads, headDim = arguments->headDim;
  if (kvHeads == 0 || heads == 0 || heads % kvHeads != 0 || heads > 1u << 20) return false;
  if (headDim == 0 || headDim % 8 != 0 || headDim > 256 || arguments->blockSize == 0 || arguments->window == 0) return false;
  if (type == AttentionTiled_q8_0 && headDim % 32 != 0) return false;
  for (uint32_t i = Query; i <= RowCount; i++)
    if (command->buffers[i] == 0 || command->bufferLengths[i] < 4) return false;
  const uint64_t row = 4ull * heads * headDim;
  if (command->bufferLengths[Query] < row || command->bufferLengths[Out] < row) return false;
  if (command->buffers[Query] % 8 != 0 || command->buffers[Out] % 8 != 0) return false;
  for (uint32_t i = KeyCache; i <= ValueCache; i++) {
    if (command->buffers[i] % 16 != 0) return false;
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
  if (type == TypeCount || command->constants[Constants] == NULL || command->bufferLengths[Constants] < sizeof(Arguments)) return 0;
  Arguments arguments;
  memcpy(&arguments, command->constants[Constants], sizeof arguments);
  if (!areTaken(command, &arguments, type)) return 0;

  /* The original's grid: key heads x tiles of eight queries for each of its SIMD groups. */
  const uint32_t *group = command->threadsPerThreadgroup;
  if (group[0] == 0 || group[0] % 32 != 0 || group[1] != 1 || group[2] != 1) return 0;
  if (command->threads[0] != (uint64_t)arguments.kvHeads * group[0] || command->threads[2] != 1) return 0;
  const uint64_t queries = command->threads[1] * (group[0] / 32 * 8);

  const Kernel *kernel = NULL;
  uint64_t tiles = 0;
  for (uint32_t i = 0; i < sizeof kernels / sizeof *kernels; i++) {
    const Kernel *other = &kernels[i];
    if (other->type != type || other->width < arguments.headDim || (kernel && kernel->width < other->width)) continue;
    /* Tiles of more queries, where these are fewer, and still enough for nearly all multiprocessors. */
    const uint64_t others = (queries + other->queries - 1) / other->queries;
    if (kernel && (others == tiles || 4 * others * arguments.kvHeads < 3ull * device->multiprocessors)) continue;
    kernel = other;
    tiles = others;
  }
  if (kernel == NULL) return 0;
  const AttentionTiledShared shared =
      attentionTiledShared(kernel->type, kernel->width, kernel->warps, kernel->fragments, kernel->keys);
  if (tiles == 0 || tiles * arguments.kvHeads > INT32_MAX || shared.bytes > device->sharedBytes) return 0;

  /* Where few blocks would be, several share out the keys, as far as the cache can have some for them. */
  const uint64_t capacity = (uint64_t)arguments.blocksPerSequence * arguments.blockSize;
  const uint64_t seen = capacity < arguments.window ? capacity : arguments.window;
  const uint64_t most = seen * (queries < kernel->queries ? queries : kernel->queries);
  const uint32_t blocks = (uint32_t)tiles * arguments.kvHeads;
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
      .heads = arguments.heads,
      .kvHeads = arguments.kvHeads,
      .headDim = arguments.headDim,
      .blockSize = arguments.blockSize,
      .blocksPerSequence = arguments.blocksPerSequence,
      .scale = arguments.scale,
      .softCap = arguments.softCap,
      .window = arguments.window,
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

/* rope_store_plan.c: when and how the turning of queries and keys, and the storing of keys and values, are for rope_store.cu. */
#include "plan.h"
#include "rope_store.h"

/* What is bound to dispatches (shaders/rope.metal, shaders/kv.metal). */
enum { RopeX, RopePositions, RopeFrequencies, RopeOut, RopeConstants };
enum { StoreKeys, StoreValues, StoreSlots, StoreKeyCache, StoreValueCache, StoreConstants };

typedef struct Kernel {
  const char *name, *rope, *store;
  uint32_t type, headMultiple; /* what a head has to be a multiple of, so that threads take whole parts of it */
} Kernel;

enum { Multiple_interleaved_f32 = 4, Multiple_interleaved_f16 = 4, Multiple_interleaved_q8_0 = 32 };
enum { Multiple_half_f32 = 8, Multiple_half_f16 = 8, Multiple_half_q8_0 = 64 };
#define KERNEL(layout, type)                                                                              \
  {"rope_store_" #layout "_" #type, "rope_" #layout "_f32", "kv_store_" #type, RopeStore_##type, Multiple_##layout##_##type},
static const Kernel kernels[] = {ROPE_STORE_KERNELS(KERNEL)};
#undef KERNEL

/* A thread reads what it turns before it writes it, and nobody else does: either there, or elsewhere. */
static bool isSameOrElsewhere(CudaRange from, CudaRange to) { return from.from == to.from || !cudaRangesOverlap(from, to); }

/* The arguments of a turn of that name; NULL where a command is none. */
static const struct RopeArgs *turnOf(const CudaNativeCommand *command, const char *name, uint64_t rows) {
  const struct RopeArgs *args = argumentsOf(command, RopeConstants, sizeof *args);
  if (!args || strcmp(command->function->name, name) != 0 || command->threads[1] != rows) return NULL;
  if (args->heads == 0 || args->heads > 1u << 20 || args->headDim == 0) return NULL;
  if (args->headDim > RopeStoreMaxHeadDim || args->rotaryDims != args->headDim) return NULL;
  const uint64_t bytes = 4ull * rows * args->heads * args->headDim;
  const bool isTaken =
      isBound(command, RopeX, bytes, 16) && isBound(command, RopeOut, bytes, 16) &&
      isBound(command, RopePositions, 4 * rows, 4) && isBound(command, RopeFrequencies, 2ull * args->headDim, 4) &&
      isSameOrElsewhere(rangeAt(command->buffers[RopeX], bytes), rangeAt(command->buffers[RopeOut], bytes));
  return isTaken ? args : NULL;
}

uint32_t cudaRopeStorePlan(const CudaNativeDevice *device, const CudaNativeCommand *commands, uint32_t count,
                           CudaNativeLaunch *out) {
  (void)device;
  if (count < 3 || commands[1].waits || !commands[2].waits) return 0;
  const CudaNativeCommand *store = &commands[2];
  const Kernel *kernel = kernels;
  const Kernel *const end = kernels + sizeof kernels / sizeof *kernels;
  while (kernel < end && (strcmp(commands->function->name, kernel->rope) != 0 || strcmp(store->function->name, kernel->store) != 0))
    kernel++;
  if (kernel == end) return 0;
  const uint64_t rows = commands->threads[1];
  if (rows == 0 || rows > INT32_MAX) return 0;
  const struct RopeArgs *first = turnOf(&commands[0], kernel->rope, rows), *second = turnOf(&commands[1], kernel->rope, rows);
  if (!first || !second || first->headDim != second->headDim || first->headDim % kernel->headMultiple != 0) return 0;
  if (memcmp(&first->magnitude, &second->magnitude, sizeof first->magnitude) != 0) return 0;
  for (uint32_t i = RopePositions; i <= RopeFrequencies; i++)
    if (commands[0].buffers[i] != commands[1].buffers[i]) return 0;

  const bool keysFirst = commands[0].buffers[RopeOut] == store->buffers[StoreKeys];
  const CudaNativeCommand *query = &commands[keysFirst], *key = &commands[!keysFirst];
  const struct RopeArgs *queryArgs = keysFirst ? second : first, *keyArgs = keysFirst ? first : second;
  const struct RowArgs *row = argumentsOf(store, StoreConstants, sizeof *row);
  const uint64_t keyBytes = 4ull * rows * keyArgs->heads * keyArgs->headDim;
  if (row == NULL || row->n != keyArgs->heads * keyArgs->headDim || store->threads[1] != rows) return 0;
  if (key->buffers[RopeOut] != store->buffers[StoreKeys] || !isBound(store, StoreValues, keyBytes, 16)) return 0;
  if (!isBound(store, StoreSlots, 4 * rows, 4)) return 0;
  if (!isBound(store, StoreKeyCache, 4, 16) || !isBound(store, StoreValueCache, 4, 16)) return 0;

  /* What is written must be nothing that another block still reads. */
  const uint64_t queryBytes = 4ull * rows * queryArgs->heads * queryArgs->headDim;
  const CudaRange written[] = {rangeAt(query->buffers[RopeOut], queryBytes), rangeAt(key->buffers[RopeOut], keyBytes)};
  const CudaRange read[] = {rangeAt(query->buffers[RopeX], queryBytes),
                            rangeAt(key->buffers[RopeX], keyBytes),
                            rangeAt(store->buffers[StoreValues], keyBytes),
                            rangeAt(store->buffers[StoreSlots], 4 * rows),
                            rangeAt(query->buffers[RopePositions], 4 * rows),
                            rangeAt(query->buffers[RopeFrequencies], 2ull * first->headDim)};
  for (uint32_t w = 0; w < 2; w++)
    for (uint32_t r = 0; r < sizeof read / sizeof *read; r++)
      if (w != r && cudaRangesOverlap(written[w], read[r])) return 0;
  if (cudaRangesOverlap(written[0], written[1])) return 0;

  const RopeStoreParameters parameters = {
      .query = query->buffers[RopeX],
      .turnedQuery = query->buffers[RopeOut],
      .key = key->buffers[RopeX],
      .turnedKey = key->buffers[RopeOut],
      .value = store->buffers[StoreValues],
      .positions = query->buffers[RopePositions],
      .frequencies = query->buffers[RopeFrequencies],
      .slots = store->buffers[StoreSlots],
      .keyCache = store->buffers[StoreKeyCache],
      .valueCache = store->buffers[StoreValueCache],
      .heads = queryArgs->heads,
      .kvHeads = keyArgs->heads,
      .headDim = first->headDim,
      .magnitude = first->magnitude,
      .readsEarly = (query->unwritten >> RopePositions & 1) && (query->unwritten >> RopeFrequencies & 1) &&
                    (store->unwritten >> StoreSlots & 1),
  };
  *out = (CudaNativeLaunch){
      .kernel = kernel->name,
      .grid = {(uint32_t)rows, 1, 1},
      .block = {RopeStoreThreads, 1, 1},
      .sharedBytes = first->headDim / 2 * 2 * sizeof(float),
      .overlaps = true,
      .parameterBytes = sizeof parameters,
  };
  memcpy(out->parameters, &parameters, sizeof parameters);
  return 3;
}

/*
 * attention_row_plan.c: which commands attention_row.cu takes: attention of few rows, with the reduction of its parts; for a single
 * row also what comes before it, the storing of its key and value, and the turning of query and key.
 */
#include "attention_row.h"
#include "plan.h"

enum { MostRows = 8 };

static const struct {
  const char *format;
  uint32_t headDim;
  const char *kernel;
} variants[] = {
    {"f16", 32, "attention_row_32_f16"},   {"f16", 64, "attention_row_64_f16"},
    {"f16", 96, "attention_row_96_f16"},   {"f16", 128, "attention_row_128_f16"},
    {"f16", 256, "attention_row_256_f16"}, {"f32", 32, "attention_row_32_f32"},
    {"f32", 64, "attention_row_64_f32"},   {"f32", 96, "attention_row_96_f32"},
    {"f32", 128, "attention_row_128_f32"}, {"f32", 256, "attention_row_256_f32"},
};
enum { Variants = sizeof variants / sizeof *variants };

/* A run of commands, by what they are; NULL for what is not among them. */
typedef struct Run {
  const CudaNativeCommand *biases[3], *norms[2]; /* of query, key, value */
  const CudaNativeCommand *turnQuery, *turnKey, *store, *attention, *reduce;
  uint32_t count;
} Run;

/* The address of what is bound at an index; 0 where that is shorter. */
static uint64_t bound(const CudaNativeCommand *command, uint32_t index, uint64_t bytes) {
  return isBound(command, index, bytes, 1) ? command->buffers[index] : 0;
}

/* Whether the grid has a thread for each of n elements of a row, and one row. */
static bool coversRow(const CudaNativeCommand *command, uint64_t n) {
  return groupsAlong(command, 0) * command->threadsPerThreadgroup[0] >= n && groupsAlong(command, 1) == 1 &&
         command->threadsPerThreadgroup[1] == 1;
}

static bool isNamed(const CudaNativeCommand *command, const char *family) {
  return strncmp(command->function->name, family, strlen(family)) == 0;
}

static bool isRope(const CudaNativeCommand *command) {
  return isNamed(command, "rope_interleaved_f32") || isNamed(command, "rope_half_f32");
}

static bool isAttention(const CudaNativeCommand *command) {
  const char *name = command->function->name;
  return strcmp(name, "attention_f16") == 0 || strcmp(name, "attention_f32") == 0;
}

/* Of the cache: what comes behind attention_ and kv_store_. */
static const char *formatOf(const CudaNativeCommand *command) {
  return command->function->name + strlen(isAttention(command) ? "attention_" : "kv_store_");
}

/* Which of some commands writes what is read at an address; NULL if none does. */
static const CudaNativeCommand *writerOf(const CudaNativeCommand *commands, uint32_t count, uint32_t output, uint64_t address) {
  for (uint32_t i = 0; i < count; i++)
    if (commands[i].buffers[output] == address) return &commands[i];
  return NULL;
}

/* The longest run that the commands begin with. False if there is none. */
static bool readRun(const CudaNativeCommand *all, uint32_t count, Run *run) {
  memset(run, 0, sizeof *run);
  uint32_t biases = 0, norms = 0;
  while (biases < count && biases < 3 && isNamed(&all[biases], "add_bias_f32")) biases++;
  while (biases == 0 && norms < count && norms < 2 && isNamed(&all[norms], "rmsnorm_f32")) norms++;
  if (biases % 3 != 0 || norms % 2 != 0) return false;
  const CudaNativeCommand *commands = all + biases + norms;
  count -= biases + norms;
  uint32_t i = 0;
  const bool turns = count > 3 && isRope(&commands[0]) && isRope(&commands[1]);
  if (turns) i = 2;
  else if (biases + norms > 0) return false;
  if (i < count && isNamed(&commands[i], "kv_store_")) run->store = &commands[i++];
  if (i >= count || !isAttention(&commands[i])) return false;
  run->attention = &commands[i++];
  if (turns && run->store) {
    const bool isKeyFirst = commands[0].buffers[3] == run->store->buffers[0];
    run->turnKey = &commands[!isKeyFirst];
    run->turnQuery = &commands[isKeyFirst];
  } else if (turns) {
    return false;
  }
  const struct AttentionArgs *args = argumentsOf(run->attention, 7, sizeof *args);
  if (args && args->splits > 1) {
    if (i >= count || strcmp(commands[i].function->name, "attention_reduce") != 0) return false;
    run->reduce = &commands[i++];
  }
  run->count = biases + norms + i;
  const uint64_t addresses[] = {turns ? run->turnQuery->buffers[0] : 0, turns ? run->turnKey->buffers[0] : 0,
                                turns ? run->store->buffers[1] : 0};
  for (uint32_t k = 0; k < biases && k < 3; k++)
    if (!(run->biases[k] = writerOf(all, biases, 2, addresses[k]))) return false;
  for (uint32_t k = 0; k < norms && k < 2; k++)
    if (!(run->norms[k] = writerOf(all, norms, 2, addresses[k]))) return false;
  return args != NULL;
}

/* ---- what each command has to be --------------------------------------------------------------------------------------- */

static bool takesAttention(const Run *run, CudaAttentionRow *row, uint32_t *rows, uint32_t *variant) {
  const CudaNativeCommand *command = run->attention;
  const struct AttentionArgs *args = command->constants[7];
  if (args->kvHeads == 0 || args->heads == 0 || args->heads % args->kvHeads != 0 || args->splits == 0 || args->blockSize == 0 ||
      args->blocksPerSequence == 0 || args->window == 0 || args->heads > UINT16_MAX)
    return false;
  for (*variant = 0; *variant < Variants; ++*variant)
    if (variants[*variant].headDim == args->headDim && strcmp(formatOf(command), variants[*variant].format) == 0) break;
  if (*variant == Variants) return false;
  const uint64_t rowCount = groupsAlong(command, 1);
  if (groupsAlong(command, 0) != args->heads || rowCount == 0 || rowCount > MostRows ||
      groupsAlong(command, 2) != args->splits || command->threadsPerThreadgroup[1] != 1 ||
      command->threadsPerThreadgroup[2] != 1)
    return false;
  *rows = (uint32_t)rowCount;

  const uint64_t words = rowCount * sizeof(uint32_t), queries = rowCount * args->heads * args->headDim * sizeof(float);
  row->query = (const float *)bound(command, 0, queries);
  row->keyCache = (void *)bound(command, 1, 16);
  row->valueCache = (void *)bound(command, 2, 16);
  row->positions = (const uint32_t *)bound(command, 3, words);
  row->sequences = (const uint32_t *)bound(command, 4, words);
  row->blockTables = (const uint32_t *)bound(command, 5, args->blocksPerSequence * sizeof(uint32_t));
  row->out = (float *)bound(command, 6, queries);
  row->heads = args->heads;
  row->kvHeads = args->kvHeads;
  row->groupHeads = args->heads / args->kvHeads;
  row->tiles = (row->groupHeads + AttentionRowQueries - 1) / AttentionRowQueries;
  row->blockSize = args->blockSize;
  const bool isPower = (args->blockSize & (args->blockSize - 1)) == 0;
  row->blockShift = isPower ? (uint32_t)__builtin_ctz(args->blockSize) : AttentionRowNoShift;
  row->blocksPerSequence = args->blocksPerSequence;
  row->window = args->window;
  row->scale = args->scale;
  row->softCap = args->softCap;
  return true;
}

static bool takesReduce(const Run *run, CudaAttentionRow *row) {
  const CudaNativeCommand *command = run->reduce, *attention = run->attention;
  const struct AttentionArgs *args = attention->constants[7];
  const struct AttentionReduceArgs *own = argumentsOf(command, 3, sizeof *own);
  if (!own || own->heads != args->heads || own->headDim != args->headDim || own->window != args->window ||
      own->splits != args->splits)
    return false;
  if (command->buffers[0] != attention->buffers[6] || command->buffers[1] != attention->buffers[3] ||
      groupsAlong(command, 0) != args->heads || groupsAlong(command, 1) != groupsAlong(attention, 1) ||
      command->threadsPerThreadgroup[1] != 1)
    return false;
  const uint64_t rows = groupsAlong(attention, 1);
  row->out = (float *)bound(command, 2, rows * args->heads * args->headDim * sizeof(float));
  return true;
}

static bool takesStore(const Run *run, CudaAttentionRow *row) {
  const CudaNativeCommand *command = run->store, *attention = run->attention;
  const struct AttentionArgs *args = attention->constants[7];
  const struct RowArgs *own = argumentsOf(command, 5, sizeof *own);
  const uint64_t n = (uint64_t)args->kvHeads * args->headDim;
  if (!own || own->n != n || strcmp(formatOf(command), formatOf(attention)) != 0 ||
      command->buffers[3] != attention->buffers[1] || command->buffers[4] != attention->buffers[2] || !coversRow(command, n))
    return false;
  row->key = (const float *)bound(command, 0, n * sizeof(float));
  row->value = (const float *)bound(command, 1, n * sizeof(float));
  row->slots = (const uint32_t *)bound(command, 2, sizeof(uint32_t));
  return row->key && row->value && row->slots;
}

/* Whether the command turns `heads` heads of one row. */
static bool turns(const CudaNativeCommand *command, const struct AttentionArgs *attention, uint32_t heads) {
  const struct RopeArgs *args = argumentsOf(command, 4, sizeof *args);
  if (!args || args->heads != heads || args->headDim != attention->headDim) return false;
  if (args->rotaryDims > args->headDim || args->rotaryDims % 2 != 0) return false;
  const uint64_t pairs = (uint64_t)heads * args->headDim / 2;
  return coversRow(command, pairs) && isBound(command, 0, pairs * 8, 1) && isBound(command, 3, pairs * 8, 1) &&
         isBound(command, 2, args->rotaryDims / 2 * sizeof(float), 1);
}

static bool takesTurns(const Run *run, CudaAttentionRow *row) {
  const CudaNativeCommand *query = run->turnQuery, *key = run->turnKey;
  const struct AttentionArgs *attention = run->attention->constants[7];
  if (!turns(query, attention, attention->heads) || !turns(key, attention, attention->kvHeads)) return false;
  const struct RopeArgs *args = query->constants[4], *other = key->constants[4];
  if (strcmp(query->function->name, key->function->name) != 0 || args->rotaryDims != other->rotaryDims ||
      memcmp(&args->magnitude, &other->magnitude, sizeof args->magnitude) != 0 || query->buffers[2] != key->buffers[2])
    return false;
  const uint64_t positions = run->attention->buffers[3];
  if (query->buffers[1] != positions || key->buffers[1] != positions || query->buffers[3] != run->attention->buffers[0] ||
      key->buffers[3] != run->store->buffers[0])
    return false;
  row->turnedQuery = (float *)row->query;
  row->turnedKey = (float *)row->key;
  row->query = (const float *)query->buffers[0];
  row->key = (const float *)key->buffers[0];
  row->frequencies = (const float *)query->buffers[2];
  row->rotaryDims = args->rotaryDims;
  row->turnsHalves = isNamed(query, "rope_half");
  row->magnitude = args->magnitude;
  return true;
}

/* Biases are added in place, and norms are of what is then turned in place: nothing is left to be written of either. */
static bool takesBiases(const Run *run, CudaAttentionRow *row) {
  const struct AttentionArgs *attention = run->attention->constants[7];
  for (int k = 0; k < 3; k++) {
    const CudaNativeCommand *command = run->biases[k];
    const struct RowArgs *args = argumentsOf(command, 3, sizeof *args);
    const uint64_t n = (uint64_t)(k == 0 ? attention->heads : attention->kvHeads) * attention->headDim;
    if (!args || args->n != n || command->buffers[0] != command->buffers[2] || !coversRow(command, n)) return false;
    row->biases[k] = (const float *)bound(command, 1, n * sizeof(float));
    if (!row->biases[k]) return false;
  }
  row->biasedValue = (float *)row->value;
  return row->turnedQuery == row->query && row->turnedKey == row->key;
}

static bool takesNorms(const Run *run, CudaAttentionRow *row) {
  const struct AttentionArgs *attention = run->attention->constants[7];
  if (row->turnedQuery != row->query || row->turnedKey != row->key) return false;
  for (int k = 0; k < 2; k++) {
    const CudaNativeCommand *command = run->norms[k];
    const struct RmsNormArgs *args = argumentsOf(command, 3, sizeof *args);
    const uint64_t heads = k == 0 ? attention->heads : attention->kvHeads;
    if (!args || args->n != attention->headDim || groupsAlong(command, 0) != 1 || groupsAlong(command, 1) != heads ||
        command->threadsPerThreadgroup[1] != 1)
      return false;
    const struct RmsNormArgs *first = run->norms[0]->constants[3];
    if (memcmp(&args->eps, &first->eps, sizeof args->eps) != 0) return false;
    row->norms[k] = (const float *)bound(command, 1, args->n * sizeof(float));
    const uint64_t from = bound(command, 0, heads * args->n * sizeof(float));
    if (!row->norms[k] || !from) return false;
    if (k == 0) row->query = (const float *)from;
    else row->key = (const float *)from;
    row->normEpsilon = args->eps;
  }
  return true;
}

static CudaRange rangeOf(const void *memory, uint64_t bytes) { return rangeAt((uint64_t)memory, bytes); }

static bool isSame(CudaRange a, CudaRange b) { return a.from == b.from && a.to == b.to; }

/* Whether they overlap and are not the same. */
static bool overlapOtherwise(CudaRange a, CudaRange b) { return cudaRangesOverlap(a, b) && !isSame(a, b); }

static bool overlapAny(CudaRange range, const CudaRange *others, uint32_t count) {
  for (uint32_t i = 0; i < count; i++)
    if (cudaRangesOverlap(range, others[i])) return true;
  return false;
}

/* Whether what blocks write is nothing that others may still read: all but the last of a head's only read, so that its own
 * query and key may lie where what is made of them goes. */
static bool isInOrder(const CudaAttentionRow *row, uint32_t rows, uint32_t headDim) {
  const uint64_t queries = (uint64_t)rows * row->heads * headDim * sizeof(float), keys = row->kvHeads * headDim * sizeof(float);
  const CudaRange query = rangeOf(row->query, queries), result = rangeOf(row->out, queries);
  if (overlapOtherwise(query, result)) return false;
  if (!row->key) return true;
  const CudaRange key = rangeOf(row->key, keys), value = rangeOf(row->value, keys), slot = rangeOf(row->slots, 4);
  if (rows != 1 || overlapAny(result, (CudaRange[]){key, value, slot}, 3)) return false;
  if (!row->frequencies) return true;
  const CudaRange turnedQuery = rangeOf(row->turnedQuery, queries), turnedKey = rangeOf(row->turnedKey, keys);
  const uint64_t head = headDim * sizeof(float);
  const CudaRange read[] = {rangeOf(row->frequencies, row->rotaryDims / 2 * sizeof(float)), slot, rangeOf(row->positions, 4),
                            rangeOf(row->biases[0], queries), rangeOf(row->biases[1], keys), rangeOf(row->biases[2], keys),
                            rangeOf(row->norms[0], head), rangeOf(row->norms[1], head)};
  for (uint32_t i = 0; i < sizeof read / sizeof *read; i++) {
    if (read[i].from == 0) continue;
    if (overlapAny(read[i], (CudaRange[]){result, turnedQuery, turnedKey}, 3)) return false;
    if (row->biasedValue && cudaRangesOverlap(read[i], value)) return false;
  }
  if (row->biasedValue && overlapAny(value, (CudaRange[]){query, key}, 2)) return false;
  if (overlapOtherwise(turnedQuery, query) || overlapOtherwise(turnedKey, key)) return false;
  if (overlapAny(turnedQuery, (CudaRange[]){key, value, turnedKey}, 3)) return false;
  if (overlapAny(turnedKey, (CudaRange[]){query, value, result}, 3)) return false;
  /* The last block has the queries of its own tile. */
  return isSame(turnedQuery, result) || (!cudaRangesOverlap(turnedQuery, result) && row->tiles == 1);
}

/* ---- the launch ---------------------------------------------------------------------------------------------------------- */

uint32_t cudaAttentionPlan(const CudaNativeDevice *device, const CudaNativeCommand *commands, uint32_t count,
                           CudaNativeLaunch *out) {
  Run run;
  CudaAttentionRow row = {0};
  uint32_t rows, variant;
  if (!readRun(commands, count, &run) || !takesAttention(&run, &row, &rows, &variant)) return 0;
  if ((run.reduce && !takesReduce(&run, &row)) || (run.store && !takesStore(&run, &row)) ||
      (run.turnQuery && !takesTurns(&run, &row)) || (run.biases[0] && !takesBiases(&run, &row)) ||
      (run.norms[0] && !takesNorms(&run, &row)))
    return 0;
  const uint32_t headDim = variants[variant].headDim;
  if (!row.query || !row.keyCache || !row.valueCache || !row.positions || !row.sequences || !row.blockTables || !row.out ||
      ((uint64_t)row.out | (uint64_t)row.keyCache | (uint64_t)row.valueCache) % 16 != 0 ||
      !isInOrder(&row, rows, headDim))
    return 0;
  if (row.turnedQuery == row.out) row.turnedQuery = NULL; /* the result takes its place */

  const uint32_t heads = row.kvHeads * row.tiles;
  const uint64_t capacity = (uint64_t)row.blocksPerSequence * row.blockSize;
  const uint64_t keys = capacity < row.window ? capacity : row.window;
  const uint64_t worth = keys / AttentionRowLeastKeys + 1;
  uint64_t splits = device->multiprocessors / (heads * rows);
  if (splits > worth) splits = worth;
  if (splits > AttentionRowMostSplits) splits = AttentionRowMostSplits;
  if (splits == 0) splits = 1;
  row.splits = (uint32_t)splits;
  row.splitShare = splits == 1 ? UINT32_MAX : (uint32_t)((((uint64_t)1 << 32) + splits - 1) / splits);

  const uint64_t table = row.blocksPerSequence <= AttentionRowTable ? row.blocksPerSequence * sizeof(uint32_t) : 0;
  const uint64_t shared = attentionRowPlaces(headDim) + AttentionRowWarps * attentionRowSums(headDim) + table;
  if (shared > device->sharedBytes) return 0;

  *out = (CudaNativeLaunch){
      .kernel = variants[variant].kernel,
      .grid = {row.splits, heads, rows},
      .block = {AttentionRowThreads, 1, 1},
      .sharedBytes = (uint32_t)shared,
      .scratchBytes = (uint64_t)rows * row.kvHeads * sizeof(uint32_t),
      .scratchOffset = offsetof(CudaAttentionRow, counters),
      .partialBytes = attentionRowPartials(headDim, row.splits) * heads * rows,
      .partialOffset = offsetof(CudaAttentionRow, partials),
      .overlaps = true,
      .parameterBytes = sizeof row,
  };
  memcpy(out->parameters, &row, sizeof row);
  return run.count;
}

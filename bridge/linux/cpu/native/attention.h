/*
 * attention.h: attention, attention_tiled and attention_reduce of shaders/. Part of level.h.
 *
 * Where there is little else to share out to threads, the positions are: pieces each leave partial sums, which a second phase
 * puts together. The borders depend on nothing but the largest position, so that sums are the same for any number of threads.
 */

enum : uint32_t {
  AttentionMaxHeadDim = 256, // shaders/tiles.h
  AttentionTile = 128,
  SplitKeys = 128,  // positions of a piece that leaves partial sums, at least
  FewestSplits = 32, // of a context that is so long that pieces are longer: less to put together
  SlotBytes = 1024, // that such a piece reads of a slot at least, if it has them: less is no good use of memory
  EnoughPieces = 64 // not to split
};

/** A dispatch of attention. */
struct Attention {
  const AttentionArgs *args;
  void *const *buffers;
  const uint32_t *positions, *sequences;
  Stage stage;
  uint64_t slotBytes, headBytes;
  uint32_t rows, sharing;
  uint32_t rowsPerPiece, rowPieces, splits, splitKeys;
  uint32_t headsPerPiece, headPieces; // key heads
  bool isSplitByCaller; // args->splits parts go to `out` as they are
};

/** shaders/attention.h */
INLINE uint32_t keys_per_split(uint32_t keys, uint32_t splits) {
  const uint32_t tiles = keys / AttentionTile + (keys % AttentionTile != 0);
  return (tiles / splits + (tiles % splits != 0)) * AttentionTile;
}

/** Whether `queries` of one sequence are better made in tiles than row by row. */
INLINE bool fills_lanes(uint64_t queries) { return queries >= Lanes; }

/** How a dispatch is shared out to so many threads. Its arguments have been checked. */
template <typename Cache> static void read_attention(const DriverCommand *command, uint32_t width, bool isTiled, Attention *out) {
  void *const *buffers = command->dispatch.buffers;
  const auto *args = (const AttentionArgs *)buffers[isTiled ? 8 : 7];
  out->args = args;
  out->buffers = buffers;
  out->positions = (const uint32_t *)buffers[3];
  out->sequences = (const uint32_t *)buffers[4];
  out->stage = stage<Cache>;
  out->headBytes = uint64_t(args->headDim) / Cache::elements * Cache::bytes;
  out->slotBytes = args->kvHeads * out->headBytes;
  out->rows = isTiled ? *(const uint32_t *)buffers[7] : uint32_t(groups_along(command, 1));
  out->sharing = args->heads / args->kvHeads;
  out->isSplitByCaller = args->splits > 1;

  uint32_t runs = 1, end = 0;
  for (uint32_t row = 0; row < out->rows; row++) {
    runs += row > 0 && out->sequences[row] != out->sequences[row - 1];
    if (out->positions[row] >= end) end = out->positions[row] + 1;
  }
  const bool isInTiles = !out->isSplitByCaller && fills_lanes(uint64_t(out->rows / runs) * out->sharing);
  const uint32_t most = most_queries(tile_stride(args->headDim));
  out->rowsPerPiece = !isInTiles || out->sharing > most ? 1 : most / out->sharing;
  out->rowPieces = (out->rows + out->rowsPerPiece - 1) / out->rowsPerPiece;
  uint64_t headPieces = isInTiles || out->sharing > RowHeads ? args->kvHeads : out->slotBytes / SlotBytes;
  const uint64_t fewest = (args->heads + RowHeads - 1) / RowHeads;
  if (headPieces < fewest) headPieces = fewest;
  if (headPieces > args->kvHeads) headPieces = args->kvHeads;
  for (out->splitKeys = SplitKeys; end / FewestSplits > 2 * out->splitKeys;) out->splitKeys *= 2;
  const uint32_t splits = (end - 1) / out->splitKeys + 1;
  out->splits = out->isSplitByCaller ? args->splits : uint64_t(out->rowPieces) * headPieces < EnoughPieces ? splits : 1;
  // Of threads without a piece, nothing is gained by long runs. What a head is made of stays the same.
  const uint64_t others = uint64_t(out->rowPieces) * out->splits, wanted = (width + others - 1) / others;
  if (headPieces < wanted) headPieces = wanted < args->kvHeads ? wanted : args->kvHeads;
  out->headsPerPiece = uint32_t((args->kvHeads + headPieces - 1) / headPieces);
  out->headPieces = (args->kvHeads + out->headsPerPiece - 1) / out->headsPerPiece;
}

/** Whether all positions of a run of rows of one sequence lie in the caches. */
static bool is_in_cache(const AttentionArgs *args, const uint32_t *blocks, uint32_t begin, uint32_t end, uint64_t slots) {
  if ((end - 1) / args->blockSize >= args->blocksPerSequence) return false;
  for (uint32_t block = begin / args->blockSize; block <= (end - 1) / args->blockSize; block++) {
    const uint64_t blockEnd = (uint64_t(block) + 1) * args->blockSize;
    const uint64_t used = args->blockSize - (blockEnd > end ? blockEnd - end : 0);
    if (uint64_t(blocks[block]) * args->blockSize + used > slots) return false;
  }
  return true;
}

template <typename Cache> static bool plan_attention(const DriverCommand *command, NativePlan *plan, bool isTiled) {
  const auto *args = (const AttentionArgs *)bound(command, isTiled ? 8 : 7, sizeof(AttentionArgs));
  if (!args || args->kvHeads == 0 || args->heads % args->kvHeads != 0 || args->headDim == 0 || args->blockSize == 0) return false;
  if (args->headDim > AttentionMaxHeadDim || args->headDim % Cache::elements != 0 || args->window == 0 || args->splits == 0)
    return false;
  uint64_t rows = groups_along(command, 1);
  if (isTiled) {
    const auto *count = (const uint32_t *)bound(command, 7, 4);
    if (!count || groups_along(command, 0) != args->kvHeads || args->splits != 1) return false;
    rows = *count;
    const uint64_t queries = (args->headDim > 128 ? 2 : 4) * 8; // of a threadgroup: attention_tiled.metal
    if (groups_along(command, 1) < (rows * (args->heads / args->kvHeads) + queries - 1) / queries) return false;
  } else if (groups_along(command, 0) != args->heads || groups_along(command, 2) != args->splits) {
    return false;
  }
  const uint64_t headRows = product(rows, args->heads);
  const uint64_t outFloats = product(headRows, args->splits > 1 ? product(args->splits, args->headDim + 2) : args->headDim);
  if (rows == 0 || rows > INT32_MAX || !bound(command, 0, product(headRows, 4 * args->headDim)) ||
      !bound(command, 3, 4 * rows) || !bound(command, 4, 4 * rows) || !bound(command, 6, product(outFloats, 4)))
    return false;

  Attention attention;
  read_attention<Cache>(command, plan->width, isTiled, &attention);
  const uint64_t *lengths = command->dispatch.bufferLengths;
  const uint64_t slots = (lengths[1] < lengths[2] ? lengths[1] : lengths[2]) / attention.slotBytes;
  const auto *tables = (const uint32_t *)command->dispatch.buffers[5];
  uint64_t keys = 0; // of all rows
  uint32_t begin = 0, end = 0;
  for (uint32_t row = 0; row < rows; row++) {
    if (attention.positions[row] >= INT32_MAX - 2 * TileKeys) return false;
    const uint32_t rowEnd = attention.positions[row] + 1, seen = rowEnd < args->window ? rowEnd : args->window;
    const bool isFirst = row == 0 || attention.sequences[row] != attention.sequences[row - 1];
    const uint64_t table = uint64_t(attention.sequences[row]) * args->blocksPerSequence;
    if (isFirst && !bound(command, 5, product(table + args->blocksPerSequence, 4))) return false;
    begin = isFirst || rowEnd - seen < begin ? rowEnd - seen : begin;
    end = isFirst || rowEnd > end ? rowEnd : end;
    const bool isLast = row + 1 == rows || attention.sequences[row] != attention.sequences[row + 1];
    if (isLast && !is_in_cache(args, tables + table, begin, end, slots)) return false;
    keys += seen;
  }

  const uint32_t stride = tile_stride(args->headDim);
  const uint64_t pieces = product(uint64_t(attention.rowPieces) * attention.headPieces, attention.splits);
  if (pieces > UINT32_MAX) return false;
  const float products = 2.0f * float(keys) * float(args->heads) * float(args->headDim);
  const float bytes = 2.0f * float(keys) * float(attention.slotBytes) / float(attention.rowsPerPiece);
  plan->phaseCount = 1;
  plan->phases[0] = {uint32_t(pieces), 200.0f + (products / (1.5f * float(Lanes)) + bytes / 12.0f) / float(pieces)};
  plan->threadBytes = 4 * (tile_floats(stride) > row_floats(stride) ? tile_floats(stride) : row_floats(stride));
  if (attention.splits == 1 || attention.isSplitByCaller) return true;
  plan->phaseCount = 2;
  plan->phases[1] = {uint32_t(headRows), 50.0f + float(attention.splits) * float(args->headDim) / float(Lanes)};
  plan->sharedBytes = product(4, product(headRows, product(attention.splits, args->headDim + 2)));
  return headRows <= UINT32_MAX && plan->sharedBytes != UINT64_MAX;
}

/** One piece: some rows, some key heads, and a part of the positions. */
static void attend(const Attention &attention, Queries &queries, uint32_t rowPiece, uint32_t headPiece, uint32_t split,
                   float *memory) {
  const AttentionArgs *args = attention.args;
  const uint32_t kvHead = headPiece * attention.headsPerPiece, headsLeft = args->kvHeads - kvHead;
  const uint32_t kvHeads = headsLeft < attention.headsPerPiece ? headsLeft : attention.headsPerPiece;
  const uint64_t firstHead = uint64_t(kvHead) * attention.sharing;
  const bool isShared = attention.splits > 1;
  queries.rowFloats = uint64_t(args->heads) * args->headDim;
  queries.q = (const float *)attention.buffers[0] + firstHead * args->headDim;
  queries.isPartial = isShared;
  queries.outHeadFloats = isShared ? attention.splits * (args->headDim + Partial::More) : args->headDim;
  queries.outRowFloats = uint64_t(args->heads) * queries.outHeadFloats;
  queries.out += firstHead * queries.outHeadFloats + (isShared ? uint64_t(split) * (args->headDim + Partial::More) : 0);
  queries.heads = attention.sharing;
  queries.scale = args->scale;
  queries.softCap = args->softCap;
  CacheHead cache = {(const uint8_t *)attention.buffers[1] + kvHead * attention.headBytes,
                     (const uint8_t *)attention.buffers[2] + kvHead * attention.headBytes,
                     attention.slotBytes, attention.headBytes, nullptr, args->blockSize, args->headDim};
  Visible range = {attention.positions, args->window, 0, UINT32_MAX};
  if (isShared && !attention.isSplitByCaller) {
    range.from = split * attention.splitKeys;
    range.to = range.from + attention.splitKeys;
  }

  const uint32_t most = most_queries(tile_stride(args->headDim));
  const uint32_t rowsFrom = rowPiece * attention.rowsPerPiece, left = attention.rows - rowsFrom;
  const uint32_t rowsTo = rowsFrom + (left < attention.rowsPerPiece ? left : attention.rowsPerPiece);
  for (uint32_t row = rowsFrom, next; row < rowsTo; row = next) {
    const uint32_t sequence = attention.sequences[row];
    for (next = row + 1; next < rowsTo && attention.sequences[next] == sequence;) next++;
    cache.blocks = (const uint32_t *)attention.buffers[5] + uint64_t(sequence) * args->blocksPerSequence;
    const uint64_t count = uint64_t(next - row) * attention.sharing;
    bool isDone = kvHeads == 1 && !attention.isSplitByCaller && fills_lanes(count) && count <= most;
    isDone = isDone && attend_queries(queries, cache, attention.stage, range, row, 0, uint32_t(count - 1), memory);
    for (uint32_t r = row; r < next && !isDone; r++) {
      uint32_t begin, end;
      visible(range, r, &begin, &end);
      if (attention.isSplitByCaller) {
        const uint64_t each = keys_per_split(end - begin, args->splits);
        if (split * each >= end - begin) continue; // nothing is written of it
        begin += uint32_t(split * each);
        end = end - begin < each ? end : uint32_t(begin + each);
      }
      attend_row(queries, cache, attention.stage, r, kvHeads, begin, end, memory);
    }
  }
}

/** out = sum_s w_s sums_s / sum_s w_s total_s, w_s = exp(maximum_s - their maximum), of `splits` partials. */
static void put_together(const float *partials, uint32_t splits, uint32_t headDim, float *out) {
  const uint32_t length = headDim + Partial::More;
  Floats largest = splat(MaskedScore);
  for (uint32_t s = 0; s < splits; s++) largest = maximum(largest, splat(partials[s * length + headDim + Partial::Maximum]));
  float total = 0.0f;
  for (uint32_t s = 0; s < splits; s++) {
    const float *partial = partials + uint64_t(s) * length;
    const Floats weight = exponential(splat(partial[headDim + Partial::Maximum]) - largest);
    total += weight[0] * partial[headDim + Partial::Total];
    for (uint32_t d = 0; d < headDim; d += Lanes) {
      const Floats before = s == 0 ? Floats{} : load_f32(out + d, headDim - d);
      store_f32(out + d, fma(weight, load_f32(partial + d, headDim - d), before), headDim - d);
    }
  }
  const Floats factor = splat(1.0f / total);
  for (uint32_t d = 0; d < headDim; d += Lanes) store_f32(out + d, load_f32(out + d, headDim - d) * factor, headDim - d);
}

template <typename Cache> static void run_attention(const NativeRun *run, uint32_t phase, uint32_t from, uint32_t to, bool isTiled) {
  Attention attention;
  read_attention<Cache>(run->command, run->plan->width, isTiled, &attention);
  const AttentionArgs *args = attention.args;
  float *out = (float *)attention.buffers[6];
  for (uint32_t piece = from; phase == 0 && piece < to; piece++) {
    // The last rows see most, and come first, so that no thread is left alone with them.
    const uint32_t split = piece % attention.splits, rest = piece / attention.splits;
    const uint32_t rowPiece = attention.rowPieces - 1 - rest / attention.headPieces;
    Queries queries = {};
    queries.out = attention.splits > 1 && !attention.isSplitByCaller ? (float *)run->shared : out;
    attend(attention, queries, rowPiece, rest % attention.headPieces, split, (float *)scratch(run));
  }
  for (uint32_t head = from; phase == 1 && head < to; head++) {
    const float *partials = (const float *)run->shared + uint64_t(head) * attention.splits * (args->headDim + Partial::More);
    put_together(partials, attention.splits, args->headDim, out + uint64_t(head) * args->headDim);
  }
}

template <typename Cache, bool IsTiled> static bool plan_attention_of(const DriverCommand *command, NativePlan *plan) {
  return plan_attention<Cache>(command, plan, IsTiled);
}
template <typename Cache, bool IsTiled>
static void run_attention_of(const NativeRun *run, uint32_t phase, uint32_t from, uint32_t to) {
  run_attention<Cache>(run, phase, from, to, IsTiled);
}

static bool plan_attention_reduce(const DriverCommand *command, NativePlan *plan) {
  const auto *args = (const AttentionReduceArgs *)bound(command, 3, sizeof(AttentionReduceArgs));
  const uint64_t rows = groups_along(command, 1);
  if (!args || groups_along(command, 0) != args->heads || args->window == 0 || args->splits == 0) return false;
  const uint64_t heads = product(rows, args->heads), headDim = args->headDim;
  if (heads > UINT32_MAX || !bound(command, 0, product(product(heads, args->splits), 4 * (headDim + Partial::More))) ||
      !bound(command, 1, product(rows, 4)) || !bound(command, 2, product(heads, 4 * headDim)))
    return false;
  plan->phaseCount = 1;
  plan->phases[0] = {uint32_t(heads), 50.0f + float(args->splits) * float(headDim) / float(Lanes)};
  return true;
}

static void run_attention_reduce(const NativeRun *run, uint32_t, uint32_t from, uint32_t to) {
  void *const *buffers = run->command->dispatch.buffers;
  const auto *args = (const AttentionReduceArgs *)buffers[3];
  for (uint64_t head = from; head < to; head++) {
    const uint32_t end = ((const uint32_t *)buffers[1])[head / args->heads] + 1;
    const uint32_t keys = end < args->window ? end : args->window, each = keys_per_split(keys, args->splits);
    const float *partials = (const float *)buffers[0] + head * args->splits * (args->headDim + Partial::More);
    put_together(partials, keys / each + (keys % each != 0), args->headDim, (float *)buffers[2] + head * args->headDim);
  }
}

#define ATTENTION_KERNEL(name, Cache, IsTiled) {name, plan_attention_of<Cache, IsTiled>, run_attention_of<Cache, IsTiled>},
#define ATTENTION_TILED_KERNELS(size)                                                                                  \
  ATTENTION_KERNEL("attention_tiled_" size "_f32", CacheF32, true)                                                     \
  ATTENTION_KERNEL("attention_tiled_" size "_f16", CacheF16, true)                                                     \
  ATTENTION_KERNEL("attention_tiled_" size "_q8_0", CacheQ8_0, true)
#define ATTENTION_KERNELS                                                                                              \
  ATTENTION_KERNEL("attention_f32", CacheF32, false)                                                                   \
  ATTENTION_KERNEL("attention_f16", CacheF16, false)                                                                   \
  ATTENTION_KERNEL("attention_q8_0", CacheQ8_0, false)                                                                 \
  ATTENTION_TILED_KERNELS("64")                                                                                        \
  ATTENTION_TILED_KERNELS("128")                                                                                       \
  ATTENTION_TILED_KERNELS("256")                                                                                       \
  {"attention_reduce", plan_attention_reduce, run_attention_reduce},

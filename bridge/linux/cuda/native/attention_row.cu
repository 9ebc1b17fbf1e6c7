/*
 * attention_row.cu: attention of single rows: of one to all keys before it, for a generated token.
 *
 * A block has up to eight query heads of one key head, so that keys are read once for all of them, and a part of the keys; its
 * warps share those out. What blocks have summed goes through memory: the last block of a key head puts it together
 * (attention_join.h). That one also writes what the commands before attention would have written, when nobody reads their
 * inputs any more, which may lie in the same place: the turned query and key, the value with its bias, and both in the cache.
 * Until then blocks have those of their own.
 *
 * Grids are for the longest sequence that there can be. How many blocks of a key head take part is seen on the device, by the
 * row's position; the others end.
 */
#include "attention_row.h"
#include "arrive.h"
#include "intrinsics.h"
#include "shader_args.h"

static constexpr float maskedScore = -3.0e38f; // of shaders/attention.h

#include "attention_turn.h"
#include "attention_join.h"
#include "attention_half.h"
#include "attention_float.h"

/** cap tanh(x / cap) */
DEVICE float softCap(float x, float cap) {
  const float y = x / cap, a = __builtin_fabsf(y), z = y * y;
  if (a < 0.625f) { // of the Cephes library (Moshier, 1989)
    float p = multiplyAdd(-5.70498872745e-3f, z, 2.06390887954e-2f);
    p = multiplyAdd(p, z, -5.37397155531e-2f);
    p = multiplyAdd(p, z, 1.33314422036e-1f);
    p = multiplyAdd(p, z, -3.33332819422e-1f);
    return cap * multiplyAdd(p * z, y, y);
  }
  const float e = fastExp2(-2.0f * Log2OfE * a);
  return __builtin_copysignf(cap * ((1.0f - e) * fastReciprocal(1.0f + e)), x);
}

/** The keys of a block. */
struct KeyRange {
  u32 begin, end;         // of the row
  u32 firstStep, endStep; // of the block
  u32 used;               // blocks of each tile of heads
};

/** Few steps are for one block, since to join several takes as long as some steps of all warps. More are shared out by the least that
 * is worth a block, and still more by a step for each warp, since fewer blocks are joined sooner; many evenly to all blocks. */
template <u32 keys> DEVICE KeyRange rangeOf(const CudaAttentionRow &p, u32 position, u32 split) {
  constexpr u32 least = AttentionRowLeastKeys / keys, alone = AttentionRowAloneKeys / keys;
  KeyRange range;
  range.end = position + 1;
  range.begin = range.end - minimum(range.end, p.window);
  const u32 first = range.begin / keys, steps = (range.end - 1) / keys - first + 1;
  const bool isSmall = steps <= least * AttentionRowSmallJoin;
  const u32 each = steps <= alone ? steps : isSmall ? least : (u32)AttentionRowWarps;
  const u32 blocks = (steps + each - 1) / each;
  const bool isFew = blocks <= p.splits;
  const auto border = [&](u32 i) { // of part i and the one before it
    if (isFew) return minimum(i * each, steps);
    return i == p.splits ? steps : (u32)((u64)(i * steps) * p.splitShare >> 32);
  };
  range.used = isFew ? blocks : p.splits;
  range.firstStep = first + border(split);
  range.endStep = first + border(split + 1);
  return range;
}

/** A sequence's block table, of which the part that fits is in shared memory. */
struct BlockTable {
  const u32 *blocks;
  const u32 *known; // NULL: none
  u32 size, shift;

  /** The slot of a position. */
  DEVICE_MEMBER u32 slotOf(u32 position) const {
    const u32 block = shift != AttentionRowNoShift ? position >> shift : position / size;
    return (known != nullptr ? known[block] : blocks[block]) * size + (position - block * size);
  }
};

/** Whether a block takes no more than half of a multiprocessor's registers, and the next launch may begin beside it. */
template <typename Rows, u32 HeadDim> constexpr bool leavesRoom = sizeof(typename Rows::Element) == 2 && HeadDim <= 64;

template <typename Rows, u32 HeadDim> DEVICE void attentionRow(const CudaAttentionRow &p, unsigned char *arena) {
  AttentionPlaces<HeadDim> &places = *(AttentionPlaces<HeadDim> *)arena;
  typedef WarpSums<HeadDim> Sums;
  Sums *const sums = (Sums *)(arena + sizeof places);
  u32 *const table = (u32 *)(sums + AttentionRowWarps);
  static_assert(sizeof places == attentionRowPlaces(HeadDim) && sizeof places % 16 == 0);
  static_assert(Rows::keys == attentionRowKeys(sizeof(typename Rows::Element), HeadDim));
  static_assert(sizeof(Sums) == attentionRowSums(HeadDim) && sizeof(Sums) % 16 == 0);
  constexpr u32 joining = 4 * AttentionRowQueries * AttentionRowMostSplits + 16 * AttentionRowThreads;
  static_assert(joining <= AttentionRowWarps * sizeof(Sums));
  const u32 thread = threadIndex(), warp = warpIndex(), lane = laneIndex();
  const u32 row = blockIndexZ(), split = blockIndexX();
  const u32 kvHead = p.tiles == 1 ? blockIndexY() : blockIndexY() / p.tiles;
  const u32 tile = blockIndexY() - kvHead * p.tiles;
  const u32 groupHeads = p.groupHeads, firstOfTile = tile * AttentionRowQueries;
  const u32 group = minimum(groupHeads - firstOfTile, (u32)AttentionRowQueries);
  const u64 firstHead = (u64)row * p.heads + kvHead * groupHeads + firstOfTile;
  waitForPrevious();

  // All that does not depend on anything is asked for at once; most rows are of the first sequence.
  const u32 position = p.positions[row], sequence = p.sequences[row];
  const u32 newSlot = p.slots != nullptr ? p.slots[row] : (u32)SkippedSlot;
  const bool isStaged = p.blocksPerSequence <= AttentionRowTable;
  if (isStaged) {
    ROLLED for (u32 i = thread; i < p.blocksPerSequence; i += AttentionRowThreads)
      copyAsync4(&table[i], &p.blockTables[i]);
  }
  copyAsyncCommit();
  PairsOfRows<HeadDim> pairs;
  pairs.load(p, firstHead, group, kvHead);
  const KeyRange range = rangeOf<Rows::keys>(p, position, split);
  if (split >= range.used) return;

  const u32 *blocks = p.blockTables + (u64)sequence * p.blocksPerSequence;
  copyAsyncWait<0>();
  if (isStaged && sequence != 0) {
    ROLLED for (u32 i = thread; i < p.blocksPerSequence; i += AttentionRowThreads) table[i] = blocks[i];
  }
  syncThreads();

  const BlockTable slots = {blocks, isStaged ? table : nullptr, p.blockSize, p.blockShift};
  // Lanes beyond the row's keys take its first or last.
  const auto slotOfStep = [&](u32 step) {
    const u32 key = step * Rows::keys + lane % Rows::keys;
    return slots.slotOf(minimum(maximum(key, range.begin), range.end - 1));
  };
  Rows rows;
  u32 step = range.firstStep + warp;
  u32 stepSlots = step < range.endStep ? slotOfStep(step) : 0;
  if (step < range.endStep) {
    rows.loadKeys(p, stepSlots, kvHead);
    rows.loadValues(p, kvHead);
  }
  // Behind what was asked for, since the next launch asks for much. It is kept back where its blocks would find no room beside this
  // one: they would crowd on other multiprocessors, and all of that launch would wait for these.
  if (leavesRoom<Rows, HeadDim>) allowNext();
  if (p.norms[0] != nullptr) pairs.normalise(p, places);
  pairs.turn(p, position, places);
  syncThreads();
  Rows::prepare(places);
  rows.begin(places);
  float *const own = places.weights[warp][0];
  const float scale = p.softCap > 0.0f ? p.scale : p.scale * Log2OfE;
  while (step < range.endStep) {
    const u32 next = step + AttentionRowWarps;
    const bool hasNext = next < range.endStep;
    const u32 nextSlots = hasNext ? slotOfStep(next) : 0;
    const bool hasNew = newSlot != SkippedSlot && ballot(stepSlots == newSlot) != 0;
    if (hasNew) rows.replaceKeys(stepSlots, newSlot, places);
    float scores[Rows::scoreCount];
    rows.scoreKeys(places, scores);
    if (hasNext) rows.loadKeys(p, nextSlots, kvHead);
    UNROLL for (u32 i = 0; i < Rows::scoreCount; i++) {
      float score = scores[i] * scale;
      if (p.softCap > 0.0f) score = Log2OfE * softCap(score, p.softCap);
      const u32 key = step * Rows::keys + Rows::scoredKey(i);
      scores[i] = key >= range.begin && key < range.end ? score : -__builtin_inff();
    }
    typename Rows::Weights weights;
    rows.weigh(scores, weights, own);
    if (hasNew) rows.replaceValues(stepSlots, newSlot, places);
    rows.addValues(weights, own);
    if (hasNext) rows.loadValues(p, kvHead);
    stepSlots = nextSlots;
    step = next;
  }
  syncWarp();
  const u32 warps = minimum(range.endStep - range.firstStep, (u32)AttentionRowWarps);
  if (warp < warps) rows.end(sums[warp]);
  syncThreads();

  const u64 head = (u64)row * p.kvHeads + kvHead;
  const bool isAlone = range.used == 1 && p.tiles == 1;
  const Partials<HeadDim> partials(p, head * p.tiles + tile);
  for (u32 item = thread; item < group * (HeadDim / 4); item += AttentionRowThreads) {
    const u32 query = item / (HeadDim / 4), dimension = item % (HeadDim / 4) * 4;
    const JoinedSums joined = joinWarps<HeadDim>(sums, warps, query, dimension);
    if (isAlone) {
      as<f32x4>(&p.out[(firstHead + query) * HeadDim + dimension]) = joined.values * fastReciprocal(joined.total);
    } else {
      const u64 at = (u64)split * AttentionRowQueries + query;
      as<f32x4>(&partials.values[at * HeadDim + dimension]) = joined.values;
      if (dimension == 0) partials.heights[at] = f32x2{joined.highest, joined.total};
    }
  }
  if (!isAlone) {
    if (!arriveLast(p.counters + head, range.used * p.tiles, places.isLast)) return;
    ROLLED for (u32 i = 0; i < p.tiles; i++) {
      if (i > 0) syncThreads();
      const u32 from = i * AttentionRowQueries;
      joinBlocks<HeadDim>(p, head * p.tiles + i, range.used, minimum(groupHeads - from, (u32)AttentionRowQueries),
                          p.out + ((u64)row * p.heads + kvHead * groupHeads + from) * HeadDim, (unsigned char *)sums);
    }
  }

  if (p.turnedQuery != nullptr) {
    ROLLED for (u32 i = thread; i < group * HeadDim; i += AttentionRowThreads)
      p.turnedQuery[firstHead * HeadDim + i] = places.turned[i / HeadDim][i % HeadDim];
  }
  if (p.key == nullptr) return;
  for (u32 d = thread; d < HeadDim; d += AttentionRowThreads) {
    const float key = places.turned[AttentionRowQueries][d];
    if (p.turnedKey != nullptr) p.turnedKey[(u64)kvHead * HeadDim + d] = key;
    if (p.biasedValue != nullptr) p.biasedValue[(u64)kvHead * HeadDim + d] = places.value[d];
    if (newSlot == SkippedSlot) continue;
    const u64 at = ((u64)newSlot * p.kvHeads + kvHead) * HeadDim + d;
    ((typename Rows::Element *)p.keyCache)[at] = Rows::stored(key);
    ((typename Rows::Element *)p.valueCache)[at] = Rows::stored(places.value[d]);
  }
}

#define ATTENTION_ROW(headDim, name, Rows)                                                                       \
  GLOBAL(AttentionRowThreads, (leavesRoom<Rows<headDim>, headDim> ? 2 : 1))                                      \
  void attention_row_##headDim##_##name(const CudaAttentionRow p) {                                              \
    SHARED_ARENA(arena);                                                                                         \
    attentionRow<Rows<headDim>, headDim>(p, arena);                                                              \
  }
ATTENTION_ROW(32, f16, HalfRows)
ATTENTION_ROW(64, f16, HalfRows)
ATTENTION_ROW(96, f16, HalfRows)
ATTENTION_ROW(128, f16, HalfRows)
ATTENTION_ROW(256, f16, HalfRows)
ATTENTION_ROW(32, f32, FloatRows)
ATTENTION_ROW(64, f32, FloatRows)
ATTENTION_ROW(96, f32, FloatRows)
ATTENTION_ROW(128, f32, FloatRows)
ATTENTION_ROW(256, f32, FloatRows)

/*
 * sample.cu: the choice of a token, as sample_f32 of shaders/sample.metal makes it, by many blocks. All that a choice depends
 * on is whole numbers, and sums of them come out the same in any order.
 *
 * Each block has a range of a row's logits in registers. The best of all is what the last block finds in what they found. For
 * other choices they wait for each other, and then know the highest logit. Without top-k and top-p each sums up its weights,
 * and the one in whose range the random part of all falls finds the token. Else they list those logits that can matter, and
 * the last block sorts them.
 */
#include "sample.h"
#include "arrive.h"
#include "intrinsics.h"
#include "shader_args.h"

#include "sample_weights.h"

struct SampleChoice {
  u32 topK, topP[2], mostOctaves, rate, random[2];
};
struct Chosen {
  u32 token, fault, where;
};

/** What a block has in shared memory. */
struct SampleSpace {
  u64 keys[SampleSorted], sums[SampleSorted];
  u64 warps[SampleWarps];
  u32 bests[3][SampleWarps];
  u32 orders[SampleMostBlocks];
  u32 isLast;
};
static_assert(sizeof(SampleSpace) <= SampleShared);

/** What is known of some logits. */
struct Best {
  u32 order, complement, nanComplement;

  DEVICE_MEMBER u32 id() const { return ~complement; }
};

/* ---- over a block ------------------------------------------------------------------------------------------------------- */

DEVICE u64 shuffleUp(u64 value, u32 delta) {
  const u32 lane = laneIndex() >= delta ? laneIndex() - delta : laneIndex();
  return (u64)shuffle((u32)(value >> 32), lane) << 32 | shuffle((u32)value, lane);
}

/** Of this lane and those before it. */
DEVICE u64 sumUpToLane(u64 value) {
  UNROLL for (u32 delta = 1; delta < 32; delta *= 2) {
    const u64 other = shuffleUp(value, delta);
    if (laneIndex() >= delta) value += other;
  }
  return value;
}

/** Of this thread and those before it, and of all. */
DEVICE u64 sumUpToThread(u64 value, u64 &total, SampleSpace &space) {
  const u32 warp = warpIndex();
  value = sumUpToLane(value);
  syncThreads();
  if (laneIndex() == 31) space.warps[warp] = value;
  syncThreads();
  total = 0;
  u64 before = 0;
  UNROLL for (u32 w = 0; w < SampleWarps; w++) {
    if (w < warp) before += space.warps[w];
    total += space.warps[w];
  }
  return before + value;
}
DEVICE u64 sumOfBlock(u64 value, SampleSpace &space) {
  u64 total;
  sumUpToThread(value, total, space);
  return total;
}

DEVICE Best bestOfBlock(Best best, SampleSpace &space) {
  const u32 warp = warpIndex(), lane = laneIndex();
  const u32 order = reduceMaxWarp(best.order);
  best.complement = reduceMaxWarp(best.order == order ? best.complement : 0);
  best.order = order;
  best.nanComplement = reduceMaxWarp(best.nanComplement);
  syncThreads();
  if (lane == 0) {
    space.bests[0][warp] = best.order;
    space.bests[1][warp] = best.complement;
    space.bests[2][warp] = best.nanComplement;
  }
  syncThreads();
  Best all = {0, 0, 0};
  UNROLL for (u32 w = 0; w < SampleWarps; w++) {
    const u32 other = space.bests[0][w], complement = space.bests[1][w];
    if (other > all.order || (other == all.order && complement > all.complement)) all.complement = complement;
    all.order = maximum(all.order, other);
    all.nanComplement = maximum(all.nanComplement, space.bests[2][w]);
  }
  return all;
}

/** The lowest number of a block's threads. */
DEVICE u32 lowestOfBlock(u32 value, SampleSpace &space) {
  const u32 warp = warpIndex();
  value = reduceMaxWarp(~value);
  syncThreads();
  if (laneIndex() == 0) space.bests[0][warp] = value;
  syncThreads();
  UNROLL for (u32 w = 0; w < SampleWarps; w++) value = maximum(value, space.bests[0][w]);
  return ~value;
}

/** Sorts space.keys, the lowest first; `count` is a power of two. */
DEVICE void sortKeys(SampleSpace &space, u32 count) {
  for (u32 size = 2; size <= count; size *= 2) {
    for (u32 stride = size / 2; stride > 0; stride /= 2) {
      syncThreads();
      for (u32 i = threadIndex(); i < count / 2; i += SampleThreads) {
        const u32 a = 2 * i - (i & (stride - 1)), b = a + stride;
        const u64 x = space.keys[a], y = space.keys[b];
        if ((x > y) == ((a & size) == 0)) {
          space.keys[a] = y;
          space.keys[b] = x;
        }
      }
    }
  }
  syncThreads();
}

/** space.sums = of the weights up to each, which `weight` gives for a place below `count`. Returns that of all. */
template <typename Weight> DEVICE u64 sumUp(SampleSpace &space, u32 count, Weight weight) {
  constexpr u32 each = SampleSorted / SampleThreads;
  const u32 first = threadIndex() * each;
  u64 sums[each], own = 0, total;
  UNROLL for (u32 i = 0; i < each; i++) sums[i] = own += first + i < count ? weight(first + i) : 0;
  const u64 before = sumUpToThread(own, total, space) - own;
  UNROLL for (u32 i = 0; i < each; i++) space.sums[first + i] = before + sums[i];
  syncThreads();
  return total;
}

/** The first place below `count` up to which the sum is above `target`; count - 1 if there is none. */
DEVICE u32 findSum(const SampleSpace &space, u32 count, u64 target) {
  u32 first = 0, end = count - 1;
  while (first < end) {
    const u32 middle = (first + end) / 2;
    if (space.sums[middle] > target) end = middle;
    else first = middle + 1;
  }
  return first;
}

/* ---- a row -------------------------------------------------------------------------------------------------------------- */

/** A row, as a thread of one of its blocks sees it. */
struct SampleRow {
  const CudaSample &p;
  SampleSpace &space;
  u32 row, block, blocks;
  const float *logits;
  u32 *list, *counters;
  SampleBest *bests;
  u64 *sums; // of blocks
  SampleChoice choice;
  u32 begin, end;        // the block's
  u32 bits[SampleEach];  // of every SampleThreads-th of them
  float highest;

  DEVICE_MEMBER u32 idOf(u32 i) const { return begin + threadIndex() + SampleThreads * i; }

  DEVICE_MEMBER void choose(u32 token, u32 fault, u32 where) const {
    if (threadIndex() != 0) return;
    const u32 place = minimum(p.places[row], p.placeCount - 1);
    ((Chosen *)p.chosen)[place] = Chosen{token, fault, where};
  }

  /** The highest logit, or why there is nothing to choose. */
  DEVICE_MEMBER bool isFaulty(const Best &best) const {
    return best.nanComplement != 0 || best.order == orderOf(plusInfinity) || best.order <= orderOf(minusInfinity);
  }
  DEVICE_MEMBER void chooseBest(const Best &best) const {
    if (best.nanComplement != 0) choose(NoToken, FaultNaN, ~best.nanComplement);
    else if (best.order == orderOf(plusInfinity)) choose(NoToken, FaultInfinity, best.id());
    else if (best.order <= orderOf(minusInfinity)) choose(NoToken, FaultNothing, 0);
    else choose(best.id(), 0, 0);
  }

  DEVICE_MEMBER Best bestOfOwn() const {
    Best best = {0, 0, 0};
    UNROLL for (u32 i = 0; i < SampleEach; i++) {
      const u32 order = orderOf(bits[i]);
      if (isNaN(bits[i])) {
        best.nanComplement = maximum(best.nanComplement, ~idOf(i));
      } else if (order > best.order) {
        best.order = order;
        best.complement = ~idOf(i);
      }
    }
    return bestOfBlock(best, space);
  }
  DEVICE_MEMBER Best bestOfAll() const {
    Best best = {0, 0, 0};
    if (threadIndex() < blocks) {
      const u32x4 of = loadShared16(&bests[threadIndex()]);
      best = {of.x, of.y, of.z};
      space.orders[threadIndex()] = of.x;
    }
    return bestOfBlock(best, space);
  }

  /** The blocks' sums in space.sums; returns that of all. */
  DEVICE_MEMBER u64 exchangeSums(u64 own) const {
    own = sumOfBlock(own, space);
    if (threadIndex() == 0) sums[block] = own;
    arriveAll(&counters[SampleCounterSums], blocks);
    if (threadIndex() < blocks) {
      const float *from = (const float *)&sums[threadIndex()];
      space.keys[threadIndex()] = (u64)bitsOf(loadShared(from + 1)) << 32 | bitsOf(loadShared(from));
    }
    syncThreads();
    return sumUp(space, blocks, [&](u32 i) { return space.keys[i]; });
  }

  /** Of all with their weights. */
  DEVICE_MEMBER void chooseByWeight() const {
    u32 weights[SampleEach];
    u64 own = 0;
    UNROLL for (u32 i = 0; i < SampleEach; i++) {
      const bool may = idOf(i) < end && octavesBelow(highest, bits[i], unitRate) <= choice.mostOctaves;
      weights[i] = may ? weightOf(octavesBelow(highest, bits[i], choice.rate)) : 0;
      own += weights[i];
    }
    const u64 total = exchangeSums(own), target = partOf(total, choice.random);
    const u32 chosenBlock = findSum(space, blocks, target);
    if (block == chosenBlock) {
      const u64 before = block == 0 ? 0 : space.sums[block - 1];
      syncThreads();
      const u32 warp = warpIndex();
      UNROLL for (u32 i = 0; i < SampleEach; i++) {
        const u64 sum = sumUpToLane(weights[i]);
        if (laneIndex() == 31) space.keys[i * SampleWarps + warp] = sum;
      }
      syncThreads();
      sumUp(space, SampleEach * SampleWarps, [&](u32 i) { return space.keys[i]; });
      const u32 part = findSum(space, SampleEach * SampleWarps, target - before);
      if (part % SampleWarps == warp) {
        u32 weight = 0;
        UNROLL for (u32 i = 0; i < SampleEach; i++) weight = part / SampleWarps == i ? weights[i] : weight;
        const u64 sum = before + (part == 0 ? 0 : space.sums[part - 1]) + sumUpToLane(weight);
        const u32 above = ballot(sum > target);
        const u32 token = begin + part * 32 + (u32)__builtin_ctz(above | 1u << 31);
        if (laneIndex() == 0) space.bests[0][0] = token;
      }
      syncThreads();
      choose(space.bests[0][0], 0, 0);
    }
    if (arriveLast(&counters[SampleCounterEnd], blocks, space.isLast)) clearCounters();
  }

  DEVICE_MEMBER void clearCounters() const {
    if (threadIndex() < SampleCounters) counters[threadIndex()] = 0;
  }

  /** Of the k-th best logit of all, what the k-th best of the blocks' best is, which is no better; 0 where there are fewer. */
  DEVICE_MEMBER u32 leastOrder() const {
    u32 least = 0xffffffff;
    const u32 thread = threadIndex();
    if (thread < blocks) {
      const u32 own = space.orders[thread];
      u32 before = 0;
      for (u32 i = 0; i < blocks; i++) before += space.orders[i] > own || (space.orders[i] == own && i < thread);
      if (before < choice.topK) least = own;
    }
    least = lowestOfBlock(least, space);
    return choice.topK <= blocks ? least : 0;
  }

  DEVICE_MEMBER void chooseAmongBest(bool isRanked, bool isWeighed) const {
    const u32 least = isRanked ? leastOrder() : 0;
    u32 counted = isRanked ? mostOctaves : choice.mostOctaves;
    u64 target = 0;
    if (isWeighed && !isRanked) {
      // Tokens with less than 1/n of what top-p leaves out make up less than all of that together.
      u64 own = 0;
      UNROLL for (u32 i = 0; i < SampleEach; i++)
          own += idOf(i) < end ? weightOf(octavesBelow(highest, bits[i], unitRate)) : 0;
      const u64 total = exchangeSums(own);
      target = partOf(total, choice.topP);
      const u64 negligible = (total - target) / p.n;
      if (negligible > 0) counted = minimum(counted, octavesWith((u32)(negligible < 1u << 31 ? negligible : 1u << 31)));
    }
    u32 kept = 0; // bit i
    UNROLL for (u32 i = 0; i < SampleEach; i++) {
      const bool may = idOf(i) < end && orderOf(bits[i]) >= least && octavesBelow(highest, bits[i], unitRate) <= counted;
      kept |= (u32)may << i;
    }
    u64 all;
    const u32 count = (u32)__builtin_popcount(kept);
    u32 at = (u32)sumUpToThread(count, all, space) - count;
    if (threadIndex() == 0) space.bests[0][0] = atomicAdd(&counters[SampleCounterCandidates], (u32)all);
    syncThreads();
    at += space.bests[0][0];
    UNROLL for (u32 i = 0; i < SampleEach; i++)
      if (kept >> i & 1) list[at++] = idOf(i);
    if (!arriveLast(&counters[SampleCounterEnd], blocks, space.isLast)) return;
    const u32 candidates = loadAcquire(&counters[SampleCounterCandidates]);
    syncThreads();
    clearCounters();
    if (candidates <= SampleSorted) chooseSorted(candidates, isRanked, isWeighed, target);
    else chooseBySearch(candidates, isRanked, isWeighed, target);
  }

  DEVICE_MEMBER u32 candidate(u32 i) const { return bitsOf(loadShared((const float *)&list[i])); }
  DEVICE_MEMBER static u32 bitsOfOrder(u32 order) { return order >> 31 ? order & 0x7fffffff : ~order; }

  /** Candidates by rank: those kept are the first, and of them the choice goes by id. */
  DEVICE_MEMBER void chooseSorted(u32 count, bool isRanked, bool isWeighed, u64 target) const {
    const u32 thread = threadIndex(), top = orderOf(bitsOf(highest));
    u32 room = 2;
    while (room < count) room *= 2;
    for (u32 i = thread; i < room; i += SampleThreads) {
      const u32 id = i < count ? candidate(i) : 0;
      space.keys[i] = i < count ? (u64)(top - orderOf(bitsOf(logits[id]))) << 32 | id : ~(u64)0;
    }
    sortKeys(space, room);
    const auto bitsAt = [&](u32 i) { return bitsOfOrder(top - (u32)(space.keys[i] >> 32)); };
    u32 kept = isRanked ? minimum(count, choice.topK) : count;
    if (isWeighed) {
      const u64 total = sumUp(space, kept, [&](u32 i) { return weightOf(octavesBelow(highest, bitsAt(i), unitRate)); });
      if (isRanked) target = partOf(total, choice.topP);
      kept = findSum(space, kept, target > 1 ? target - 1 : 0) + 1;
      syncThreads();
    }
    constexpr u32 each = SampleSorted / SampleThreads;
    u64 byId[each];
    UNROLL for (u32 i = 0; i < each; i++) {
      const u32 at = thread + SampleThreads * i;
      byId[i] = ~(u64)0;
      if (at >= kept) continue;
      const u32 bits = bitsAt(at);
      const bool may = octavesBelow(highest, bits, unitRate) <= choice.mostOctaves;
      byId[i] = space.keys[at] << 32 | (may ? weightOf(octavesBelow(highest, bits, choice.rate)) : 0);
    }
    syncThreads();
    room = 2;
    while (room < kept) room *= 2;
    UNROLL for (u32 i = 0; i < each; i++) {
      const u32 at = thread + SampleThreads * i;
      if (at < room) space.keys[at] = byId[i];
    }
    sortKeys(space, room);
    const u64 total = sumUp(space, kept, [&](u32 i) { return (u32)space.keys[i]; });
    choose((u32)(space.keys[findSum(space, kept, partOf(total, choice.random))] >> 32), 0, 0);
  }

  /* ---- where there are too many to sort ---- */

  enum Measure { MeasureCount, MeasureWeight, MeasureChoice };

  DEVICE_MEMBER u64 sumUpTo(u32 count, u64 last, u64 place, Measure measure) const {
    const u32 top = orderOf(bitsOf(highest));
    u64 sum = 0;
    for (u32 i = threadIndex(); i < count; i += SampleThreads) {
      const u32 id = candidate(i), bits = bitsOf(logits[id]);
      const u64 rank = (u64)(top - orderOf(bits)) << 32 | id;
      if (rank > last || (measure == MeasureChoice ? id : rank) > place) continue;
      const u32 octaves = octavesBelow(highest, bits, unitRate);
      if (measure == MeasureCount) sum += 1;
      else if (measure == MeasureWeight) sum += weightOf(octaves);
      else if (octaves <= choice.mostOctaves) sum += weightOf(octavesBelow(highest, bits, choice.rate));
    }
    return sumOfBlock(sum, space);
  }
  /** The first place up to which the sum is above `target`; `place` if there is none before. */
  DEVICE_MEMBER u64 search(u32 count, u64 last, u64 target, u64 place, Measure measure) const {
    u64 first = 0;
    while (first < place) {
      const u64 middle = first + (place - first) / 2;
      if (sumUpTo(count, last, middle, measure) > target) place = middle;
      else first = middle + 1;
    }
    return first;
  }
  DEVICE_MEMBER void chooseBySearch(u32 count, bool isRanked, bool isWeighed, u64 target) const {
    u64 last = ~(u64)0;
    if (isRanked) {
      last = search(count, last, choice.topK - 1, last, MeasureCount);
      if (isWeighed) target = partOf(sumUpTo(count, last, last, MeasureWeight), choice.topP);
    }
    if (isWeighed) last = search(count, last, target > 1 ? target - 1 : 0, last, MeasureWeight);
    const u64 total = sumUpTo(count, last, p.n, MeasureChoice);
    choose((u32)search(count, last, partOf(total, choice.random), p.n - 1, MeasureChoice), 0, 0);
  }
};

GLOBAL(SampleThreads, 1) void sample_row(const CudaSample p) {
  SHARED_ARENA(arena);
  const u32 row = blockIndexY(), block = blockIndexX(), blocks = blockCountX(), rows = blockCountY();
  SampleBest *const bests = p.bests + (u64)row * blocks;
  const float *const logits = p.logits + (u64)row * p.n;
  SampleRow self = {p, *(SampleSpace *)arena, row, block, blocks, logits, p.list + (u64)row * p.n,
                    p.counters + row * SampleCounters, bests, (u64 *)(p.bests + (u64)rows * blocks) + (u64)row * blocks, {}, block * p.each, 0, {}, 0.0f};
  self.end = minimum(self.begin + p.each, p.n);
  waitForPrevious();
  allowNext();
  UNROLL for (u32 i = 0; i < SampleEach; i++)
      self.bits[i] = self.idOf(i) < self.end ? bitsOf(logits[self.idOf(i)]) : minusInfinity;
  const u32 *const words = p.choices + row * 7;
  self.choice = {words[0], {words[1], words[2]}, words[3], words[4], {words[5], words[6]}};

  const Best own = self.bestOfOwn();
  if (threadIndex() == 0) bests[block] = SampleBest{own.order, own.complement, own.nanComplement, 0};
  if (self.choice.rate == 0) {
    if (arriveLast(&self.counters[SampleCounterBests], blocks, self.space.isLast)) self.chooseBest(self.bestOfAll());
    return;
  }
  arriveAll(&self.counters[SampleCounterBests], blocks);
  const Best best = self.bestOfAll();
  self.highest = floatOf(SampleRow::bitsOfOrder(best.order));
  const bool isRanked = self.choice.topK > 0 && self.choice.topK < p.n;
  const bool isWeighed = (self.choice.topP[0] | self.choice.topP[1]) != 0;
  if (self.isFaulty(best)) {
    if (block == 0) self.chooseBest(best);
    if (arriveLast(&self.counters[SampleCounterEnd], blocks, self.space.isLast)) self.clearCounters();
  } else if (isRanked || isWeighed) {
    self.chooseAmongBest(isRanked, isWeighed);
  } else {
    self.chooseByWeight();
  }
}

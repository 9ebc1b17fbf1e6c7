/*
 * sample.metal: choosing a token from logits.
 */
#include "reduce.h"

/**
 * out[r] = the lowest index of the largest x[r, i]. A NaN never wins; 0 if there is nothing else.
 * A threadgroup makes one row, and its threads take every threads-th element. It has any number of threads up to a SIMD
 * group's, or whole SIMD groups, RowSimdgroups at most. Reads x [rows, n], writes out [rows].
 */
kernel void argmax_f32(device const float *x [[buffer(0)]],
                       device uint *out [[buffer(1)]],
                       constant RowArgs &args [[buffer(2)]],
                       uint2 group [[threadgroup_position_in_grid]],
                       uint2 threads [[threads_per_threadgroup]],
                       uint index [[thread_index_in_threadgroup]],
                       uint lane [[thread_index_in_simdgroup]],
                       uint simdgroup [[simdgroup_index_in_threadgroup]],
                       uint simdgroups [[simdgroups_per_threadgroup]]) {
  threadgroup float values[RowSimdgroups];
  threadgroup uint indices[RowSimdgroups];
  const Place place = {lane, simdgroup, simdgroups};
  const uint none = 0xFFFFFFFF;
  x += ulong(group.y) * args.n;

  // Both comparisons are false for NaN. The second one lets a row of -INFINITY have a winner.
  float best = -INFINITY;
  uint bestIndex = none;
  for (uint i = index; i < args.n; i += threads.x) {
    if (x[i] > best || (bestIndex == none && x[i] == best)) {
      best = x[i];
      bestIndex = i;
    }
  }

  const float winner = threadgroup_max(best, values, place);
  const uint winnerIndex = threadgroup_min(best == winner ? bestIndex : none, indices, place);
  if (index == 0) out[group.y] = winnerIndex == none ? 0 : winnerIndex;
}

// ---- choices -------------------------------------------------------------------------------------------------------
//
// The next token, as src/sample chooses it: all that a choice depends on is whole numbers, so that neither the order of
// sums nor fast math can change it. src/sample/weights.ts says what octaves and weights are.

/** Who may be chosen, and how. src/sample/choice.ts writes it. Fractions are of 2^64, the high word first. */
struct SampleChoice {
  uint topK;        // 0: all
  uint topP[2];     // 0: all
  uint mostOctaves; // below the best, at temperature 1: min-p
  uint rate;        // bits of a float: octaves for each 1 below the highest logit; 0: the best is chosen
  uint random[2];
};

/** What was chosen. */
struct Chosen {
  uint token; // or NoToken
  uint fault; // or 0
  uint where; // the first token that has the fault
};

#define UNIT_RATE 0x3FB8AA3Bu   // log2(e)
#define MOST_OCTAVES 0x7FFFFFFFu
#define MINUS_INFINITY 0xFF800000u

/** Numbers that are ordered as floats of these bits: 0 and -0 are the same, and -INFINITY is above 0. */
inline uint order_of(uint bits) {
  if (bits << 1 == 0) return 0x80000000;
  return bits >> 31 == 1 ? ~bits : bits | 0x80000000;
}

inline bool is_nan(uint bits) { return bits << 1 > 0xFF000000; }

/** Of a logit by its bits: fast math knows of no infinities. */
inline uint octaves_below(float highest, uint bits, uint rate) {
  if (bits == MINUS_INFINITY) return MOST_OCTAVES;
  const uint difference = as_type<uint>(highest - as_type<float>(bits));
  // The product of both significands, 2^46 to 2^48, is in units of 2^(exponents - 300).
  const uint exponents = (difference >> 23 & 0xFF) + (rate >> 23 & 0xFF);
  if (exponents > 276 - 16) return MOST_OCTAVES;
  if (exponents < 276 - 47) return 0;
  const ulong product = ulong(difference & 0x7FFFFF | 0x800000) * (rate & 0x7FFFFF | 0x800000);
  return min(uint(product >> (276 - exponents)), MOST_OCTAVES);
}

inline uint scaled(uint value, uint fraction) { return uint(ulong(value) * fraction >> 24); }

inline uint weight_of(uint octaves) {
  if (octaves >= 32u << 24) return 0;
  const uint f = octaves & 0xFFFFFF;
  const uint squared = scaled(f, f);
  uint sum = 685838 - scaled(59021, f);
  sum = scaled(sum, squared) + 29792200 - scaled(5144412, f);
  sum = scaled(sum, squared) + 372130510 - scaled(128969660, f);
  const uint power = (1u << 29) - scaled(sum, f);
  return power << 2 >> (octaves >> 24);
}

/** The most octaves with at least this weight, from 1 to 2^31. */
inline uint octaves_with(uint weight) {
  uint low = 0, high = 32u << 24;
  while (high - low > 1) {
    const uint middle = (low + high) / 2;
    if (weight_of(middle) >= weight) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return low;
}

/** total * fraction / 2^64, rounded down. */
inline ulong part_of(ulong total, device const uint *fraction) {
  const uint low = uint(total), high = uint(total >> 32);
  const ulong lowest = ulong(low) * fraction[1];
  const ulong middle = ulong(low) * fraction[0] + (lowest >> 32); // at most (2^32 - 1)^2 + 2^32 - 1
  const ulong other = ulong(high) * fraction[1] + uint(middle);
  return ulong(high) * fraction[0] + (middle >> 32) + (other >> 32);
}

/** A SIMD group adds 32 bits: 24 of each lane at a time leave room for what carries. */
inline ulong simd_total(ulong value) {
  const ulong low = simd_sum(uint(value & 0xFFFFFF));
  const ulong middle = simd_sum(uint(value >> 24 & 0xFFFFFF));
  return low + (middle << 24) + (ulong(simd_sum(uint(value >> 48))) << 48);
}

/** As the functions of reduce.h, but `partials` may be used again. */
inline ulong threadgroup_total(ulong value, threadgroup ulong *partials, Place place) {
  value = simd_total(value);
  if (place.simdgroups == 1) return value;
  if (place.lane == 0) partials[place.simdgroup] = value;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  value = simd_total(place.lane < place.simdgroups ? partials[place.lane] : 0);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  return value;
}

/** Logits that a thread loads before it looks at the first: one threadgroup reads the whole row, and waits for memory. */
#define BATCH 8

struct Batch {
  uint bits[BATCH];
};

/** Every `stride`th logit from `first` on; -INFINITY past the end. */
inline Batch load_batch(device const float *x, uint first, uint stride, uint n) {
  Batch batch;
  for (uint j = 0; j < BATCH; ++j) {
    const ulong i = first + ulong(j) * stride;
    batch.bits[j] = i < n ? as_type<uint>(x[i]) : MINUS_INFINITY;
  }
  return batch;
}

/** How candidates are measured. */
enum : uint {
  MeasureCount,  // each is 1, the best first
  MeasureWeight, // by weight, the best first
  MeasureChoice  // by weight at the choice's temperature, the lowest id first
};

/** The tokens of a row that may be chosen, as one thread sees them. */
struct Candidates {
  device const float *logits;
  device const uint *ids; // this thread's, every `threads`th from its first
  uint count;             // of this thread's
  uint threads;
  uint n;
  float highest;
  uint mostOctaves;
  uint rate;  // of the choice
  ulong last; // rank of the last that stays

  /** Lower is better: by logit, of equals by id. */
  ulong rank(uint id) const {
    return ulong(order_of(as_type<uint>(highest)) - order_of(as_type<uint>(logits[id]))) * n + id;
  }

  /** The sum of what is measured up to a place: a rank, or an id. */
  ulong sum_up_to(ulong end, uint measure, threadgroup ulong *partials, Place place) const {
    ulong sum = 0;
    for (uint i = 0; i < count; ++i) {
      const uint id = ids[ulong(i) * threads];
      const ulong own = rank(id);
      if (own > last || (measure == MeasureChoice ? id : own) > end) continue;
      const uint bits = as_type<uint>(logits[id]);
      const uint octaves = octaves_below(highest, bits, UNIT_RATE);
      if (measure == MeasureCount) {
        sum += 1;
      } else if (measure == MeasureWeight) {
        sum += weight_of(octaves);
      } else if (octaves <= mostOctaves) {
        sum += weight_of(octaves_below(highest, bits, rate));
      }
    }
    return threadgroup_total(sum, partials, place);
  }

  /**
   * The first place up to which the sum is above `target`; `end` if there is none before. Of counts any place up to which it
   * is one above: what is kept is the same.
   */
  ulong find(ulong target, ulong end, uint measure, threadgroup ulong *partials, Place place) const {
    ulong first = 0;
    while (first < end) {
      const ulong middle = first + (end - first) / 2;
      const ulong sum = sum_up_to(middle, measure, partials, place);
      if (measure == MeasureCount && sum == target + 1) return middle;
      if (sum > target) {
        end = middle;
      } else {
        first = middle + 1;
      }
    }
    return first;
  }
};

/**
 * chosen[places[r]] = the token that `choices[r]` makes of the logits x[r].
 * A threadgroup makes one row; it has any number of threads up to a SIMD group's, or whole SIMD groups, RowSimdgroups at
 * most. Each lists those of its logits that can matter, and searches among them by halving: for the last of the best k, the
 * last of those that make up p, and the token up to which the weights exceed the random part of their sum.
 * Reads x [rows, n], choices and places [rows], each place below args.places; uses list [rows, n]; writes chosen.
 */
kernel void sample_f32(device const float *x [[buffer(0)]],
                       device const SampleChoice *choices [[buffer(1)]],
                       device const uint *places [[buffer(2)]],
                       device uint *list [[buffer(3)]],
                       device Chosen *chosen [[buffer(4)]],
                       constant SampleArgs &args [[buffer(5)]],
                       uint2 group [[threadgroup_position_in_grid]],
                       uint2 threads [[threads_per_threadgroup]],
                       uint index [[thread_index_in_threadgroup]],
                       uint lane [[thread_index_in_simdgroup]],
                       uint simdgroup [[simdgroup_index_in_threadgroup]],
                       uint simdgroups [[simdgroups_per_threadgroup]]) {
  threadgroup uint orders[RowSimdgroups];
  threadgroup uint ids[RowSimdgroups];
  threadgroup uint faults[RowSimdgroups];
  threadgroup uint bounds[RowSimdgroups];
  threadgroup uint lowest[RowSimdgroups];
  threadgroup uint maxima[RowSimdgroups * SimdWidth];
  threadgroup ulong sums[RowSimdgroups];
  const Place place = {lane, simdgroup, simdgroups};
  const uint none = 0xFFFFFFFF;
  x += ulong(group.y) * args.n;
  list += ulong(group.y) * args.n + index;
  device const SampleChoice &choice = choices[group.y];
  device Chosen &out = chosen[min(places[group.y], args.places - 1)];

  uint best = 0;
  uint bestId = none;
  uint nanId = none;
  const ulong step = ulong(BATCH) * threads.x;
  for (ulong first = index; first < args.n; first += step) {
    const Batch batch = load_batch(x, first, threads.x, args.n);
    for (uint j = 0; j < BATCH; ++j) {
      const uint bits = batch.bits[j];
      const uint order = order_of(bits);
      const uint id = uint(first) + j * threads.x;
      if (is_nan(bits)) {
        nanId = min(nanId, id);
      } else if (order > best) {
        best = order;
        bestId = id;
      }
    }
  }
  const uint highest = threadgroup_max(best, orders, place);
  const uint highestId = threadgroup_min(best == highest ? bestId : none, ids, place);
  nanId = threadgroup_min(nanId, faults, place);

  const bool isInfinite = highest == order_of(0x7F800000);
  const bool isFaulty = nanId != none || isInfinite || highest <= order_of(MINUS_INFINITY);
  if (isFaulty || choice.rate == 0) {
    if (index == 0) {
      out.token = isFaulty ? NoToken : highestId;
      out.fault = !isFaulty ? 0 : nanId != none ? FaultNaN : isInfinite ? FaultInfinity : FaultNothing;
      out.where = !isFaulty ? 0 : nanId != none ? nanId : isInfinite ? highestId : 0;
    }
    return;
  }

  const bool isRanked = choice.topK > 0 && choice.topK < args.n;
  const bool isWeighed = (choice.topP[0] | choice.topP[1]) != 0;

  // Of the threads' best logits the k-th is no better than the k-th of all.
  uint least = 0;
  if (isRanked && choice.topK <= threads.x) {
    maxima[index] = best;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    uint before = 0;
    for (uint i = 0; i < threads.x; ++i) before += maxima[i] > best || (maxima[i] == best && i < index);
    least = threadgroup_min(before < choice.topK ? best : none, bounds, place);
  }

  // Tokens with less than 1/n of what top-p leaves out make up less than all of that together.
  Candidates candidates = {x, list, 0, threads.x, args.n, x[highestId], choice.mostOctaves, choice.rate, ~0ul};
  uint counted = isRanked ? MOST_OCTAVES : choice.mostOctaves;
  ulong target = 0;
  if (isWeighed && !isRanked) {
    ulong sum = 0;
    for (ulong first = index; first < args.n; first += step) {
      const Batch batch = load_batch(x, first, threads.x, args.n);
      for (uint j = 0; j < BATCH; ++j) sum += weight_of(octaves_below(candidates.highest, batch.bits[j], UNIT_RATE));
    }
    const ulong total = threadgroup_total(sum, sums, place);
    target = part_of(total, choice.topP);
    const uint negligible = uint(min((total - target) / args.n, ulong(1u << 31)));
    if (negligible > 0) counted = min(counted, octaves_with(negligible));
  }

  uint worst = none;
  for (ulong first = index; first < args.n; first += step) {
    const Batch batch = load_batch(x, first, threads.x, args.n);
    for (uint j = 0; j < BATCH && first + ulong(j) * threads.x < args.n; ++j) {
      const uint order = order_of(batch.bits[j]);
      if (order < least || octaves_below(candidates.highest, batch.bits[j], UNIT_RATE) > counted) continue;
      list[ulong(candidates.count) * threads.x] = uint(first) + j * threads.x;
      candidates.count += 1;
      worst = min(worst, order);
    }
  }
  worst = threadgroup_min(worst, lowest, place);

  ulong end = ulong(highest - worst) * args.n + (args.n - 1); // no rank is above it
  if (isRanked) {
    candidates.last = candidates.find(choice.topK - 1, end, MeasureCount, sums, place);
    end = candidates.last;
    if (isWeighed) target = part_of(candidates.sum_up_to(end, MeasureWeight, sums, place), choice.topP);
  }
  if (isWeighed) candidates.last = candidates.find(max(target, ulong(1)) - 1, end, MeasureWeight, sums, place);

  const ulong total = candidates.sum_up_to(args.n, MeasureChoice, sums, place);
  const ulong token = candidates.find(part_of(total, choice.random), args.n - 1, MeasureChoice, sums, place);
  if (index == 0) {
    out.token = uint(token);
    out.fault = 0;
    out.where = 0;
  }
}

/**
 * out[r] = tokens[r], or the token of a choice where it names one: FromChosen and the place of it. A place that there is
 * not gives NoToken. A threadgroup of one thread makes one element. Reads tokens [rows] and chosen [places], writes out
 * [rows].
 */
kernel void chosen_tokens(device const uint *tokens [[buffer(0)]],
                          device const Chosen *chosen [[buffer(1)]],
                          device uint *out [[buffer(2)]],
                          constant ChosenArgs &args [[buffer(3)]],
                          uint2 group [[threadgroup_position_in_grid]]) {
  const uint token = tokens[group.y];
  const uint place = token & ~FromChosen;
  out[group.y] = (token & FromChosen) == 0 ? token : place < args.places ? chosen[place].token : NoToken;
}

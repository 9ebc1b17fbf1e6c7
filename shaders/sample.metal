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

/*
 * softmax.metal: a threadgroup makes one row, and its threads take every threads-th element. It has any number of
 * threads up to a SIMD group's, or whole SIMD groups, RowSimdgroups at most.
 */
#include "reduce.h"

/**
 * out[r, i] = exp(s[i] - max(s)) / sum_j exp(s[j] - max(s)), with s = scale * x[r].
 * The largest exponent is 0, so nothing overflows. Masked elements are large finite negatives, never -INFINITY (which
 * fast math may not honour). Reads x [rows, n], writes out [rows, n].
 */
kernel void softmax_f32(device const float *x [[buffer(0)]],
                        device float *out [[buffer(1)]],
                        constant SoftmaxArgs &args [[buffer(2)]],
                        uint2 group [[threadgroup_position_in_grid]],
                        uint2 threads [[threads_per_threadgroup]],
                        uint index [[thread_index_in_threadgroup]],
                        uint lane [[thread_index_in_simdgroup]],
                        uint simdgroup [[simdgroup_index_in_threadgroup]],
                        uint simdgroups [[simdgroups_per_threadgroup]]) {
  threadgroup float maxima[RowSimdgroups];
  threadgroup float sums[RowSimdgroups];
  const Place place = {lane, simdgroup, simdgroups};
  x += ulong(group.y) * args.n;
  out += ulong(group.y) * args.n;

  float maximum = -MAXFLOAT;
  for (uint i = index; i < args.n; i += threads.x) maximum = max(maximum, args.scale * x[i]);
  maximum = threadgroup_max(maximum, maxima, place);

  float sum = 0.0f;
  for (uint i = index; i < args.n; i += threads.x) {
    const float e = precise::exp(args.scale * x[i] - maximum);
    out[i] = e;
    sum += e;
  }
  const float total = threadgroup_sum(sum, sums, place);

  // Each thread divides only what it wrote itself.
  for (uint i = index; i < args.n; i += threads.x) out[i] = out[i] / total;
}

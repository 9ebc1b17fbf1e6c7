/*
 * norm.metal: RMS normalisation. A threadgroup of any number of whole SIMD groups (up to RowSimdgroups) makes one row;
 * its threads take every threads-th element. One SIMD group for each 512 elements is plenty.
 */
#include "reduce.h"

/**
 * out[r] = x[r] / sqrt(mean(x[r]^2) + eps) * weight (Zhang and Sennrich 2019).
 * Reads x [rows, n] and weight [n], writes out [rows, n].
 */
kernel void rmsnorm_f32(device const float *x [[buffer(0)]],
                        device const float *weight [[buffer(1)]],
                        device float *out [[buffer(2)]],
                        constant RmsNormArgs &args [[buffer(3)]],
                        uint2 group [[threadgroup_position_in_grid]],
                        uint index [[thread_index_in_threadgroup]],
                        uint lane [[thread_index_in_simdgroup]],
                        uint simdgroup [[simdgroup_index_in_threadgroup]],
                        uint simdgroups [[simdgroups_per_threadgroup]]) {
  threadgroup float partials[RowSimdgroups];
  const Place place = {lane, simdgroup, simdgroups};
  const uint threads = simdgroups * SimdWidth;
  x += ulong(group.y) * args.n;
  out += ulong(group.y) * args.n;

  float squares = 0.0f;
  for (uint i = index; i < args.n; i += threads) squares += x[i] * x[i];
  const float mean = threadgroup_sum(squares, partials, place) / float(args.n);
  const float scale = precise::rsqrt(mean + args.eps);

  for (uint i = index; i < args.n; i += threads) out[i] = x[i] * scale * weight[i];
}

/**
 * sum[r] = a[r] + b[r]; out[r] = rmsnorm(sum[r]) * weight: the residual connection and the norm after it.
 * Reads a, b [rows, n] and weight [n], writes sum and out [rows, n].
 */
kernel void add_rmsnorm_f32(device const float *a [[buffer(0)]],
                            device const float *b [[buffer(1)]],
                            device const float *weight [[buffer(2)]],
                            device float *sum [[buffer(3)]],
                            device float *out [[buffer(4)]],
                            constant RmsNormArgs &args [[buffer(5)]],
                            uint2 group [[threadgroup_position_in_grid]],
                            uint index [[thread_index_in_threadgroup]],
                            uint lane [[thread_index_in_simdgroup]],
                            uint simdgroup [[simdgroup_index_in_threadgroup]],
                            uint simdgroups [[simdgroups_per_threadgroup]]) {
  threadgroup float partials[RowSimdgroups];
  const Place place = {lane, simdgroup, simdgroups};
  const uint threads = simdgroups * SimdWidth;
  const ulong row = ulong(group.y) * args.n;
  a += row;
  b += row;
  sum += row;
  out += row;

  float squares = 0.0f;
  for (uint i = index; i < args.n; i += threads) {
    const float value = a[i] + b[i];
    sum[i] = value;
    squares += value * value;
  }
  const float mean = threadgroup_sum(squares, partials, place) / float(args.n);
  const float scale = precise::rsqrt(mean + args.eps);

  // Each thread reads back only what it wrote itself.
  for (uint i = index; i < args.n; i += threads) out[i] = sum[i] * scale * weight[i];
}

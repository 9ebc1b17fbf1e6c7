/*
 * norm.metal: RMS normalisation. A threadgroup makes one row, and its threads take every threads-th element. It has any
 * number of threads up to a SIMD group's, or whole SIMD groups, RowSimdgroups at most: on a GPU one SIMD group for each
 * 512 elements is plenty, and on the CPU device one thread.
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
                        uint2 threads [[threads_per_threadgroup]],
                        uint index [[thread_index_in_threadgroup]],
                        uint lane [[thread_index_in_simdgroup]],
                        uint simdgroup [[simdgroup_index_in_threadgroup]],
                        uint simdgroups [[simdgroups_per_threadgroup]]) {
  threadgroup float partials[RowSimdgroups];
  const Place place = {lane, simdgroup, simdgroups};
  x += ulong(group.y) * args.n;
  out += ulong(group.y) * args.n;

  float squares = 0.0f;
  for (uint i = index; i < args.n; i += threads.x) squares += x[i] * x[i];
  const float mean = threadgroup_sum(squares, partials, place) / float(args.n);
  const float scale = precise::rsqrt(mean + args.eps);

  for (uint i = index; i < args.n; i += threads.x) out[i] = x[i] * scale * weight[i];
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
                            uint2 threads [[threads_per_threadgroup]],
                            uint index [[thread_index_in_threadgroup]],
                            uint lane [[thread_index_in_simdgroup]],
                            uint simdgroup [[simdgroup_index_in_threadgroup]],
                            uint simdgroups [[simdgroups_per_threadgroup]]) {
  threadgroup float partials[RowSimdgroups];
  const Place place = {lane, simdgroup, simdgroups};
  const ulong row = ulong(group.y) * args.n;
  a += row;
  b += row;
  sum += row;
  out += row;

  float squares = 0.0f;
  for (uint i = index; i < args.n; i += threads.x) {
    const float value = a[i] + b[i];
    sum[i] = value;
    squares += value * value;
  }
  const float mean = threadgroup_sum(squares, partials, place) / float(args.n);
  const float scale = precise::rsqrt(mean + args.eps);

  // Each thread reads back only what it wrote itself.
  for (uint i = index; i < args.n; i += threads.x) out[i] = sum[i] * scale * weight[i];
}

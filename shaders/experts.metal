/*
 * experts.metal: a mixture of experts around its matrix products (Shazeer et al. 2017): which experts a row goes to, and the
 * sum of what they give. The products themselves are matvec_experts.
 */
#include "common.h"

/** Scores are kept within this, so that differences of them are finite; one that is no number becomes the lowest. */
#define MAX_SCORE 1.0e30f

/**
 * ids[r] = the `used` experts with the highest scores x[r], the best first and the lower number first among equals;
 * weights[r] = the softmax of their scores among themselves.
 * A threadgroup is one SIMD group, or fewer lanes, and makes one row; its lanes take every lanes-th score. Each turn finds
 * the best of the scores that come after the last turn's in the order.
 * Reads x [rows, experts], `used` at most `experts`; writes ids and weights [rows, used].
 */
kernel void route_experts_f32(device const float *x [[buffer(0)]],
                              device uint *ids [[buffer(1)]],
                              device float *weights [[buffer(2)]],
                              constant RouteArgs &args [[buffer(3)]],
                              uint2 group [[threadgroup_position_in_grid]],
                              uint2 threads [[threads_per_threadgroup]],
                              uint lane [[thread_index_in_simdgroup]]) {
  const uint none = 0xFFFFFFFF;
  x += ulong(group.y) * args.experts;
  ids += ulong(group.y) * args.used;
  weights += ulong(group.y) * args.used;

  float maximum = 0.0f;
  float total = 0.0f;
  float last = 0.0f;
  uint lastId = none;
  for (uint turn = 0; turn < args.used; ++turn) {
    float best = -MAX_SCORE;
    uint bestId = none;
    for (uint i = lane; i < args.experts; i += threads.x) {
      const float score = x[i] > -MAX_SCORE ? min(x[i], MAX_SCORE) : -MAX_SCORE;
      const bool isLeft = turn == 0 || score < last || (score == last && i > lastId);
      if (isLeft && (bestId == none || score > best)) {
        best = score;
        bestId = i;
      }
    }
    last = simd_max(best);
    lastId = simd_min(best == last ? bestId : none);
    if (turn == 0) maximum = last;
    const float weight = precise::exp(last - maximum);
    total += weight;
    if (lane == 0) {
      ids[turn] = lastId;
      weights[turn] = weight;
    }
  }
  // Lane 0 reads back only what it wrote itself.
  if (lane == 0) {
    for (uint turn = 0; turn < args.used; ++turn) weights[turn] = weights[turn] / total;
  }
}

/**
 * out[r, i] = sum_j weights[r, j] x[r, j, i]. One element per thread; a threadgroup makes ElementwiseThreads elements of
 * one row. Reads x [rows, used, n] and weights [rows, used], writes out [rows, n].
 */
kernel void mix_experts_f32(device const float *x [[buffer(0)]],
                            device const float *weights [[buffer(1)]],
                            device float *out [[buffer(2)]],
                            constant MixArgs &args [[buffer(3)]],
                            uint2 position [[thread_position_in_grid]]) {
  if (position.x >= args.n) return;
  const ulong first = ulong(position.y) * args.used;
  float sum = 0.0f;
  for (uint j = 0; j < args.used; ++j) sum = fma(weights[first + j], x[(first + j) * args.n + position.x], sum);
  out[ulong(position.y) * args.n + position.x] = sum;
}

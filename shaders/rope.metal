/*
 * rope.metal: rotary position embedding (Su et al. 2021). One pair of dimensions per thread; a threadgroup makes
 * ElementwiseThreads pairs of one row, whatever heads they are in.
 */
#include "common.h"

/**
 * Rotates pair p of each head by angle = positions[r] * frequencies[p]:
 *   out[a] = m (x[a] cos - x[b] sin),   out[b] = m (x[a] sin + x[b] cos)
 * with the magnitude m, for p < rotaryDims / 2; the dimensions from rotaryDims on are copied. The two kernels differ in which dimensions
 * (a, b) make pair p. headDim and rotaryDims are even. Sine and cosine are precise: angles grow to thousands of
 * radians, where fast ones are wrong.
 * Reads x [rows, heads, headDim], positions [rows], frequencies [rotaryDims / 2]; writes out, which may be x, since a
 * thread reads its pair before it writes it and touches nothing else.
 */
inline void rotate_pair(device const float *x, device float *out, uint a, uint b, float angle, float magnitude) {
  const float c = magnitude * precise::cos(angle);
  const float s = magnitude * precise::sin(angle);
  const float xa = x[a];
  const float xb = x[b];
  out[a] = xa * c - xb * s;
  out[b] = xa * s + xb * c;
}

inline void copy_pair(device const float *x, device float *out, uint a) {
  out[a] = x[a];
  out[a + 1] = x[a + 1];
}

/** Pair p is dimensions (2p, 2p + 1): the pairing of the paper, and of GGUF's "llama" architecture. */
kernel void rope_interleaved_f32(device const float *x [[buffer(0)]],
                                 device const uint *positions [[buffer(1)]],
                                 device const float *frequencies [[buffer(2)]],
                                 device float *out [[buffer(3)]],
                                 constant RopeArgs &args [[buffer(4)]],
                                 uint2 position [[thread_position_in_grid]]) {
  const uint pairs = args.headDim / 2;
  if (position.x >= args.heads * pairs) return;
  const uint pair = position.x % pairs;
  const ulong head = (ulong(position.y) * args.heads + position.x / pairs) * args.headDim;
  if (2 * pair < args.rotaryDims) {
    const float angle = float(positions[position.y]) * frequencies[pair];
    rotate_pair(x + head, out + head, 2 * pair, 2 * pair + 1, angle, args.magnitude);
  } else {
    copy_pair(x + head, out + head, 2 * pair);
  }
}

/** Pair p is dimensions (p, p + rotaryDims / 2): the pairing of GPT-NeoX, and of GGUF's "qwen2" and others. */
kernel void rope_half_f32(device const float *x [[buffer(0)]],
                          device const uint *positions [[buffer(1)]],
                          device const float *frequencies [[buffer(2)]],
                          device float *out [[buffer(3)]],
                          constant RopeArgs &args [[buffer(4)]],
                          uint2 position [[thread_position_in_grid]]) {
  const uint pairs = args.headDim / 2;
  if (position.x >= args.heads * pairs) return;
  const uint pair = position.x % pairs;
  const ulong head = (ulong(position.y) * args.heads + position.x / pairs) * args.headDim;
  if (2 * pair < args.rotaryDims) {
    const float angle = float(positions[position.y]) * frequencies[pair];
    rotate_pair(x + head, out + head, pair, pair + args.rotaryDims / 2, angle, args.magnitude);
  } else {
    copy_pair(x + head, out + head, 2 * pair);
  }
}

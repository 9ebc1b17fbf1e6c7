/*
 * elementwise.metal: one output element per thread. A threadgroup makes ElementwiseThreads elements of one row.
 * Nothing is assumed about alignment beyond that of a float.
 */
#include "common.h"

/** x * sigmoid(x). The exponent is never positive, so nothing overflows on the way. */
inline float silu(float x) {
  const float e = precise::exp(-abs(x));
  return x * (x >= 0.0f ? 1.0f : e) / (1.0f + e);
}

/** out[r, i] = a[r, i] + b[r, i]. Reads a, b [rows, n], writes out [rows, n]. */
kernel void add_f32(device const float *a [[buffer(0)]],
                    device const float *b [[buffer(1)]],
                    device float *out [[buffer(2)]],
                    constant RowArgs &args [[buffer(3)]],
                    uint2 position [[thread_position_in_grid]]) {
  if (position.x >= args.n) return;
  const ulong i = ulong(position.y) * args.n + position.x;
  out[i] = a[i] + b[i];
}

/** out[r, i] = a[r, i] * b[r, i]. Reads a, b [rows, n], writes out [rows, n]. */
kernel void mul_f32(device const float *a [[buffer(0)]],
                    device const float *b [[buffer(1)]],
                    device float *out [[buffer(2)]],
                    constant RowArgs &args [[buffer(3)]],
                    uint2 position [[thread_position_in_grid]]) {
  if (position.x >= args.n) return;
  const ulong i = ulong(position.y) * args.n + position.x;
  out[i] = a[i] * b[i];
}

/** out[r, i] = silu(x[r, i]). Reads x [rows, n], writes out [rows, n]. */
kernel void silu_f32(device const float *x [[buffer(0)]],
                     device float *out [[buffer(1)]],
                     constant RowArgs &args [[buffer(2)]],
                     uint2 position [[thread_position_in_grid]]) {
  if (position.x >= args.n) return;
  const ulong i = ulong(position.y) * args.n + position.x;
  out[i] = silu(x[i]);
}

/** out[r, i] = silu(gate[r, i]) * up[r, i], the middle of SwiGLU. Reads gate, up [rows, n], writes out [rows, n]. */
kernel void silu_mul_f32(device const float *gate [[buffer(0)]],
                         device const float *up [[buffer(1)]],
                         device float *out [[buffer(2)]],
                         constant RowArgs &args [[buffer(3)]],
                         uint2 position [[thread_position_in_grid]]) {
  if (position.x >= args.n) return;
  const ulong i = ulong(position.y) * args.n + position.x;
  out[i] = silu(gate[i]) * up[i];
}

/*
 * elementwise.metal: one output element per thread. A threadgroup makes ElementwiseThreads elements of one row.
 * Nothing is assumed about alignment beyond that of a float.
 */
#include "activation.h"
#include "softcap.h"

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

/** out[r, i] = gelu(x[r, i]). Reads x [rows, n], writes out [rows, n]. */
kernel void gelu_f32(device const float *x [[buffer(0)]],
                     device float *out [[buffer(1)]],
                     constant RowArgs &args [[buffer(2)]],
                     uint2 position [[thread_position_in_grid]]) {
  if (position.x >= args.n) return;
  const ulong i = ulong(position.y) * args.n + position.x;
  out[i] = gelu(x[i]);
}

/** out[r, i] = gelu(gate[r, i]) * up[r, i], the middle of GeGLU. Reads gate, up [rows, n], writes out [rows, n]. */
kernel void gelu_mul_f32(device const float *gate [[buffer(0)]],
                         device const float *up [[buffer(1)]],
                         device float *out [[buffer(2)]],
                         constant RowArgs &args [[buffer(3)]],
                         uint2 position [[thread_position_in_grid]]) {
  if (position.x >= args.n) return;
  const ulong i = ulong(position.y) * args.n + position.x;
  out[i] = gelu(gate[i]) * up[i];
}

/** out[r, i] = x[r, i] + bias[i]. Reads x [rows, n] and bias [n], writes out [rows, n]. */
kernel void add_bias_f32(device const float *x [[buffer(0)]],
                         device const float *bias [[buffer(1)]],
                         device float *out [[buffer(2)]],
                         constant RowArgs &args [[buffer(3)]],
                         uint2 position [[thread_position_in_grid]]) {
  if (position.x >= args.n) return;
  const ulong i = ulong(position.y) * args.n + position.x;
  out[i] = x[i] + bias[position.x];
}

/** out[r, i] = factor * x[r, i]. Reads x [rows, n], writes out [rows, n]. */
kernel void scale_f32(device const float *x [[buffer(0)]],
                      device float *out [[buffer(1)]],
                      constant ScaleArgs &args [[buffer(2)]],
                      uint2 position [[thread_position_in_grid]]) {
  if (position.x >= args.n) return;
  const ulong i = ulong(position.y) * args.n + position.x;
  out[i] = args.factor * x[i];
}

/** out[r, i] = soft_cap(x[r, i], factor). Reads x [rows, n], writes out [rows, n]. */
kernel void softcap_f32(device const float *x [[buffer(0)]],
                        device float *out [[buffer(1)]],
                        constant ScaleArgs &args [[buffer(2)]],
                        uint2 position [[thread_position_in_grid]]) {
  if (position.x >= args.n) return;
  const ulong i = ulong(position.y) * args.n + position.x;
  out[i] = soft_cap(x[i], args.factor);
}

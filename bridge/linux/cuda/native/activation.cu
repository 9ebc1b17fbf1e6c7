/*
 * activation.cu: silu(gate) * up and gelu(gate) * up, as shaders/elementwise.metal, of many rows: sixteen bytes at a time, and all
 * that a thread reads asked for at once.
 */
#include "intrinsics.h"

#include "activation.h"
#include "sigmoid.h"

template <float (*activation)(float)> DEVICE void activate(const ActivationParameters &p) {
  const u64 first = (u64)blockIndexX() * (ActivationThreads * ActivationFours) + threadIndex();
  const f32x4 *gate = (const f32x4 *)p.gate + first, *up = (const f32x4 *)p.up + first;
  f32x4 *out = (f32x4 *)p.out + first;
  const u64 left = first < p.fours ? p.fours - first : 0;
  allowNext();
  waitForPrevious();
  f32x4 x[ActivationFours], factors[ActivationFours];
  UNROLL for (u32 i = 0; i < ActivationFours; ++i)
    if (i * ActivationThreads < left) x[i] = gate[i * ActivationThreads], factors[i] = up[i * ActivationThreads];
  UNROLL for (u32 i = 0; i < ActivationFours; ++i) {
    if (i * ActivationThreads >= left) continue;
    UNROLL for (u32 c = 0; c < 4; ++c) x[i][c] = activation(x[i][c]) * factors[i][c];
    out[i * ActivationThreads] = x[i];
  }
}

GLOBAL(ActivationThreads, 4) void activation_silu_mul(const ActivationParameters p) { activate<silu>(p); }
GLOBAL(ActivationThreads, 4) void activation_gelu_mul(const ActivationParameters p) { activate<gelu>(p); }

/*
 * gather.metal: rows picked by index. One element per thread; a threadgroup makes ElementwiseThreads elements of one
 * output row.
 */
#include "common.h"

/** out[r] = x[indices[r]]. Reads x [any, n] and indices [rows], each inside x; writes out [rows, n]. */
kernel void gather_rows_f32(device const float *x [[buffer(0)]],
                            device const uint *indices [[buffer(1)]],
                            device float *out [[buffer(2)]],
                            constant RowArgs &args [[buffer(3)]],
                            uint2 position [[thread_position_in_grid]]) {
  if (position.x >= args.n) return;
  out[ulong(position.y) * args.n + position.x] = x[ulong(indices[position.y]) * args.n + position.x];
}

/**
 * out[r] = weight[tokens[r]] as F32; zeros for a token outside the vocabulary, which reads nothing.
 * Reads weight [vocab, n], n a multiple of the block's elements, and tokens [rows]; writes out [rows, n].
 */
template <typename Block>
[[kernel]] void embed(device const Block *weight [[buffer(0)]],
                      device const uint *tokens [[buffer(1)]],
                      device float *out [[buffer(2)]],
                      constant EmbedArgs &args [[buffer(3)]],
                      uint2 position [[thread_position_in_grid]]) {
  if (position.x >= args.n) return;
  const uint token = tokens[position.y];
  out[ulong(position.y) * args.n + position.x] =
      token < args.vocab ? element(row_of(weight, token, args.n), position.x) : 0.0f;
}

template [[host_name("embed_f32")]] [[kernel]] decltype(embed<F32>) embed<F32>;
template [[host_name("embed_f16")]] [[kernel]] decltype(embed<F16>) embed<F16>;
template [[host_name("embed_q8_0")]] [[kernel]] decltype(embed<Q8_0>) embed<Q8_0>;

/*
 * gather.metal: rows picked by index. A thread makes one element, or a chunk of sixteen where the source has blocks; a
 * threadgroup of ElementwiseThreads threads makes a part of one output row.
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
                      device F32 *out [[buffer(2)]],
                      constant EmbedArgs &args [[buffer(3)]],
                      uint2 position [[thread_position_in_grid]]) {
  const uint first = position.x * elements_per_thread<Block>();
  if (first >= args.n) return;
  const uint token = tokens[position.y];
  device F32 *row = out + ulong(position.y) * args.n;
  if (token < args.vocab) {
    copy_elements(row_of(weight, token, args.n), row, first);
  } else {
    for (uint i = 0; i < elements_per_thread<Block>(); ++i) store(row, first + i, 0.0f);
  }
}

#define EMBED(Block, name) template [[host_name("embed_" #name)]] [[kernel]] decltype(embed<Block>) embed<Block>;
WEIGHT_TYPES(EMBED)

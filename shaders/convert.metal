/*
 * convert.metal: between element types. A thread makes one element, or a chunk of sixteen where the source has blocks; a
 * threadgroup of ElementwiseThreads threads makes a part of one row. Between equal types it is a copy.
 */
#include "common.h"

/**
 * out[r, i] = x[r, i], in another type. To F16, magnitudes over 65504 become infinite.
 * Reads x [rows, n], n a multiple of the block's elements; writes out [rows, n].
 */
template <typename From, typename To>
[[kernel]] void convert(device const From *x [[buffer(0)]],
                        device To *out [[buffer(1)]],
                        constant RowArgs &args [[buffer(2)]],
                        uint2 position [[thread_position_in_grid]]) {
  const uint first = position.x * elements_per_thread<From>();
  if (first >= args.n) return;
  copy_elements(row_of(x, position.y, args.n), out + ulong(position.y) * args.n, first);
}

#define CONVERT(Block, name)                                                                                           \
  template [[host_name("convert_" #name "_f32")]] [[kernel]] decltype(convert<Block, F32>) convert<Block, F32>;        \
  template [[host_name("convert_" #name "_f16")]] [[kernel]] decltype(convert<Block, F16>) convert<Block, F16>;
WEIGHT_TYPES(CONVERT)

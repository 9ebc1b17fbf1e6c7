/*
 * convert.metal: between element formats. One element per thread; a threadgroup makes ElementwiseThreads elements of one
 * row. Between equal formats it is a copy.
 */
#include "common.h"

/**
 * out[r, i] = x[r, i], in another format. To F16, magnitudes over 65504 become infinite.
 * Reads x [rows, n], n a multiple of the block's elements; writes out [rows, n].
 */
template <typename From, typename To>
[[kernel]] void convert(device const From *x [[buffer(0)]],
                        device To *out [[buffer(1)]],
                        constant RowArgs &args [[buffer(2)]],
                        uint2 position [[thread_position_in_grid]]) {
  if (position.x >= args.n) return;
  store(out + ulong(position.y) * args.n, position.x, element(row_of(x, position.y, args.n), position.x));
}

template [[host_name("convert_f32_f32")]] [[kernel]] decltype(convert<F32, F32>) convert<F32, F32>;
template [[host_name("convert_f32_f16")]] [[kernel]] decltype(convert<F32, F16>) convert<F32, F16>;
template [[host_name("convert_f16_f32")]] [[kernel]] decltype(convert<F16, F32>) convert<F16, F32>;
template [[host_name("convert_f16_f16")]] [[kernel]] decltype(convert<F16, F16>) convert<F16, F16>;
template [[host_name("convert_q8_0_f32")]] [[kernel]] decltype(convert<Q8_0, F32>) convert<Q8_0, F32>;
template [[host_name("convert_q8_0_f16")]] [[kernel]] decltype(convert<Q8_0, F16>) convert<Q8_0, F16>;

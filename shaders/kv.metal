/*
 * kv.metal: writing the key and value cache. One element of both per thread, or one block where elements share a scale; a
 * threadgroup makes ElementwiseThreads elements, or KvBlocks blocks, of one row.
 */
#include "common.h"

/**
 * kCache[slots[r]] = k[r], vCache[slots[r]] = v[r]; a row whose slot is SkippedSlot is not stored.
 * Slots of one dispatch are distinct. Reads k, v [rows, n] and slots [rows]; writes kCache, vCache [any, n].
 */
template <typename Block>
[[kernel]] void kv_store(device const float *k [[buffer(0)]],
                         device const float *v [[buffer(1)]],
                         device const uint *slots [[buffer(2)]],
                         device Block *kCache [[buffer(3)]],
                         device Block *vCache [[buffer(4)]],
                         constant RowArgs &args [[buffer(5)]],
                         uint2 position [[thread_position_in_grid]]) {
  const uint slot = slots[position.y];
  if (position.x >= args.n || slot == SkippedSlot) return;
  const ulong from = ulong(position.y) * args.n + position.x;
  const ulong to = ulong(slot) * args.n;
  store(kCache + to, position.x, k[from]);
  store(vCache + to, position.x, v[from]);
}

template [[host_name("kv_store_f32")]] [[kernel]] decltype(kv_store<F32>) kv_store<F32>;
template [[host_name("kv_store_f16")]] [[kernel]] decltype(kv_store<F16>) kv_store<F16>;

/** The block that means `values` most nearly: a scale of the largest magnitude / 127, and as many of it as come closest. */
inline void store_block(device Q8_0 *block, device const float *values) {
  float largest = 0.0f;
  for (uint i = 0; i < Q8_0::elements; ++i) largest = max(largest, abs(values[i]));
  const float inverse = largest > 0.0f ? 127.0f / largest : 0.0f;
  block->scale = half(largest / 127.0f);
  for (uint i = 0; i < Q8_0::elements; ++i) block->quants[i] = char(rint(values[i] * inverse));
}

/** The same as kv_store, in blocks: n is a multiple of Q8_0::elements. */
[[kernel]] void kv_store_q8_0(device const float *k [[buffer(0)]],
                              device const float *v [[buffer(1)]],
                              device const uint *slots [[buffer(2)]],
                              device Q8_0 *kCache [[buffer(3)]],
                              device Q8_0 *vCache [[buffer(4)]],
                              constant RowArgs &args [[buffer(5)]],
                              uint2 position [[thread_position_in_grid]]) {
  const uint slot = slots[position.y];
  const uint first = position.x * Q8_0::elements;
  if (first >= args.n || slot == SkippedSlot) return;
  const ulong from = ulong(position.y) * args.n + first;
  store_block(kCache + ulong(slot) * (args.n / Q8_0::elements) + position.x, k + from);
  store_block(vCache + ulong(slot) * (args.n / Q8_0::elements) + position.x, v + from);
}

/*
 * kv.metal: writing the key and value cache. One element of both per thread; a threadgroup makes ElementwiseThreads
 * elements of one row.
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

// SIMD-group and quad-group functions: each kernel writes a row of results for each function, in the order of msl_simd.test.ts.
#include <metal_stdlib>
using namespace metal;

struct Rows {
  uint threads;
};

template <typename T>
[[kernel]] void reductions(device const T *x [[buffer(0)]], device T *out [[buffer(1)]], constant Rows &rows [[buffer(2)]],
                           uint i [[thread_position_in_grid]], uint lane [[thread_index_in_simdgroup]]) {
  const T v = x[i];
  device T *o = out + i;
  const uint n = rows.threads;
  uint r = 0;
  o[n * r++] = simd_sum(v);
  o[n * r++] = simd_product(v);
  o[n * r++] = simd_min(v);
  o[n * r++] = simd_max(v);
  o[n * r++] = simd_prefix_inclusive_sum(v);
  o[n * r++] = simd_prefix_exclusive_sum(v);
  o[n * r++] = simd_prefix_inclusive_product(v);
  o[n * r++] = simd_prefix_exclusive_product(v);
  o[n * r++] = simd_broadcast(v, 5);
  o[n * r++] = simd_broadcast_first(v);
  o[n * r++] = simd_shuffle(v, ushort((lane * 7 + 3) % 32));
  o[n * r++] = simd_shuffle_xor(v, 11);
  o[n * r++] = simd_shuffle_up(v, 3);
  o[n * r++] = simd_shuffle_down(v, 5);
  o[n * r++] = simd_shuffle_rotate_up(v, 9);
  o[n * r++] = simd_shuffle_rotate_down(v, 9);
  o[n * r++] = simd_shuffle_and_fill_up(v, T(v + T(1)), 4);
  o[n * r++] = simd_shuffle_and_fill_down(v, T(v + T(1)), 4);
  o[n * r++] = simd_shuffle_and_fill_up(v, T(v + T(1)), 2, 8);
  o[n * r++] = simd_shuffle_and_fill_down(v, T(v + T(1)), 2, 8);
  o[n * r++] = quad_sum(v);
  o[n * r++] = quad_product(v);
  o[n * r++] = quad_min(v);
  o[n * r++] = quad_max(v);
  o[n * r++] = quad_prefix_inclusive_sum(v);
  o[n * r++] = quad_prefix_exclusive_sum(v);
  o[n * r++] = quad_broadcast(v, 2);
  o[n * r++] = quad_shuffle(v, ushort((lane + 1) % 4));
  o[n * r++] = quad_shuffle_xor(v, 1);
  o[n * r++] = quad_shuffle_up(v, 1);
  o[n * r++] = quad_shuffle_down(v, 1);
  o[n * r++] = quad_shuffle_rotate_up(v, 1);
  o[n * r++] = quad_shuffle_rotate_down(v, 1);
  o[n * r++] = quad_broadcast_first(v);
}
#define REDUCTIONS(type, name) template [[host_name("reductions_" #name)]] [[kernel]] decltype(reductions<type>) reductions<type>;
REDUCTIONS(float, float)
REDUCTIONS(half, half)
REDUCTIONS(int, int)
REDUCTIONS(ushort, ushort)
REDUCTIONS(char, char)
REDUCTIONS(float4, float4)

template <typename T>
[[kernel]] void bitwise(device const T *x [[buffer(0)]], device T *out [[buffer(1)]], constant Rows &rows [[buffer(2)]],
                        uint i [[thread_position_in_grid]]) {
  const T v = x[i];
  device T *o = out + i;
  const uint n = rows.threads;
  o[0] = simd_and(v);
  o[n] = simd_or(v);
  o[2 * n] = simd_xor(v);
  o[3 * n] = quad_and(v);
  o[4 * n] = quad_or(v);
  o[5 * n] = quad_xor(v);
}
template [[host_name("bitwise_uint")]] [[kernel]] decltype(bitwise<uint>) bitwise<uint>;
template [[host_name("bitwise_ushort")]] [[kernel]] decltype(bitwise<ushort>) bitwise<ushort>;

kernel void votes(device const uint *x [[buffer(0)]], device uint *out [[buffer(1)]], constant Rows &rows [[buffer(2)]],
                  uint i [[thread_position_in_grid]]) {
  const bool b = x[i] != 0;
  device uint *o = out + i;
  const uint n = rows.threads;
  o[0] = simd_all(b);
  o[n] = simd_any(b);
  o[2 * n] = uint(ulong(simd_ballot(b)));
  o[3 * n] = uint(simd_vote::vote_t(simd_active_threads_mask()));
  o[4 * n] = simd_is_first();
  o[5 * n] = quad_all(b);
  o[6 * n] = quad_any(b);
  o[7 * n] = uint(ulong(quad_ballot(b)));
  o[8 * n] = quad_is_first();
}

// Only the lanes that come take part.
kernel void divergent(device const uint *x [[buffer(0)]], device uint *out [[buffer(1)]], constant Rows &rows [[buffer(2)]],
                      uint i [[thread_position_in_grid]], uint lane [[thread_index_in_simdgroup]]) {
  const uint v = x[i], n = rows.threads;
  device uint *o = out + i;
  uint r = 0;
  // Both sides of a branch, and together behind it.
  if (lane < 11) r = simd_sum(v);
  else r = simd_sum(v) * 2;
  o[0] = r;
  o[n] = simd_sum(v);
  // One side only.
  r = 0;
  if (lane % 3 == 0) r = simd_max(v);
  o[2 * n] = r;
  o[3 * n] = simd_sum(1u);
  // Loops of different lengths.
  r = 0;
  for (uint k = 0; k <= lane; k += 8) r += simd_sum(1u);
  o[4 * n] = r;
  o[5 * n] = simd_sum(1u);
  // Nested.
  r = 0;
  if (lane < 20) {
    r = simd_sum(1u);
    if (lane < 5) r += 100 * simd_sum(1u);
    r += 10000 * simd_sum(1u);
  }
  o[6 * n] = r;
  o[7 * n] = simd_sum(1u);
  // Some leave.
  if (lane >= 30) return;
  o[8 * n] = simd_sum(1u);
}

// A helper that waits, called from one branch, and a template one.
inline uint both(uint v) { return simd_sum(v) + simd_max(v); }
template <typename T> T twice(T v) { return both(v) * 2; }
kernel void through_helpers(device const uint *x [[buffer(0)]], device uint *out [[buffer(1)]], uint i [[thread_position_in_grid]],
                            uint lane [[thread_index_in_simdgroup]]) {
  uint r = 1;
  if (lane >= 16) r = twice(x[i]);
  out[i] = r + both(x[i]);
}

/*
 * simd_functions.h: SIMD-group and quad-group functions, over what a device has for them in simdgroup.h: reduce, scan,
 * reduceQuad, Exchange, vote and fromFirst. All lanes that take part in a function take part in each step of it.
 */
#ifndef BUN_METAL_SIMD_FUNCTIONS_H
#define BUN_METAL_SIMD_FUNCTIONS_H

namespace metal {

template <typename T> inline T simd_sum(T v) { return detail::reduce<detail::Sum>(v); }
template <typename T> inline T simd_product(T v) { return detail::reduce<detail::Product>(v); }
template <typename T> inline T simd_min(T v) { return detail::reduce<detail::Minimum>(v); }
template <typename T> inline T simd_max(T v) { return detail::reduce<detail::Maximum>(v); }
template <typename T> inline detail::IfSimdInteger<T> simd_and(T v) { return detail::reduce<detail::And>(v); }
template <typename T> inline detail::IfSimdInteger<T> simd_or(T v) { return detail::reduce<detail::Or>(v); }
template <typename T> inline detail::IfSimdInteger<T> simd_xor(T v) { return detail::reduce<detail::Xor>(v); }
template <typename T> inline T simd_prefix_inclusive_sum(T v) { return detail::scan<detail::Sum, true>(v, 32); }
template <typename T> inline T simd_prefix_exclusive_sum(T v) { return detail::scan<detail::Sum, false>(v, 32); }
template <typename T> inline T simd_prefix_inclusive_product(T v) {
  return detail::scan<detail::Product, true>(v, 32);
}
template <typename T> inline T simd_prefix_exclusive_product(T v) {
  return detail::scan<detail::Product, false>(v, 32);
}

template <typename T> inline T simd_shuffle(T v, ushort lane) { return detail::Exchange<T>(v).of(lane); }
template <typename T> inline T simd_broadcast(T v, ushort lane) { return detail::Exchange<T>(v).of(lane); }
template <typename T> inline T simd_shuffle_xor(T v, ushort mask) {
  const detail::Exchange<T> all(v);
  return all.of(all.lane.index ^ mask);
}
template <typename T> inline T simd_shuffle_up(T v, ushort delta) {
  const detail::Exchange<T> all(v);
  const T shifted = all.of(all.lane.index - delta);
  return all.lane.index >= delta ? shifted : v;
}
template <typename T> inline T simd_shuffle_down(T v, ushort delta) {
  const detail::Exchange<T> all(v);
  const T shifted = all.of(all.lane.index + delta);
  return all.lane.index + delta < detail::SimdWidth ? shifted : v;
}
template <typename T> inline T simd_shuffle_rotate_up(T v, ushort delta) {
  const detail::Exchange<T> all(v);
  return all.of(all.lane.index - delta);
}
template <typename T> inline T simd_shuffle_rotate_down(T v, ushort delta) {
  const detail::Exchange<T> all(v);
  return all.of(all.lane.index + delta);
}
/** Shifts within each run of `modulo` lanes; the first `delta` lanes of a run get the last ones of `fill`. */
template <typename T> inline T simd_shuffle_and_fill_up(T v, T fill, ushort delta, ushort modulo = 32) {
  const detail::Exchange<T> all(v);
  const uint index = all.lane.index, at = index & (modulo - 1);
  const T shifted = all.of(index - delta); /* read before the next exchange overwrites it */
  const detail::Exchange<T> filling(fill);
  const T filled = filling.of(index - delta + modulo);
  return at >= delta ? shifted : filled;
}
template <typename T> inline T simd_shuffle_and_fill_down(T v, T fill, ushort delta, ushort modulo = 32) {
  const detail::Exchange<T> all(v);
  const uint index = all.lane.index, at = index & (modulo - 1);
  const T shifted = all.of(index + delta);
  const detail::Exchange<T> filling(fill);
  const T filled = filling.of(index + delta - modulo);
  return at + delta < modulo ? shifted : filled;
}

/** A mask of lanes; converts explicitly to an integer. */
struct simd_vote {
  typedef ulong vote_t;
  vote_t mask;
  simd_vote() : mask(0) {}
  explicit simd_vote(vote_t m) : mask(m) {}
  explicit operator ulong() const { return mask; }
  explicit operator uint() const { return (uint)mask; }
  bool all() const { return mask == 0xffffffffu; }
  bool any() const { return mask != 0; }
};
inline simd_vote simd_ballot(bool v) {
  uint active;
  return simd_vote((ulong)detail::vote(v, active));
}
inline bool simd_all(bool v) {
  uint active;
  return detail::vote(v, active) == active;
}
inline bool simd_any(bool v) {
  uint active;
  return detail::vote(v, active) != 0;
}
inline simd_vote simd_active_threads_mask() { return simd_ballot(true); }
inline bool simd_is_first() {
  uint active;
  detail::vote(true, active);
  return (uint)__builtin_ctz(active) == detail::Lane().index;
}
template <typename T> inline T simd_broadcast_first(T v) { return detail::fromFirst(v); }

template <typename T> inline T quad_sum(T v) { return detail::reduceQuad<detail::Sum>(v); }
template <typename T> inline T quad_product(T v) { return detail::reduceQuad<detail::Product>(v); }
template <typename T> inline T quad_min(T v) { return detail::reduceQuad<detail::Minimum>(v); }
template <typename T> inline T quad_max(T v) { return detail::reduceQuad<detail::Maximum>(v); }
template <typename T> inline detail::IfSimdInteger<T> quad_and(T v) { return detail::reduceQuad<detail::And>(v); }
template <typename T> inline detail::IfSimdInteger<T> quad_or(T v) { return detail::reduceQuad<detail::Or>(v); }
template <typename T> inline detail::IfSimdInteger<T> quad_xor(T v) { return detail::reduceQuad<detail::Xor>(v); }
template <typename T> inline T quad_prefix_inclusive_sum(T v) { return detail::scan<detail::Sum, true>(v, 4); }
template <typename T> inline T quad_prefix_exclusive_sum(T v) { return detail::scan<detail::Sum, false>(v, 4); }
template <typename T> inline T quad_prefix_inclusive_product(T v) {
  return detail::scan<detail::Product, true>(v, 4);
}
template <typename T> inline T quad_prefix_exclusive_product(T v) {
  return detail::scan<detail::Product, false>(v, 4);
}
template <typename T> inline T quad_shuffle(T v, ushort lane) {
  const detail::Exchange<T> all(v);
  return all.of((all.lane.index & ~3u) | (lane & 3));
}
template <typename T> inline T quad_broadcast(T v, ushort lane) { return quad_shuffle(v, lane); }
template <typename T> inline T quad_shuffle_xor(T v, ushort mask) {
  const detail::Exchange<T> all(v);
  return all.of(all.lane.index ^ (mask & 3));
}
template <typename T> inline T quad_shuffle_up(T v, ushort delta) {
  const detail::Exchange<T> all(v);
  const T shifted = all.of(all.lane.index - delta);
  return (all.lane.index & 3) >= delta ? shifted : v;
}
template <typename T> inline T quad_shuffle_down(T v, ushort delta) {
  const detail::Exchange<T> all(v);
  const T shifted = all.of(all.lane.index + delta);
  return (all.lane.index & 3) + delta < 4 ? shifted : v;
}
template <typename T> inline T quad_shuffle_rotate_up(T v, ushort delta) {
  const detail::Exchange<T> all(v);
  return all.of((all.lane.index & ~3u) | ((all.lane.index - delta) & 3));
}
template <typename T> inline T quad_shuffle_rotate_down(T v, ushort delta) {
  const detail::Exchange<T> all(v);
  return all.of((all.lane.index & ~3u) | ((all.lane.index + delta) & 3));
}
typedef simd_vote quad_vote;
inline quad_vote quad_ballot(bool v) {
  uint active;
  return quad_vote((ulong)(detail::vote(v, active) >> (detail::Lane().index & ~3u) & 15));
}
inline bool quad_all(bool v) {
  uint active;
  const uint yes = detail::vote(v, active);
  return ((yes ^ active) >> (detail::Lane().index & ~3u) & 15) == 0;
}
inline bool quad_any(bool v) {
  uint active;
  return (detail::vote(v, active) >> (detail::Lane().index & ~3u) & 15) != 0;
}
inline quad_vote quad_active_threads_mask() { return quad_ballot(true); }
inline bool quad_is_first() {
  uint active;
  detail::vote(true, active);
  const uint index = detail::Lane().index;
  return (uint)__builtin_ctz(active >> (index & ~3u) & 15) == (index & 3);
}
template <typename T> inline T quad_broadcast_first(T v) {
  uint active;
  detail::vote(true, active);
  const uint quad = detail::Lane().index & ~3u;
  return detail::Exchange<T>(v).of(quad + (uint)__builtin_ctz(active >> quad & 15));
}

} // namespace metal
#endif

/*
 * simdgroup.h: barriers, and what SIMD-group functions are made of: a SIMD group is a warp.
 *
 * The functions work on the lanes that call them together. Where all 32 do, which is the rule, the mask is a constant and
 * the exchanges have a fixed pattern; else the lanes are taken one by one.
 *
 * Which lanes those are only the hardware knows, and lanes that went different ways need not be together again where the
 * source has them so. For the shaders that ship (METAL_WHOLE_SIMD_GROUPS) that is not left to chance: all lanes that have
 * not returned call these functions, and wait for each other there. A shader of the user's may call them on some of its
 * lanes alone, where waiting for the others would never end.
 */
#ifndef BUN_METAL_SIMDGROUP_H
#define BUN_METAL_SIMDGROUP_H

namespace metal {
namespace detail {

enum : uint { AllLanes = 0xffffffff };

/** The running lane. */
struct Lane {
  uint index;
  Lane() : index(__nvvm_read_ptx_sreg_laneid()) {}
};

inline uint activeLanes() {
#if defined(METAL_WHOLE_SIMD_GROUPS)
  return __nvvm_vote_ballot_sync(AllLanes, true);
#else
  uint mask;
  __asm__ volatile("activemask.b32 %0;" : "=r"(mask));
  return mask;
#endif
}
inline uint lanesBelow(uint lane) { return (1u << lane) - 1; }

/** A value as words of 32 bits, which is what lanes exchange. */
template <typename T> struct Words {
  enum { bytes = sizeof(Element<T>) * Shape<T>::count, count = (bytes + 3) / 4 };
  int words[count];
  Words() = default;
  Words(T value) {
    words[count - 1] = 0;
    __builtin_memcpy(words, &value, bytes);
  }
  T value() const {
    T result;
    __builtin_memcpy(&result, words, bytes);
    return result;
  }
};

/** The value of another lane, among those of `mask`, which all call this. */
template <typename T> inline T fromLane(T value, uint mask, uint lane) {
  Words<T> w(value);
  for (int i = 0; i < Words<T>::count; i++) w.words[i] = __nvvm_shfl_sync_idx_i32(mask, w.words[i], lane, 31);
  return w.value();
}
/** Of the lane whose index differs in the bits of `difference`; all lanes call this. */
template <typename T> inline T fromPartner(T value, uint difference) {
  Words<T> w(value);
  for (int i = 0; i < Words<T>::count; i++)
    w.words[i] = __nvvm_shfl_sync_bfly_i32(AllLanes, w.words[i], difference, 31);
  return w.value();
}
/** Of the lane `delta` below; all lanes call this. */
template <typename T> inline T fromBelow(T value, uint delta) {
  Words<T> w(value);
  for (int i = 0; i < Words<T>::count; i++) w.words[i] = __nvvm_shfl_sync_up_i32(AllLanes, w.words[i], delta, 0);
  return w.value();
}

/** Combines the operands of the lanes that take part; every lane gets the same. */
template <typename Operation, typename T> inline T reduce(T value) {
  METAL_SIMD_OPERAND(T);
  const uint active = activeLanes();
  if (active == AllLanes) {
#pragma clang loop unroll(full)
    for (uint difference = SimdWidth / 2; difference > 0; difference /= 2)
      value = Operation::apply(value, fromPartner(value, difference));
    return value;
  }
  T total = Operation::template identity<T>();
#pragma clang loop unroll(disable)
  for (uint rest = active; rest != 0; rest &= rest - 1)
    total = Operation::apply(total, fromLane(value, active, __builtin_ctz(rest)));
  return total;
}

/** Runs through the lanes in order, or through each run of `width` lanes. */
template <typename Operation, bool inclusive, typename T> inline T scan(T value, uint width) {
  METAL_SIMD_OPERAND(T);
  const uint index = Lane().index, place = index & (width - 1), active = activeLanes();
  const T identity = Operation::template identity<T>();
  if (active == AllLanes) {
    T total = value;
#pragma clang loop unroll(full)
    for (uint delta = 1; delta < SimdWidth; delta *= 2) {
      const T before = fromBelow(total, delta);
      if (delta < width && place >= delta) total = Operation::apply(before, total);
    }
    if (inclusive) return total;
    const T before = fromBelow(total, 1);
    return place == 0 ? identity : before;
  }
  T total = identity;
#pragma clang loop unroll(disable)
  for (uint rest = active; rest != 0; rest &= rest - 1) {
    const uint lane = __builtin_ctz(rest);
    const T next = fromLane(value, active, lane);
    if (lane >= index - place && (lane < index || (inclusive && lane == index)))
      total = Operation::apply(total, next);
  }
  return total;
}

/** Combines the operands of each quad. */
template <typename Operation, typename T> inline T reduceQuad(T value) {
  METAL_SIMD_OPERAND(T);
  const uint active = activeLanes();
  if (active == AllLanes) {
    value = Operation::apply(value, fromPartner(value, 1));
    return Operation::apply(value, fromPartner(value, 2));
  }
  const uint quad = Lane().index / 4;
  T total = Operation::template identity<T>();
#pragma clang loop unroll(disable)
  for (uint rest = active; rest != 0; rest &= rest - 1) {
    const uint lane = __builtin_ctz(rest);
    const T next = fromLane(value, active, lane);
    if (lane / 4 == quad) total = Operation::apply(total, next);
  }
  return total;
}

/** Shows each lane the operands of all. */
template <typename T> struct Exchange {
  Lane lane;
  T value;
  uint active;
  Exchange(T v) : value(v), active(activeLanes()) { METAL_SIMD_OPERAND(T); }
  T of(uint other) const {
    if (active == AllLanes) return fromLane(value, AllLanes, other & (SimdWidth - 1));
    return fromLane(value, active, other & (SimdWidth - 1));
  }
};

/** The lanes that take part and for which `value` is true; `active` gets all that take part. */
inline uint vote(bool value, thread uint &active) {
  active = activeLanes();
  return __nvvm_vote_ballot_sync(active, value);
}

/** The operand of the first lane that takes part. */
template <typename T> inline T fromFirst(T value) {
  METAL_SIMD_OPERAND(T);
  const uint active = activeLanes();
  return fromLane(value, active, __builtin_ctz(active));
}

} // namespace detail

/** Threads that have left are not waited for. Both barriers order memory of all kinds. */
inline void threadgroup_barrier(mem_flags) { __syncthreads(); }
inline void simdgroup_barrier(mem_flags) { __nvvm_bar_warp_sync(detail::AllLanes); }

} // namespace metal
#endif

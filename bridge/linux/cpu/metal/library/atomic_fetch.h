/*
 * atomic_fetch.h: what an atomic object becomes by an operation, for atomic.h. Each returns what it was.
 */
#ifndef BUN_METAL_ATOMIC_FETCH_H
#define BUN_METAL_ATOMIC_FETCH_H

namespace metal {
namespace detail {

/** Repeats a plain operation until nobody came between; for what has no instruction. */
template <typename Operation, typename T> inline T atomicUpdate(T *object, T operand) {
  T old;
  __atomic_load(object, &old, __ATOMIC_RELAXED);
  for (;;) {
    T desired = Operation::apply(old, operand);
    if (__atomic_compare_exchange(object, &old, &desired, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) return old;
  }
}

struct Difference {
  template <typename T> static T apply(T a, T b) { return a - b; }
};

template <typename T> inline T fetchAdd(T *object, T operand) { return atomicUpdate<Sum, T>(object, operand); }
template <typename T> inline T fetchSubtract(T *object, T operand) { return atomicUpdate<Difference, T>(object, operand); }
template <typename T> inline T fetchMinimum(T *object, T operand) { return atomicUpdate<Minimum, T>(object, operand); }
template <typename T> inline T fetchMaximum(T *object, T operand) { return atomicUpdate<Maximum, T>(object, operand); }
template <typename T> inline T fetchAnd(T *object, T operand) { return atomicUpdate<And, T>(object, operand); }
template <typename T> inline T fetchOr(T *object, T operand) { return atomicUpdate<Or, T>(object, operand); }
template <typename T> inline T fetchXor(T *object, T operand) { return atomicUpdate<Xor, T>(object, operand); }

} // namespace detail
} // namespace metal
#endif

/*
 * atomic.h: atomic objects in device and threadgroup memory. MSL has relaxed order only.
 */
#ifndef BUN_METAL_ATOMIC_H
#define BUN_METAL_ATOMIC_H

#include "atomic_types.h"

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
} // namespace detail

#define METAL_ATOMICS(space)                                                                                      \
  template <typename T> inline T atomic_load_explicit(const volatile space atomic<T> *object, memory_order) {     \
    T value;                                                                                                      \
    __atomic_load((const T *)&object->value, &value, __ATOMIC_RELAXED);                                           \
    return value;                                                                                                 \
  }                                                                                                               \
  template <typename T> inline void atomic_store_explicit(volatile space atomic<T> *object,                       \
                                                          typename detail::Same<T>::type desired, memory_order) { \
    __atomic_store((T *)&object->value, &desired, __ATOMIC_RELAXED);                                              \
  }                                                                                                               \
  template <typename T> inline T atomic_exchange_explicit(volatile space atomic<T> *object,                       \
                                                          typename detail::Same<T>::type desired, memory_order) { \
    T old;                                                                                                        \
    __atomic_exchange((T *)&object->value, &desired, &old, __ATOMIC_RELAXED);                                     \
    return old;                                                                                                   \
  }                                                                                                               \
  template <typename T> inline bool atomic_compare_exchange_weak_explicit(                                        \
      volatile space atomic<T> *object, thread T *expected, typename detail::Same<T>::type desired, memory_order, \
      memory_order) {                                                                                             \
    return __atomic_compare_exchange((T *)&object->value, (T *)expected, &desired, true, __ATOMIC_RELAXED,        \
                                     __ATOMIC_RELAXED);                                                           \
  }                                                                                                               \
  METAL_ATOMIC_FETCH(space, add, Sum, IfAtomicNumber)                                                             \
  METAL_ATOMIC_FETCH(space, sub, Difference, IfAtomicNumber)                                                      \
  METAL_ATOMIC_FETCH(space, min, Minimum, IfAtomicInteger)                                                        \
  METAL_ATOMIC_FETCH(space, max, Maximum, IfAtomicInteger)                                                        \
  METAL_ATOMIC_FETCH(space, and, And, IfAtomicInteger)                                                            \
  METAL_ATOMIC_FETCH(space, or, Or, IfAtomicInteger)                                                              \
  METAL_ATOMIC_FETCH(space, xor, Xor, IfAtomicInteger)

#define METAL_ATOMIC_FETCH(space, name, operation, condition)                                   \
  template <typename T> inline detail::condition<T> atomic_fetch_##name##_explicit(             \
      volatile space atomic<T> *object, typename detail::Same<T>::type operand, memory_order) { \
    return detail::atomicUpdate<detail::operation, T>((T *)&object->value, operand);            \
  }

namespace detail {
struct Difference {
  template <typename T> static T apply(T a, T b) { return a - b; }
};
} // namespace detail

METAL_ATOMICS(device)
METAL_ATOMICS(threadgroup)
#undef METAL_ATOMICS
#undef METAL_ATOMIC_FETCH

} // namespace metal
#endif

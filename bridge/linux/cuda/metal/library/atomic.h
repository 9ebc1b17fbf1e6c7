/*
 * atomic.h: atomic objects in device and threadgroup memory. MSL has relaxed order only.
 */
#ifndef BUN_METAL_ATOMIC_H
#define BUN_METAL_ATOMIC_H

#include "atomic_types.h"

namespace metal {

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
  METAL_ATOMIC_FETCH(space, add, IfAtomicNumber, operand)                                                         \
  METAL_ATOMIC_FETCH(space, min, IfAtomicInteger, operand)                                                        \
  METAL_ATOMIC_FETCH(space, max, IfAtomicInteger, operand)                                                        \
  METAL_ATOMIC_FETCH(space, and, IfAtomicInteger, operand)                                                        \
  METAL_ATOMIC_FETCH(space, or, IfAtomicInteger, operand)                                                         \
  METAL_ATOMIC_FETCH(space, xor, IfAtomicInteger, operand)                                                        \
  template <typename T> inline detail::IfAtomicNumber<T> atomic_fetch_sub_explicit(                               \
      volatile space atomic<T> *object, typename detail::Same<T>::type operand, memory_order) {                   \
    return __atomic_fetch_add((T *)&object->value, -operand, __ATOMIC_RELAXED);                                   \
  }

#define METAL_ATOMIC_FETCH(space, name, condition, operand)                                     \
  template <typename T> inline detail::condition<T> atomic_fetch_##name##_explicit(             \
      volatile space atomic<T> *object, typename detail::Same<T>::type operand, memory_order) { \
    return __atomic_fetch_##name((T *)&object->value, operand, __ATOMIC_RELAXED);               \
  }

METAL_ATOMICS(device)
METAL_ATOMICS(threadgroup)
#undef METAL_ATOMICS
#undef METAL_ATOMIC_FETCH

} // namespace metal
#endif

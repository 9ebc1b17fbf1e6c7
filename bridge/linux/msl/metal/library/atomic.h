/*
 * atomic.h: atomic objects in device and threadgroup memory. MSL has relaxed order only. What reads, computes and writes in one
 * is the device's (atomic_fetch.h).
 */
#ifndef BUN_METAL_ATOMIC_H
#define BUN_METAL_ATOMIC_H

namespace metal {

enum memory_order { memory_order_relaxed = 0 };

template <typename T> struct atomic {
  static_assert(is_same_v<T, int> || is_same_v<T, uint> || is_same_v<T, bool> || is_same_v<T, float> ||
                    is_same_v<T, ulong>,
                "atomic types are int, uint, bool, float and ulong");
  T value;
};
/* Macros, because OpenCL has types of its own by these names; qualified or not, they come out right. */
#define atomic_int atomic<int>
#define atomic_uint atomic<unsigned int>
#define atomic_bool atomic<bool>
#define atomic_float atomic<float>
#define atomic_ulong atomic<unsigned long>

namespace detail {
template <typename T> using IfAtomicInteger = enable_if_t<__is_integral(T) && !__is_same(T, bool), T>;
template <typename T> using IfAtomicNumber = enable_if_t<!__is_same(T, bool), T>;
template <typename T> struct Same {
  typedef T type;
};
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
  METAL_ATOMIC_FETCH(space, add, fetchAdd, IfAtomicNumber)                                                        \
  METAL_ATOMIC_FETCH(space, sub, fetchSubtract, IfAtomicNumber)                                                   \
  METAL_ATOMIC_FETCH(space, min, fetchMinimum, IfAtomicInteger)                                                   \
  METAL_ATOMIC_FETCH(space, max, fetchMaximum, IfAtomicInteger)                                                   \
  METAL_ATOMIC_FETCH(space, and, fetchAnd, IfAtomicInteger)                                                       \
  METAL_ATOMIC_FETCH(space, or, fetchOr, IfAtomicInteger)                                                         \
  METAL_ATOMIC_FETCH(space, xor, fetchXor, IfAtomicInteger)

#define METAL_ATOMIC_FETCH(space, name, function, condition)                                    \
  template <typename T> inline detail::condition<T> atomic_fetch_##name##_explicit(             \
      volatile space atomic<T> *object, typename detail::Same<T>::type operand, memory_order) { \
    return detail::function<T>((T *)&object->value, operand);                                   \
  }

METAL_ATOMICS(device)
METAL_ATOMICS(threadgroup)
#undef METAL_ATOMICS
#undef METAL_ATOMIC_FETCH

} // namespace metal
#endif

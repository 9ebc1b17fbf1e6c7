/*
 * atomic_types.h: the types of atomic objects, and what the functions on them demand of a type.
 */
#ifndef BUN_METAL_ATOMIC_TYPES_H
#define BUN_METAL_ATOMIC_TYPES_H

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

} // namespace metal
#endif

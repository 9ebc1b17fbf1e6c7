/*
 * simd_operations.h: what SIMD-group functions take, and the operations that they combine it with.
 */
#ifndef BUN_METAL_SIMD_OPERATIONS_H
#define BUN_METAL_SIMD_OPERATIONS_H

namespace metal {

enum class mem_flags {
  mem_none = 0,
  mem_device = 1,
  mem_threadgroup = 2,
  mem_texture = 4,
  mem_threadgroup_imageblock = 8,
  mem_object_data = 16,
  mem_device_and_threadgroup = 3
};
constexpr mem_flags operator|(mem_flags a, mem_flags b) { return (mem_flags)((int)a | (int)b); }
constexpr mem_flags operator&(mem_flags a, mem_flags b) { return (mem_flags)((int)a & (int)b); }

namespace detail {

enum { SimdWidth = 32, SimdOperandBytes = 32 };

template <typename T> inline constexpr __constant bool isSimdOperand =
    sizeof(T) <= SimdOperandBytes && (__is_integral(Element<T>) || isFloating<T>) && !__is_same(Element<T>, bool);

#define METAL_SIMD_OPERAND(T) \
  static_assert(detail::isSimdOperand<T>, "SIMD-group functions take numbers and vectors of numbers")

struct Sum {
  template <typename T> static T identity() { return (T)(0); }
  template <typename T> static T apply(T a, T b) { return a + b; }
};
struct Product {
  template <typename T> static T identity() { return (T)(1); }
  template <typename T> static T apply(T a, T b) { return a * b; }
};
struct Minimum {
  template <typename T> static T identity() {
    if constexpr (isFloating<T>)
      return (T)((Element<T>)INFINITY);
    else
      return (T)(numeric_limits<Element<T>>::max());
  }
  template <typename T> static T apply(T a, T b) { return __builtin_elementwise_min(a, b); }
};
struct Maximum {
  template <typename T> static T identity() {
    if constexpr (isFloating<T>)
      return (T)((Element<T>)-INFINITY);
    else
      return (T)(numeric_limits<Element<T>>::min());
  }
  template <typename T> static T apply(T a, T b) { return __builtin_elementwise_max(a, b); }
};
struct And {
  template <typename T> static T identity() { return (T)((Element<T>)~0ul); }
  template <typename T> static T apply(T a, T b) { return a & b; }
};
struct Or {
  template <typename T> static T identity() { return (T)(0); }
  template <typename T> static T apply(T a, T b) { return a | b; }
};
struct Xor {
  template <typename T> static T identity() { return (T)(0); }
  template <typename T> static T apply(T a, T b) { return a ^ b; }
};

/** Operands of simd_and and the like. */
template <typename T> using IfSimdInteger = enable_if_t<__is_integral(Element<T>), T>;

} // namespace detail
} // namespace metal
#endif

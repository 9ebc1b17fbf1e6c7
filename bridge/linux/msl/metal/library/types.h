/*
 * types.h: scalar, vector and packed vector types, and what the library needs to know about a type.
 */
#ifndef BUN_METAL_TYPES_H
#define BUN_METAL_TYPES_H

typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef unsigned long ulong;
typedef unsigned long size_t;
typedef long ptrdiff_t;
typedef signed char int8_t;
typedef unsigned char uint8_t;
typedef short int16_t;
typedef unsigned short uint16_t;
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long int64_t;
typedef unsigned long uint64_t;

#define METAL_VECTORS(T)                              \
  typedef T T##2 __attribute__((ext_vector_type(2))); \
  typedef T T##3 __attribute__((ext_vector_type(3))); \
  typedef T T##4 __attribute__((ext_vector_type(4)))
METAL_VECTORS(char);
METAL_VECTORS(uchar);
METAL_VECTORS(short);
METAL_VECTORS(ushort);
METAL_VECTORS(int);
METAL_VECTORS(uint);
METAL_VECTORS(long);
METAL_VECTORS(ulong);
METAL_VECTORS(half);
METAL_VECTORS(float);
#undef METAL_VECTORS

namespace metal {

template <typename T, int n> using vec = T __attribute__((ext_vector_type(n)));

template <bool, typename T = void> struct enable_if {};
template <typename T> struct enable_if<true, T> {
  typedef T type;
};
template <bool C, typename T = void> using enable_if_t = typename enable_if<C, T>::type;
template <typename T, T v> struct integral_constant {
  static constexpr __constant T value = v;
  typedef T value_type;
  constexpr operator T() const { return v; }
};
template <bool b> using bool_constant = integral_constant<bool, b>;
typedef bool_constant<true> true_type;
typedef bool_constant<false> false_type;
template <bool C, typename A, typename B> struct conditional {
  typedef A type;
};
template <typename A, typename B> struct conditional<false, A, B> {
  typedef B type;
};
template <bool C, typename A, typename B> using conditional_t = typename conditional<C, A, B>::type;
template <typename A, typename B> struct is_same : false_type {};
template <typename A> struct is_same<A, A> : true_type {};
template <typename A, typename B> inline constexpr __constant bool is_same_v = __is_same(A, B);
template <typename T> struct remove_cv {
  typedef __remove_cv(T) type;
};
template <typename T> using remove_cv_t = __remove_cv(T);
template <typename T> struct remove_reference {
  typedef __remove_reference_t(T) type;
};
template <typename T> using remove_reference_t = __remove_reference_t(T);
template <typename T> using remove_const_t = __remove_const(T);
template <typename T> struct make_unsigned {
  typedef __make_unsigned(T) type;
};
template <typename T> using make_unsigned_t = __make_unsigned(T);
template <typename T> struct make_signed {
  typedef __make_signed(T) type;
};
template <typename T> using make_signed_t = __make_signed(T);
template <typename T> inline constexpr __constant bool is_integral_v = __is_integral(T);
template <typename T> struct is_integral : bool_constant<__is_integral(T)> {};
template <typename T> inline constexpr __constant bool is_floating_point_v =
    __is_same(T, float) || __is_same(T, half);
template <typename T> struct is_floating_point : bool_constant<__is_same(T, float) || __is_same(T, half)> {};
template <typename T> inline constexpr __constant bool is_signed_v = __is_signed(T);
template <typename T> inline constexpr __constant bool is_unsigned_v = __is_unsigned(T);

namespace detail {

/** Element type and element count of a scalar (1) or a vector; `packed` where the memory layout is not the
 * vector's. */
template <typename T> struct Shape {
  typedef T element;
  typedef T vector;
  enum { count = 1, packed = 0 };
};
template <typename T, int n> struct Shape<T __attribute__((ext_vector_type(n)))> {
  typedef T element;
  typedef T vector __attribute__((ext_vector_type(n)));
  enum { count = n, packed = 0 };
};
template <typename T> struct Shape<const T> : Shape<T> {};

template <typename T> using Element = typename Shape<T>::element;
template <typename T> using VectorOf = typename Shape<T>::vector;

/** The type with T's element count and another element type. */
template <typename T, typename E, int n = Shape<T>::count> struct WithElement {
  typedef E type __attribute__((ext_vector_type(n)));
};
template <typename T, typename E> struct WithElement<T, E, 1> {
  typedef E type;
};
template <typename T, typename E> using With = typename WithElement<T, E>::type;

/** The signed integer type as wide as T's elements, with as many of them. */
template <int bytes> struct IntegerOf;
template <> struct IntegerOf<1> {
  typedef char type;
};
template <> struct IntegerOf<2> {
  typedef short type;
};
template <> struct IntegerOf<4> {
  typedef int type;
};
template <> struct IntegerOf<8> {
  typedef long type;
};
template <typename T> using Bits = With<T, typename IntegerOf<sizeof(Element<T>)>::type>;

template <typename T> inline constexpr __constant bool isVector = Shape<T>::count != 1;
template <typename T> inline constexpr __constant bool isFloating =
    __is_same(Element<T>, float) || __is_same(Element<T>, half);

/** Element i of a scalar, a vector or a packed vector. */
template <typename T> constexpr Element<T> element(T v, int i) {
  if constexpr (Shape<T>::count == 1)
    return v;
  else
    return v[i];
}

template <int i, typename E, typename A, typename... R> constexpr E flatElement(A a, R... rest) {
  if constexpr (i < Shape<A>::count)
    return (E)element(a, i);
  else
    return flatElement<i - Shape<A>::count, E>(rest...);
}

template <typename... A> constexpr int flatCount() { return (0 + ... + int(Shape<A>::count)); }

/** Whether V is made of one vector of as many numbers. Converted as a whole: clang makes no such thing of elements. */
template <typename V, typename... A> inline constexpr __constant bool isConversion = false;
template <typename V, typename A>
inline constexpr __constant bool isConversion<V, A> =
    int(Shape<A>::count) == int(Shape<V>::count) && !__is_same(Element<A>, bool) && !__is_same(Element<V>, bool);

/** MSL's constructors of vector types, `float4(half4 v)`, `float4(a.xy, 0, 1)`, `float4(1)`; other types: T(a...). */
template <typename T, typename... A> constexpr T construct(A... a) {
  if constexpr (Shape<T>::count == 1) {
    return T(a...);
  } else {
    typedef VectorOf<T> V;
    typedef Element<T> E;
    constexpr int n = Shape<T>::count;
    if constexpr (sizeof...(A) == 0) {
      return V{};
    } else if constexpr (sizeof...(A) == 1 && flatCount<A...>() == 1) {
      const E e = flatElement<0, E>(a...);
      if constexpr (n == 2)
        return V{e, e};
      else if constexpr (n == 3)
        return V{e, e, e};
      else
        return V{e, e, e, e};
    } else if constexpr (isConversion<V, A...>) {
      return __builtin_convertvector((VectorOf<A>(a), ...), V);
    } else {
      static_assert(flatCount<A...>() == n, "a vector needs as many elements as it has, or one for all");
      if constexpr (n == 2)
        return V{flatElement<0, E>(a...), flatElement<1, E>(a...)};
      else if constexpr (n == 3)
        return V{flatElement<0, E>(a...), flatElement<1, E>(a...), flatElement<2, E>(a...)};
      else
        return V{flatElement<0, E>(a...), flatElement<1, E>(a...), flatElement<2, E>(a...), flatElement<3, E>(a...)};
    }
  }
}

/** A program-scope array, seen as MSL sees it: in the constant address space. */
template <typename T> constant T &inConstantSpace(__global const T &object) { return (constant T &)object; }

} // namespace detail

#if defined(__x86_64__) && !defined(__F16C__)
} // namespace metal
/* What the compiler calls to convert half where there is no instruction for it (x86-64-v2). */
extern "C" {
__attribute__((weak, visibility("hidden"))) float __extendhfsf2(half value) {
  const uint bits = __builtin_astype(value, ushort), magnitude = bits & 0x7fff;
  const uint special = magnitude >= 0x7c00 ? 0x7f800000 | (magnitude & 0x3ff) << 13 : 0;
  const float scaled = __builtin_astype(magnitude << 13, float) * 0x1p112f;
  const uint result = (special ? special : __builtin_astype(scaled, uint)) | (bits & 0x8000) << 16;
  return __builtin_astype(result, float);
}
__attribute__((weak, visibility("hidden"))) half __truncsfhf2(float value) {
  const uint all = __builtin_astype(value, uint), sign = all >> 16 & 0x8000, bits = all & 0x7fffffff;
  uint result;
  if (bits > 0x7f800000)
    result = 0x7e00;
  else if (bits >= 0x47800000)
    result = 0x7c00;
  else if (bits >= 0x38800000) /* to nearest even; a carry into the exponent is right */
    result = (bits - 0x38000000 + 0xfff + (bits >> 13 & 1)) >> 13;
  else /* the addition rounds at the last place of the least half numbers */
    result = __builtin_astype(__builtin_astype(bits, float) + 0.5f, uint) - 0x3f000000;
  return __builtin_astype((ushort)(sign | result), half);
}
}
namespace metal {
#endif

/** The same bits as another type of the same size. */
template <typename T, typename U> inline T as_type(U value) {
  static_assert(sizeof(T) == sizeof(U), "as_type needs two types of the same size");
  return __builtin_astype(value, T);
}

/** Vectors without padding, aligned as one element. Their arithmetic is that of the vector they convert to. */
template <typename T, int n> struct packed_vec;
template <typename T> struct packed_vec<T, 2> {
  T x, y;
  packed_vec() = default;
  packed_vec(vec<T, 2> v) : x(v.x), y(v.y) {}
  packed_vec(T a, T b) : x(a), y(b) {}
  operator vec<T, 2>() const { return vec<T, 2>{x, y}; }
  T operator[](int i) const { return i == 0 ? x : y; }
  T &operator[](int i) { return (&x)[i]; }
};
template <typename T> struct packed_vec<T, 3> {
  T x, y, z;
  packed_vec() = default;
  packed_vec(vec<T, 3> v) : x(v.x), y(v.y), z(v.z) {}
  packed_vec(T a, T b, T c) : x(a), y(b), z(c) {}
  operator vec<T, 3>() const { return vec<T, 3>{x, y, z}; }
  T operator[](int i) const { return i == 0 ? x : i == 1 ? y : z; }
  T &operator[](int i) { return (&x)[i]; }
};
template <typename T> struct packed_vec<T, 4> {
  typedef vec<T, 4> Unaligned __attribute__((aligned(sizeof(T))));
  T x, y, z, w;
  packed_vec() = default;
  packed_vec(vec<T, 4> v) : x(v.x), y(v.y), z(v.z), w(v.w) {}
  packed_vec(T a, T b, T c, T d) : x(a), y(b), z(c), w(d) {}
  /* One load of all four: clang makes none of four loads of small elements. */
  operator vec<T, 4>() const { return *(const Unaligned *)this; }
  T operator[](int i) const { return i == 0 ? x : i == 1 ? y : i == 2 ? z : w; }
  T &operator[](int i) { return (&x)[i]; }
};

/** Vectors of bool. Comparisons of vectors give integers here, 0 or -1, which convert. */
template <int n> struct bool_vec {
  bool values[n];
  bool_vec() = default;
  bool_vec(bool all) {
    for (int i = 0; i < n; i++) values[i] = all;
  }
  template <typename T> bool_vec(vec<T, n> v) {
    for (int i = 0; i < n; i++) values[i] = v[i] != 0;
  }
  bool operator[](int i) const { return values[i]; }
  bool_vec operator!() const {
    bool_vec r;
    for (int i = 0; i < n; i++) r.values[i] = !values[i];
    return r;
  }
};
template <int n> bool_vec<n> operator&&(bool_vec<n> a, bool_vec<n> b) {
  bool_vec<n> r;
  for (int i = 0; i < n; i++) r.values[i] = a.values[i] && b.values[i];
  return r;
}
template <int n> bool_vec<n> operator||(bool_vec<n> a, bool_vec<n> b) {
  bool_vec<n> r;
  for (int i = 0; i < n; i++) r.values[i] = a.values[i] || b.values[i];
  return r;
}

namespace detail {
template <typename T, int n> struct Shape<packed_vec<T, n>> {
  typedef T element;
  typedef T vector __attribute__((ext_vector_type(n)));
  enum { count = n, packed = 1 };
};
template <int n> struct Shape<bool_vec<n>> {
  typedef bool element;
  typedef bool_vec<n> vector;
  enum { count = n, packed = 1 };
};

#if defined(__NVPTX__)
/**
 * Four elements at any address. GPUs load nothing that is not aligned, and clang would take single elements: four bytes are
 * cut out of the one or two words that they are in, and larger elements are loaded at once where they happen to be aligned.
 */
template <typename T> inline vec<T, 4> loadPacked(const device packed_vec<T, 4> *p) {
  if constexpr (sizeof(T) == 1) {
    const uint shift = (uint)(ulong)p & 3;
    const device uint *words = (const device uint *)((ulong)p & ~3ul);
    return as_type<vec<T, 4>>(__nvvm_prmt(words[0], words[shift != 0], 0x3210 + 0x1111 * shift));
  } else {
    if (((ulong)p & (sizeof(vec<T, 4>) - 1)) == 0) return *(const device vec<T, 4> *)p;
    return vec<T, 4>{p->x, p->y, p->z, p->w};
  }
}
template <typename T, typename E>
inline enable_if_t<sizeof(E) <= 4, T> construct(const device packed_vec<E, 4> &v) {
  return construct<T>(loadPacked(&v));
}
#endif
} // namespace detail

#define METAL_PACKED_OPERATOR(op)                                                        \
  template <typename T, int n, typename B>                                               \
  inline detail::VectorOf<packed_vec<T, n>> operator op(packed_vec<T, n> a, B b) {       \
    return (vec<T, n>)a op(detail::VectorOf<B>) b;                                       \
  }                                                                                      \
  template <typename A, typename T, int n>                                               \
  inline detail::enable_if_unpacked<A, vec<T, n>> operator op(A a, packed_vec<T, n> b) { \
    return a op(vec<T, n>) b;                                                            \
  }
namespace detail {
template <typename A, typename R> using enable_if_unpacked = enable_if_t<!Shape<A>::packed, R>;
}
METAL_PACKED_OPERATOR(+)
METAL_PACKED_OPERATOR(-)
METAL_PACKED_OPERATOR(*)
METAL_PACKED_OPERATOR(/)
#undef METAL_PACKED_OPERATOR

} // namespace metal

#define METAL_PACKED(T)                          \
  typedef metal::packed_vec<T, 2> packed_##T##2; \
  typedef metal::packed_vec<T, 3> packed_##T##3; \
  typedef metal::packed_vec<T, 4> packed_##T##4
METAL_PACKED(char);
METAL_PACKED(uchar);
METAL_PACKED(short);
METAL_PACKED(ushort);
METAL_PACKED(int);
METAL_PACKED(uint);
METAL_PACKED(long);
METAL_PACKED(ulong);
METAL_PACKED(half);
METAL_PACKED(float);
#undef METAL_PACKED
typedef metal::bool_vec<2> bool2;
typedef metal::bool_vec<3> bool3;
typedef metal::bool_vec<4> bool4;

#endif

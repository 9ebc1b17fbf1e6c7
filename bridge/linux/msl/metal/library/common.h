/*
 * common.h: min, max, clamp, mix, select, the relational, integer and geometric functions, and numeric_limits.
 *
 * As in MSL, the arguments of one call have one type (a scalar beside a vector counts for all its elements): mixed
 * ones, like max(h, 0.0f) with a half, are ambiguous there and do not compile here.
 */
#ifndef BUN_METAL_COMMON_H
#define BUN_METAL_COMMON_H

namespace metal {
namespace detail {
template <typename A, typename B> struct CommonType {};
template <typename A> struct CommonType<A, A> {
  typedef VectorOf<A> type;
};
template <typename T, int n> struct CommonType<T __attribute__((ext_vector_type(n))), T> {
  typedef T type __attribute__((ext_vector_type(n)));
};
template <typename T, int n> struct CommonType<T, T __attribute__((ext_vector_type(n)))> {
  typedef T type __attribute__((ext_vector_type(n)));
};
template <typename A, typename B> using Common = typename CommonType<A, B>::type;
template <typename A, typename B, typename C> using Common3 = Common<Common<A, B>, C>;
template <typename T> using IfInteger = enable_if_t<__is_integral(Element<T>), T>;
} // namespace detail

template <typename A, typename B> inline detail::Common<A, B> min(A a, B b) {
  typedef detail::Common<A, B> T;
  return __builtin_elementwise_min((T)a, (T)b);
}
template <typename A, typename B> inline detail::Common<A, B> max(A a, B b) {
  typedef detail::Common<A, B> T;
  return __builtin_elementwise_max((T)a, (T)b);
}
template <typename T> inline T min3(T a, T b, T c) { return min(min(a, b), c); }
template <typename T> inline T max3(T a, T b, T c) { return max(max(a, b), c); }
template <typename T> inline T median3(T a, T b, T c) { return max(min(a, b), min(max(a, b), c)); }
template <typename A, typename B, typename C> inline detail::Common3<A, B, C> clamp(A x, B low, C high) {
  return min(max(x, low), high);
}
template <typename T> inline detail::IfFloating<T> saturate(T x) { return clamp(x, (T)(0), (T)(1)); }
template <typename A, typename B, typename C> inline detail::Common3<A, B, C> mix(A x, B y, C a) {
  typedef detail::Common3<A, B, C> T;
  return (T)x + ((T)y - (T)x) * (T)a;
}
template <typename A, typename B> inline detail::Common<A, B> step(A edge, B x) {
  typedef detail::Common<A, B> T;
  return detail::choose((T)x < (T)edge, (T)(0), (T)(1));
}
template <typename A, typename B, typename C> inline detail::Common3<A, B, C> smoothstep(A low, B high, C x) {
  typedef detail::Common3<A, B, C> T;
  const T t = saturate(((T)x - (T)low) / ((T)high - (T)low));
  return t * t * ((T)(3) - (T)(2) * t);
}
template <typename T> inline detail::IfFloating<T> sign(T x) {
  return detail::choose(x > (T)(0), (T)(1), detail::choose(x < (T)(0), (T)(-1), detail::choose(x == x, x, (T)(0))));
}
template <typename T> inline detail::VectorOf<T> abs(T x) {
  if constexpr (__is_unsigned(detail::Element<T>))
    return x;
  else
    return __builtin_elementwise_abs((detail::VectorOf<T>)x);
}
template <typename T> inline detail::IfInteger<T> absdiff(T a, T b) { return max(a, b) - min(a, b); }

/** c ? b : a, element by element. */
template <typename T> inline T select(T a, T b, bool c) { return c ? b : a; }
template <typename T, typename C, int n> inline T select(T a, T b, vec<C, n> c) {
  T r;
  for (int i = 0; i < n; i++) r[i] = c[i] ? b[i] : a[i];
  return r;
}
template <typename T, int n> inline T select(T a, T b, bool_vec<n> c) {
  T r;
  for (int i = 0; i < n; i++) r[i] = c[i] ? b[i] : a[i];
  return r;
}

inline bool all(bool v) { return v; }
inline bool any(bool v) { return v; }
template <typename T, int n> inline bool all(vec<T, n> v) {
  for (int i = 0; i < n; i++)
    if (!v[i]) return false;
  return true;
}
template <typename T, int n> inline bool any(vec<T, n> v) {
  for (int i = 0; i < n; i++)
    if (v[i]) return true;
  return false;
}
template <int n> inline bool all(bool_vec<n> v) {
  for (int i = 0; i < n; i++)
    if (!v[i]) return false;
  return true;
}
template <int n> inline bool any(bool_vec<n> v) {
  for (int i = 0; i < n; i++)
    if (v[i]) return true;
  return false;
}

namespace detail {
/** bool for a scalar, the vector of its comparison (converts to bool2..4) for a vector. */
template <typename T> using Truth = conditional_t<Shape<T>::count == 1, bool, Bits<T>>;
} // namespace detail
template <typename T> inline detail::Truth<detail::IfFloating<T>> isnan(T x) { return x != x; }
template <typename T> inline detail::Truth<detail::IfFloating<T>> isinf(T x) { return fabs(x) == (T)(INFINITY); }
template <typename T> inline detail::Truth<detail::IfFloating<T>> isfinite(T x) { return fabs(x) < (T)(INFINITY); }
template <typename T> inline detail::Truth<detail::IfFloating<T>> isnormal(T x) {
  const T least = is_same_v<detail::Element<T>, half> ? (T)(0x1p-14h) : (T)(0x1p-126f);
  return fabs(x) < (T)(INFINITY) && fabs(x) >= least;
}
template <typename T> inline detail::Truth<detail::IfFloating<T>> signbit(T x) {
  return as_type<detail::Bits<T>>(x) < (detail::Bits<T>)(0);
}

/* Integers. */

namespace detail {
#define METAL_EACH_BIT(name, expression)                                       \
  template <typename T> inline T name(T x) {                                   \
    if constexpr (Shape<T>::count == 1) {                                      \
      typedef make_unsigned_t<T> U;                                            \
      constexpr int width = sizeof(T) * 8;                                     \
      return (T)(expression);                                                  \
    } else {                                                                   \
      T r;                                                                     \
      for (int i = 0; i < Shape<T>::count; i++) r[i] = name((Element<T>)x[i]); \
      return r;                                                                \
    }                                                                          \
  }
METAL_EACH_BIT(countBits, __builtin_popcountl((ulong)(U)x))
METAL_EACH_BIT(leadingZeros, x == 0 ? width : __builtin_clzl((ulong)(U)x) - (64 - width))
METAL_EACH_BIT(trailingZeros, x == 0 ? width : __builtin_ctzl((ulong)(U)x))
METAL_EACH_BIT(reversed, __builtin_bitreverse64((ulong)(U)x) >> (64 - width))
#undef METAL_EACH_BIT
template <typename T> inline T highProduct(T a, T b) {
  if constexpr (Shape<T>::count != 1) {
    T r;
    for (int i = 0; i < Shape<T>::count; i++) r[i] = highProduct((Element<T>)a[i], (Element<T>)b[i]);
    return r;
  } else if constexpr (sizeof(T) < 8) {
    typedef conditional_t<__is_signed(T), long, ulong> W;
    return (T)(((W)a * (W)b) >> (sizeof(T) * 8));
  } else {
    typedef conditional_t<__is_signed(T), __int128, unsigned __int128> W;
    return (T)(((W)a * (W)b) >> 64);
  }
}
} // namespace detail
template <typename T> inline detail::IfInteger<T> popcount(T x) { return detail::countBits(x); }
template <typename T> inline detail::IfInteger<T> clz(T x) { return detail::leadingZeros(x); }
template <typename T> inline detail::IfInteger<T> ctz(T x) { return detail::trailingZeros(x); }
template <typename T> inline detail::IfInteger<T> reverse_bits(T x) { return detail::reversed(x); }
template <typename T> inline detail::IfInteger<T> mulhi(T a, T b) { return detail::highProduct(a, b); }
template <typename T> inline detail::IfInteger<T> madhi(T a, T b, T c) { return detail::highProduct(a, b) + c; }
template <typename T> inline detail::IfInteger<T> mul24(T a, T b) { return ((a << 8) >> 8) * ((b << 8) >> 8); }
template <typename T> inline detail::IfInteger<T> mad24(T a, T b, T c) { return mul24(a, b) + c; }
template <typename T> inline detail::IfInteger<T> addsat(T a, T b) { return __builtin_elementwise_add_sat(a, b); }
template <typename T> inline detail::IfInteger<T> subsat(T a, T b) { return __builtin_elementwise_sub_sat(a, b); }
template <typename T> inline detail::IfInteger<T> hadd(T a, T b) { return (a & b) + ((a ^ b) >> 1); }
template <typename T> inline detail::IfInteger<T> rhadd(T a, T b) { return (a | b) - ((a ^ b) >> 1); }
template <typename T> inline detail::IfInteger<T> rotate(T x, T count) {
  typedef detail::With<T, make_unsigned_t<detail::Element<T>>> U;
  const U u = (U)x, left = (U)count & (U)(sizeof(detail::Element<T>) * 8 - 1);
  const U right = ((U)(sizeof(detail::Element<T>) * 8) - left) & (U)(sizeof(detail::Element<T>) * 8 - 1);
  return (T)((u << left) | (u >> right));
}
template <typename T> inline detail::IfInteger<T> extract_bits(T x, uint offset, uint bits) {
  const uint width = sizeof(detail::Element<T>) * 8;
  if (bits == 0) return (T)(0);
  return (T)((T)(x << (width - offset - bits)) >> (width - bits));
}
template <typename T> inline detail::IfInteger<T> insert_bits(T base, T insert, uint offset, uint bits) {
  typedef make_unsigned_t<detail::Element<T>> U;
  if (bits == 0) return base;
  const U mask = (U)((U)((U)(~(U)0) >> (sizeof(U) * 8 - bits)) << offset);
  return (base & (T)((detail::Element<T>)(U)~mask)) | ((insert << offset) & (T)((detail::Element<T>)mask));
}

/* Geometry. */

template <typename T> inline detail::IfFloating<T> normalize(T v);
template <typename T> inline detail::Element<detail::IfFloating<T>> dot(T a, T b) {
  const detail::VectorOf<T> p = (detail::VectorOf<T>)a * (detail::VectorOf<T>)b;
  detail::Element<T> sum = p[0];
  for (int i = 1; i < detail::Shape<T>::count; i++) sum += p[i];
  return sum;
}
template <typename T> inline auto length_squared(T v) { return dot(v, v); }
template <typename T> inline auto length(T v) { return sqrt(dot(v, v)); }
template <typename T> inline auto distance(T a, T b) { return length(a - b); }
template <typename T> inline auto distance_squared(T a, T b) { return length_squared(a - b); }
template <typename T> inline detail::IfFloating<T> normalize(T v) { return v * (T)(rsqrt(dot(v, v))); }
template <typename T> inline vec<T, 3> cross(vec<T, 3> a, vec<T, 3> b) { return a.yzx * b.zxy - a.zxy * b.yzx; }

/* Limits. */

template <typename T> struct numeric_limits;
#define METAL_LIMITS(T, low, high, digitCount)                   \
  template <> struct numeric_limits<T> {                         \
    static constexpr T min() { return low; }                     \
    static constexpr T lowest() { return low; }                  \
    static constexpr T max() { return high; }                    \
    static constexpr T epsilon() { return 0; }                   \
    static constexpr T infinity() { return 0; }                  \
    static constexpr __constant bool is_specialized = true;      \
    static constexpr __constant bool is_signed = (T) - 1 < (T)0; \
    static constexpr __constant bool is_integer = true;          \
    static constexpr __constant bool has_infinity = false;       \
    static constexpr __constant int digits = digitCount;         \
  };
METAL_LIMITS(bool, false, true, 1)
METAL_LIMITS(char, -128, 127, 7)
METAL_LIMITS(uchar, 0, 255, 8)
METAL_LIMITS(short, -32768, 32767, 15)
METAL_LIMITS(ushort, 0, 65535, 16)
METAL_LIMITS(int, -2147483647 - 1, 2147483647, 31)
METAL_LIMITS(uint, 0, 4294967295u, 32)
METAL_LIMITS(long, -9223372036854775807l - 1, 9223372036854775807l, 63)
METAL_LIMITS(ulong, 0, 18446744073709551615ul, 64)
#undef METAL_LIMITS
#define METAL_LIMITS(T, least, most, step, infinite, digitCount) \
  template <> struct numeric_limits<T> {                         \
    static constexpr T min() { return least; }                   \
    static constexpr T lowest() { return -most; }                \
    static constexpr T max() { return most; }                    \
    static constexpr T epsilon() { return step; }                \
    static constexpr T infinity() { return infinite; }           \
    static constexpr T quiet_NaN() { return (T)NAN; }            \
    static constexpr T round_error() { return (T)0.5f; }         \
    static constexpr __constant bool is_specialized = true;      \
    static constexpr __constant bool is_signed = true;           \
    static constexpr __constant bool is_integer = false;         \
    static constexpr __constant bool has_infinity = true;        \
    static constexpr __constant int digits = digitCount;         \
  };
METAL_LIMITS(half, 0x1p-14h, 65504.0h, 0x1p-10h, (half)INFINITY, 11)
METAL_LIMITS(float, 0x1p-126f, MAXFLOAT, 0x1p-23f, INFINITY, 24)
#undef METAL_LIMITS

#define CHAR_BIT 8
#define CHAR_MAX 127
#define CHAR_MIN (-128)
#define UCHAR_MAX 255
#define SHRT_MAX 32767
#define SHRT_MIN (-32768)
#define USHRT_MAX 65535
#define INT_MAX 2147483647
#define INT_MIN (-2147483647 - 1)
#define UINT_MAX 4294967295u
#define LONG_MAX 9223372036854775807l
#define LONG_MIN (-9223372036854775807l - 1)
#define ULONG_MAX 18446744073709551615ul
#define FLT_MAX MAXFLOAT
#define FLT_MIN 0x1p-126f
#define FLT_EPSILON 0x1p-23f
#define HALF_MAX 65504.0h
#define HALF_MIN 0x1p-14h
#define HALF_EPSILON 0x1p-10h

} // namespace metal
#endif

/*
 * simd.h: vectors as wide as the level's registers, and the few operations that C's operators on vectors do not have.
 *
 * Part of level.h: everything is in the level's own unnamed namespace. A level defines NATIVE_LANES, the floats of a
 * vector: 4, 8 or 16; and NATIVE_FMA where it has an instruction for that.
 */
enum : uint32_t { Lanes = NATIVE_LANES };

typedef float Floats __attribute__((vector_size(4 * NATIVE_LANES)));
typedef int32_t Ints __attribute__((vector_size(4 * NATIVE_LANES)));
typedef int16_t Shorts __attribute__((vector_size(4 * NATIVE_LANES)));   // twice as many
typedef int16_t HalfShorts __attribute__((vector_size(2 * NATIVE_LANES))); // as many as Floats
typedef uint16_t HalfUshorts __attribute__((vector_size(2 * NATIVE_LANES)));
typedef _Float16 Halves __attribute__((vector_size(2 * NATIVE_LANES)));
typedef int8_t QuarterBytes __attribute__((vector_size(NATIVE_LANES))); // as many as Floats
typedef int8_t HalfBytes __attribute__((vector_size(2 * NATIVE_LANES))); // as many as Shorts
typedef int8_t Bytes __attribute__((vector_size(4 * NATIVE_LANES)));
typedef uint8_t Ubytes __attribute__((vector_size(4 * NATIVE_LANES)));
typedef uint16_t Ushorts __attribute__((vector_size(4 * NATIVE_LANES)));
typedef uint32_t Uints __attribute__((vector_size(4 * NATIVE_LANES)));

#define INLINE static inline __attribute__((always_inline))
#define METHOD inline __attribute__((always_inline)) // of objects

/** Vectors at addresses of any alignment. */
template <typename V> INLINE V load(const void *address) {
  V v;
  __builtin_memcpy(&v, address, sizeof v);
  return v;
}
template <typename V> INLINE void store(void *address, V v) { __builtin_memcpy(address, &v, sizeof v); }

INLINE Floats splat(float value) { return value - Floats{}; } // + would not be nothing: -0 + 0 is 0
INLINE Ints splat(int32_t value) { return Ints{} + value; }

/** a * b + c, rounded once where the level has an instruction for it. */
INLINE Floats fma(Floats a, Floats b, Floats c) {
#ifdef NATIVE_FMA
  return __builtin_elementwise_fma(a, b, c);
#else
  return a * b + c;
#endif
}
INLINE Floats maximum(Floats a, Floats b) { return a > b ? a : b; }
INLINE Floats magnitude(Floats v) { return (Floats)((Ints)v & 0x7fffffff); }

INLINE Floats load_f32(const float *x) { return load<Floats>(x); }
INLINE Floats load_f16(const void *x) {
#if defined(NATIVE_AVX2) || defined(NATIVE_NEON)
  return __builtin_convertvector(load<Halves>(x), Floats);
#else
  // The exponent's bias is 112 less than a float's; the product is exact, for subnormal numbers, too.
  const Ints bits = __builtin_convertvector(load<HalfUshorts>(x), Ints), magnitude = (bits & 0x7fff) << 13;
  const Ints finite = (Ints)((Floats)magnitude * 0x1p112f);
  return (Floats)((magnitude >= 0x7c00 << 13 ? magnitude | 0x7f800000 : finite) | (bits & 0x8000) << 16);
#endif
}
INLINE Floats load_bf16(const void *x) {
  return (Floats)(__builtin_convertvector(load<HalfUshorts>(x), Ints) << 16);
}

/** The first `count` lanes, 0 in the others; reads nothing behind them. */
INLINE Floats load_f32(const float *x, uint32_t count) {
  if (count >= Lanes) return load_f32(x);
  Floats v = {};
  __builtin_memcpy(&v, x, count * sizeof *x);
  return v;
}
INLINE void store_f32(float *x, Floats v, uint32_t count) {
  if (count >= Lanes) store(x, v);
  else __builtin_memcpy(x, &v, count * sizeof *x);
}

/** The sum of all lanes, by halves. */
INLINE float sum_of(Floats v) {
  float lanes[Lanes];
  store(lanes, v);
  for (uint32_t half = Lanes / 2; half > 0; half /= 2)
    for (uint32_t i = 0; i < half; i++) lanes[i] += lanes[i + half];
  return lanes[0];
}
INLINE float maximum_of(Floats v) {
  float lanes[Lanes];
  store(lanes, v);
  for (uint32_t half = Lanes / 2; half > 0; half /= 2)
    for (uint32_t i = 0; i < half; i++) lanes[i] = lanes[i] > lanes[i + half] ? lanes[i] : lanes[i + half];
  return lanes[0];
}

/*
 * weight_parts.h: bits of quantised weights, as vectors. Part of level.h.
 *
 * The weights of a part (activations.h) are bytes in the order of the elements; what they are above the weight's whole number
 * is made good by the sums of the activations. Where quants of four bits lie side by side in a byte, the upper
 * one need not be shifted down: masked where it is, it is 16 times as much, and the scale of its run a 16th. Where bytes have
 * a sign, they have no place for that, and it is shifted.
 */
#pragma clang diagnostic ignored "-Wpsabi" // how vectors longer than a register are passed: never, all is inlined
typedef float Four __attribute__((vector_size(16)));
typedef float Eight __attribute__((vector_size(32)));
typedef float Sixteen __attribute__((vector_size(64)));
typedef int32_t EightInts __attribute__((vector_size(32)));
typedef int32_t SixteenInts __attribute__((vector_size(64)));
typedef uint8_t EightBytes __attribute__((vector_size(8)));
typedef uint8_t SixteenBytes __attribute__((vector_size(16)));
typedef uint8_t ThirtyTwoBytes __attribute__((vector_size(32)));
typedef uint16_t EightHalves __attribute__((vector_size(16))); // as bits
typedef uint16_t SixteenHalves __attribute__((vector_size(32)));

template <uint32_t N> struct RunVector;
template <> struct RunVector<8> { typedef Eight Type; };
template <> struct RunVector<16> { typedef Sixteen Type; };

// ---- half floats ---------------------------------------------------------------------------------------------------

INLINE Eight floats_of(EightHalves bits) {
#if defined(NATIVE_AVX2) || defined(NATIVE_NEON)
  typedef _Float16 Type __attribute__((vector_size(16)));
  return __builtin_convertvector((Type)bits, Eight);
#else
  uint16_t each[8];
  store(each, bits);
  return __builtin_shufflevector(load_f16(each), load_f16(each + 4), 0, 1, 2, 3, 4, 5, 6, 7);
#endif
}
INLINE Four four_halves(const uint8_t *halves) {
#if NATIVE_LANES == 4
  return load_f16(halves);
#else
  typedef _Float16 Type __attribute__((vector_size(8)));
  return __builtin_convertvector(load<Type>(halves), Four);
#endif
}
INLINE float float_of(const uint8_t *half) {
#if defined(NATIVE_AVX2) || defined(NATIVE_NEON)
  return float(load<_Float16>(half));
#else
  const uint16_t bits[4] = {load<uint16_t>(half)};
  return load_f16(bits)[0];
#endif
}

/** The half floats that are `stride` bytes apart, at the start of eight blocks or two bytes behind it. */
template <uint32_t stride> INLINE EightHalves halves_of_blocks(const uint8_t *first) {
#if NATIVE_LANES == 16
  // Three or four blocks begin in 64 bytes. The last 64 end before the last block does.
  typedef uint16_t Type __attribute__((vector_size(64)));
  constexpr int s = stride / 2, last = (8 * stride - 66) / 2;
  if constexpr (stride == 18 || stride == 20)
    return __builtin_shufflevector(load<Type>(first), load<Type>(first + 4 * stride), 0, s, 2 * s, 3 * s, 32, 32 + s,
                                   32 + 2 * s, 32 + 3 * s);
  if constexpr (stride == 22 || stride == 24) {
    const Type six = __builtin_shufflevector(load<Type>(first), load<Type>(first + 3 * stride), 0, s, 2 * s, 32, 32 + s,
                                             32 + 2 * s, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
                                             -1, -1, -1, -1, -1, -1, -1, -1, -1);
    return __builtin_shufflevector(six, load<Type>(first + 2 * last), 0, 1, 2, 3, 4, 5, 32 + 6 * s - last, 32 + 7 * s - last);
  }
#endif
  uint16_t halves[8];
  for (uint32_t i = 0; i < 8; i++) halves[i] = load<uint16_t>(first + i * stride);
  return load<EightHalves>(halves);
}

INLINE Sixteen twice(Eight v) { return __builtin_shufflevector(v, v, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7); }
INLINE Sixteen floats_of(SixteenBytes v) { return __builtin_convertvector(__builtin_convertvector(v, SixteenInts), Sixteen); }
INLINE Eight floats_of(EightBytes v) { return __builtin_convertvector(__builtin_convertvector(v, EightInts), Eight); }

// ---- values of runs, spread over the lanes of a part ---------------------------------------------------------------

template <uint32_t part> INLINE Floats lanes_of(Eight v) {
#if NATIVE_LANES == 16
  constexpr int a = 2 * part % 8, b = a + 1;
  return __builtin_shufflevector(v, v, a, a, a, a, a, a, a, a, b, b, b, b, b, b, b, b);
#else
  return splat(v[part * PartElements / 32]);
#endif
}
template <uint32_t part> INLINE Floats lanes_of(Sixteen v) {
  constexpr int a = part * PartElements / 16;
#if NATIVE_LANES == 16
  return __builtin_shufflevector(v, v, a, a, a, a, a + 1, a + 1, a + 1, a + 1, a + 2, a + 2, a + 2, a + 2, a + 3, a + 3,
                                 a + 3, a + 3);
#elif NATIVE_LANES == 8
  return __builtin_shufflevector(v, v, a, a, a, a, a + 1, a + 1, a + 1, a + 1);
#else
  return splat(v[a]);
#endif
}

/** One number for each half of a vector of 16 lanes, or the first for all of a shorter one. */
INLINE Uints halves(uint32_t a, [[maybe_unused]] uint32_t b) {
#if NATIVE_LANES == 16
  return Uints{a, a, a, a, a, a, a, a, b, b, b, b, b, b, b, b};
#else
  return Uints{} + a;
#endif
}

/** One number for each even and each odd run of 16 elements of a part. A part of one run has the first or the second. */
template <uint32_t part> INLINE Uints runs(uint32_t even, uint32_t odd) {
#if NATIVE_LANES == 16
  return Uints{even, even, even, even, odd, odd, odd, odd, even, even, even, even, odd, odd, odd, odd};
#elif NATIVE_LANES == 8
  return Uints{even, even, even, even, odd, odd, odd, odd};
#else
  return Uints{} + (part % 2 ? odd : even);
#endif
}

// ---- bytes ---------------------------------------------------------------------------------------------------------

INLINE Ubytes splat_bytes(uint8_t value) { return Ubytes{} + value; }

/** Of blocks of 32 elements with a byte each, `stride` bytes apart. */
template <uint32_t part> INLINE Ubytes whole_bytes(const uint8_t *first, uint32_t stride) {
#if NATIVE_LANES == 16
  const auto a = load<ThirtyTwoBytes>(first + 2 * part * stride), b = load<ThirtyTwoBytes>(first + (2 * part + 1) * stride);
  return (Ubytes)_mm512_inserti64x4(_mm512_castsi256_si512((__m256i)a), (__m256i)b, 1);
#elif NATIVE_LANES == 8
  return load<Ubytes>(first + part * stride);
#else
  return load<Ubytes>(first + part / 2 * stride + part % 2 * 16);
#endif
}

/** Of blocks of 32 elements in 16 bytes, `stride` bytes apart, the bytes in which the part's elements are: each block's
 *  twice, for elements 0 .. 15 in the lower four bits and for 16 .. 31 in the upper. */
template <uint32_t part> INLINE Ubytes nibbles(const uint8_t *first, uint32_t stride) {
#if NATIVE_LANES == 16
  // In assembly, as the compiler takes a load of 16 bytes apart and puts its halves together again.
  typedef uint8_t Block[16];
  Ubytes v;
  __asm__("vbroadcasti32x4 %1, %0" : "=v"(v) : "m"(*(const Block *)(first + 2 * part * stride)));
  __asm__("vbroadcasti32x4 %1, %0 %{%2%}" : "+v"(v) : "m"(*(const Block *)(first + (2 * part + 1) * stride)), "Yk"(__mmask16(0xff00)));
  return v;
#elif NATIVE_LANES == 8
  return (Ubytes)_mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(first + part * stride)));
#else
  return load<Ubytes>(first + part / 2 * stride);
#endif
}

/** The same, shifted down to 0 .. 15. */
template <uint32_t part> INLINE Ubytes nibbles_shifted(const uint8_t *first, uint32_t stride) {
#if NATIVE_LANES == 4
  return part % 2 ? nibbles<part>(first, stride) >> 4 : nibbles<part>(first, stride) & 15;
#else
  return (Ubytes)((Uints)nibbles<part>(first, stride) >> runs<part>(0, 4)) & 15;
#endif
}

/** Of stripes of 32 bytes, with `bits` bits of 256 / bits elements, the bytes in which the part's elements are. */
template <uint32_t bits, uint32_t part> INLINE Ubytes stripe(const uint8_t *bytes) {
  constexpr uint32_t element = part * PartElements;
  bytes += element / (256 / bits) * 32 + element % 32;
#if NATIVE_LANES == 16
  return (Ubytes)_mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)bytes));
#else
  return load<Ubytes>(bytes);
#endif
}

/** The same, with the part's bits moved to bit `target` of each byte, and nothing else in it. */
template <uint32_t bits, uint32_t target, uint32_t part> INLINE Ubytes stripe_at(const uint8_t *bytes) {
  constexpr int first = int(bits * (part * PartElements / 32 % (8 / bits))) - int(target), second = first + int(bits);
  const Uints v = (Uints)stripe<bits, part>(bytes);
  Uints moved;
  if constexpr (first >= 0) moved = v >> halves(uint32_t(first), uint32_t(second));
  else moved = v << halves(uint32_t(-first), uint32_t(second < 0 ? -second : 0));
  return (Ubytes)moved & uint8_t(((1 << bits) - 1) << target);
}

/** Of blocks of 32 elements with 32 bits, `stride` bytes apart: 16 where an element's bit is set. */
template <uint32_t part> INLINE Ubytes fifth_bits(const uint8_t *first, uint32_t stride) {
#if NATIVE_LANES == 16
  const uint64_t low = load<uint32_t>(first + 2 * part * stride), high = load<uint32_t>(first + (2 * part + 1) * stride);
  return (Ubytes)_mm512_maskz_mov_epi8(_cvtu64_mask64(low | high << 32), _mm512_set1_epi8(16));
#elif NATIVE_LANES == 8
  const Ubytes all = (Ubytes)(Uints{} + load<uint32_t>(first + part * stride));
  const Ubytes bytes = __builtin_shufflevector(all, all, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 18, 18, 18, 18, 18,
                                               18, 18, 18, 19, 19, 19, 19, 19, 19, 19, 19);
  const Ubytes bits = (Ubytes)(__m256i{} + int64_t(0x8040201008040201u));
  return (Ubytes)((bytes & bits) == bits) & 16;
#else
  const Ubytes all = (Ubytes)(Uints{} + load<uint16_t>(first + part / 2 * stride + part % 2 * 2));
  const Ubytes bytes = __builtin_shufflevector(all, all, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
  const Ubytes bits = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  return (Ubytes)((bytes & bits) == bits) & 16;
#endif
}

/** table[indices[i]], of indices below 16. */
INLINE Ubytes look_up(SixteenBytes table, Ubytes indices) {
#if NATIVE_LANES == 16
  return (Ubytes)_mm512_shuffle_epi8(_mm512_broadcast_i32x4((__m128i)table), (__m512i)indices);
#elif NATIVE_LANES == 8
  return (Ubytes)_mm256_shuffle_epi8(_mm256_broadcastsi128_si256((__m128i)table), (__m256i)indices);
#elif defined(__x86_64__)
  return (Ubytes)_mm_shuffle_epi8((__m128i)table, (__m128i)indices);
#else
  return (Ubytes)vqtbl1q_u8((uint8x16_t)table, (uint8x16_t)indices);
#endif
}

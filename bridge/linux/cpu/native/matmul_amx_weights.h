/*
 * matmul_amx_weights.h: rows of quantised weights as whole numbers of 16 bits, whose high and low bytes tiles take. Part of
 * matmul.h.
 *
 * A weight is step * (u - 2^(bits - 1)) + middle, where u has so many bits, and step and middle are those of its run of 16 or 32
 * elements (blocks.h). Of a slice of a row the largest of 2^(bits - 1) |step| + |middle| becomes LargestWeight, and so of each run
 * step and middle whole numbers of 16 bits. The weight is the product of that and of u - 2^(bits - 1), shifted to the upper bits
 * of 16, plus the middle: an error of at most 1, 2^-15 of the slice's largest weight, or 3 / 2 with a middle.
 */
constexpr float LargestWeight = 32638.0f; // 127 * 256 + 127, less what rounding may add

/** Types whose weights (blocks.h) have `Bits` bits, SumFactor of which is in the middle. */
template <typename W, uint32_t Bits> struct CentredWeights {
  typedef typename W::Runs Runs;
  enum : uint32_t { elements = W::Elements, bytes = W::Bytes, groupBytes = W::GroupBytes, bits = Bits };
  enum : bool { hasMiddles = W::SumFactor != -float(1 << (Bits - 1)) };

  INLINE void scales(const uint8_t *group, Runs &steps, Runs &middles) {
    W::scales(group, steps, middles);
    if constexpr (hasMiddles) middles = middles * W::SumFactor + steps * float(1 << (Bits - 1));
  }
  template <uint32_t part> INLINE Ubytes weights(const uint8_t *group) { return W::template weights<part>(group); }
};

/** Types of which blocks.h leaves some bits in upper places, and puts that into scales, or does not use all bits that it has. */
template <typename W, uint32_t Bits, uint32_t RunCount> struct ShiftedWeights {
  typedef typename RunVector<RunCount>::Type Runs;
  enum : uint32_t { elements = W::Elements, bytes = W::Bytes, groupBytes = W::GroupBytes, bits = Bits };
  enum : bool { hasMiddles = true };
};

struct Q4_0 : ShiftedWeights<::Q4_0, 4, 8> {
  enum : bool { hasMiddles = false };
  INLINE void scales(const uint8_t *group, Eight &steps, Eight &) { steps = ::floats_of(halves_of_blocks<bytes>(group)); }
  template <uint32_t part> INLINE Ubytes weights(const uint8_t *group) { return nibbles_shifted<part>(group + 2, bytes); }
};
struct Q4_1 : ShiftedWeights<::Q4_1, 4, 8> {
  INLINE void scales(const uint8_t *group, Eight &steps, Eight &middles) {
    steps = ::floats_of(halves_of_blocks<bytes>(group));
    middles = ::floats_of(halves_of_blocks<bytes>(group + 2)) + 8 * steps;
  }
  template <uint32_t part> INLINE Ubytes weights(const uint8_t *group) { return nibbles_shifted<part>(group + 4, bytes); }
};
struct Q2_K : ShiftedWeights<::Q2_K, 2, 16> {
  INLINE void scales(const uint8_t *group, Sixteen &steps, Sixteen &middles) {
    const SixteenBytes both = load<SixteenBytes>(group);
    steps = ::floats_of(both & 15) * float_of(group + 80);
    middles = 2 * steps - ::floats_of(both >> 4) * float_of(group + 82);
  }
  template <uint32_t part> INLINE Ubytes weights(const uint8_t *group) { return stripe_at<2, 0, part>(group + 16); }
};
struct Q4_K : ShiftedWeights<::Q4_K, 4, 8> {
  INLINE void scales(const uint8_t *group, Eight &steps, Eight &middles) {
    Eight minimums;
    scales_and_minimums(group, steps, minimums);
    middles = 8 * steps - minimums;
  }
  template <uint32_t part> INLINE Ubytes weights(const uint8_t *group) { return stripe_at<4, 0, part>(group + 16); }
};
struct Q5_0 : CentredWeights<::Q5_0, 5> {};
struct Q5_1 : CentredWeights<::Q5_1, 5> {};
struct Q8_0 : CentredWeights<::Q8_0, 8> {};
struct Q3_K : CentredWeights<::Q3_K, 3> {};
struct Q5_K : CentredWeights<::Q5_K, 5> {};
struct Q6_K : CentredWeights<::Q6_K, 6> {};
struct IQ4_NL : CentredWeights<::IQ4_NL, 8> {};
struct IQ4_XS : CentredWeights<::IQ4_XS, 8> {};

/** Ten times Fp4Steps, so that all of a byte is used. */
constexpr SixteenBytes TenFp4Steps = (Fp4Steps - 12) * 10 + 128;

struct MXFP4 : ShiftedWeights<::MXFP4, 8, 8> {
  enum : bool { hasMiddles = false };
  INLINE void scales(const uint8_t *group, Eight &steps, Eight &middles) {
    ::MXFP4::scales(group, steps, middles);
    steps *= 0.1f;
  }
  template <uint32_t part> INLINE Ubytes weights(const uint8_t *group) {
    return look_up(TenFp4Steps, nibbles_shifted<part>(group + 1, bytes));
  }
};

// ---- values of runs ------------------------------------------------------------------------------------------------

using ::magnitude; // of Sixteen, which are Floats here
INLINE Eight magnitude(Eight v) { return (Eight)((EightInts)v & 0x7fffffff); }
/** The bits of the largest: what is no number is larger than all. */
INLINE int32_t largest_bits(Eight v) { return __builtin_reduce_max((EightInts)v); }
INLINE int32_t largest_bits(Sixteen v) { return __builtin_reduce_max((SixteenInts)v); }

/** The nearest whole numbers; of what is none, any. */
INLINE Shorts whole_numbers(Eight v) {
  return (Shorts)_mm512_castsi128_si512(_mm256_cvtepi32_epi16(_mm256_cvtps_epi32((__m256)v)));
}
INLINE Shorts whole_numbers(Sixteen v) {
  return (Shorts)_mm512_castsi256_si512(_mm512_cvtepi32_epi16(_mm512_cvtps_epi32((__m512)v)));
}

/** Of each two elements of a part, the number of their run. */
template <uint32_t part, uint32_t runs, int... I> INLINE Shorts of_runs(Shorts numbers, Sequence<int, I...>) {
  constexpr Shorts places = {int16_t((part * PartElements + 2 * I) / (GroupElements / runs))...};
  return (Shorts)_mm512_permutexvar_epi16((__m512i)places, (__m512i)numbers);
}

// ---- rows ----------------------------------------------------------------------------------------------------------

/** High and low bytes of 64 elements, both with signs: 256 high + low. */
struct TwoBytes {
  Ubytes high, low;
};

/** The bytes of even and of odd elements, each plus 128 so that low bytes, which then are so much more, have no signs. */
INLINE TwoBytes bytes_of(Shorts even, Shorts odd) {
  const Shorts upper = Shorts{} + int16_t(0xff00);
  const Shorts high = (Shorts)((Ushorts)even >> 8) | (odd & upper);
  const Shorts low = (even & ~upper) | (odd << 8);
  return {(Ubytes)high, (Ubytes)low ^ 128};
}

template <typename Type, uint32_t part>
INLINE TwoBytes weights_of(const uint8_t *group, Shorts steps, [[maybe_unused]] Shorts middles) {
  constexpr uint32_t runs = sizeof(typename Type::Runs) / sizeof(float);
  constexpr int16_t top = int16_t(0x8000), used = int16_t(-1 << (16 - Type::bits));
  const Shorts u = (Shorts)Type::template weights<part>(group);
  const Shorts even = u << int(16 - Type::bits) ^ top, odd = (u << int(8 - Type::bits) & used) ^ top;
  const __m512i step = (__m512i)of_runs<part, runs>(steps, Indices<2 * Lanes>{});
  Shorts more = Shorts{} + 128;
  if constexpr (Type::hasMiddles) more = of_runs<part, runs>(middles, Indices<2 * Lanes>{});
  return bytes_of((Shorts)_mm512_mulhrs_epi16((__m512i)even, step) + more, (Shorts)_mm512_mulhrs_epi16((__m512i)odd, step) + more);
}

/** The bytes of the 64 elements of each part, `partBytes` apart, and low ones behind high ones by `lowBytes`. */
template <typename Type, uint32_t partBytes, uint32_t lowBytes, uint32_t part = 0>
INLINE void put_weights(const uint8_t *group, Shorts steps, Shorts middles, int8_t *to) {
  const TwoBytes both = weights_of<Type, part>(group, steps, middles);
  store(to + part * partBytes, both.high);
  store(to + part * partBytes + lowBytes, both.low);
  if constexpr (part + 1 < Parts) put_weights<Type, partBytes, lowBytes, part + 1>(group, steps, middles, to);
}

/** Puts the 256 elements of a group of a row, and gives what 256 of their unit is: so sums of products are counted. */
template <typename Type, uint32_t partBytes, uint32_t lowBytes> INLINE float expand_group(const uint8_t *group, int8_t *to) {
  typedef typename Type::Runs Runs;
  constexpr float half = 1 << (Type::bits - 1);
  Runs steps, middles;
  Type::scales(group, steps, middles);
  Runs most = half * magnitude(steps);
  if constexpr (Type::hasMiddles) most += magnitude(middles);
  int32_t bits = largest_bits(most);
  float unit = 1;
  if (__builtin_expect(bits < __builtin_bit_cast(int32_t, 1e-30f), false)) { // its inverse could be too large
    unit = 0x1p-64f;
    steps *= 0x1p64f;
    middles *= 0x1p64f;
    bits = largest_bits(most * 0x1p64f);
  }
  const float largest = __builtin_bit_cast(float, bits), inverse = LargestWeight / largest;
  Shorts wholeMiddles = {};
  if constexpr (Type::hasMiddles) wholeMiddles = whole_numbers(middles * inverse) + 128;
  put_weights<Type, partBytes, lowBytes>(group, whole_numbers(steps * (half * inverse)), wholeMiddles, to);
  return bits < 0x7f800000 ? largest * (unit * 256 / LargestWeight) : __builtin_nanf("");
}

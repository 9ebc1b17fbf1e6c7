/*
 * activations.h: rows of activations as whole numbers of 16 bits, for products with quantised weights. Part of level.h.
 *
 * The weights of a block are whole numbers of at most 8 bits times a scale, and so the sum over a block is one of whole
 * numbers, which processors make several times as fast as one of floats, if the activations are whole numbers, too. Blocks
 * of 32 elements have a scale of their own, so that an error is at most 2^-16 of the block's largest element. (llama.cpp
 * takes 8 bits here: 2^-8.)
 *
 * A quant is 256 high + low with both in -128 .. 127, so that instructions for products of bytes can take the halves.
 */
enum : uint32_t { ActivationBlock = 32 };
constexpr float LargestActivation = 32639.0f; // 127 * 256 + 127

/**
 * x[i] is quants[i] * scales[i / 32], of `n` elements, whole blocks. A block with an infinity or a NaN has the scale NaN, and
 * so has all that is made of it.
 */
static inline void quantise(const float *x, uint32_t n, int16_t *quants, float *scales) {
  constexpr uint32_t vectors = uint32_t(ActivationBlock) / Lanes;
  for (uint32_t block = 0; block < n / ActivationBlock; block++, x += ActivationBlock, quants += ActivationBlock) {
    // The bits of a larger magnitude are a larger whole number, and those of what is not finite the largest ones.
    Floats v[vectors];
    Ints most = {};
    for (uint32_t i = 0; i < vectors; i++) {
      v[i] = load_f32(x + i * Lanes);
      const Ints bits = (Ints)magnitude(v[i]);
      most = bits > most ? bits : most;
    }
    const int32_t largestBits = __builtin_reduce_max(most);
    const float largest = __builtin_bit_cast(float, largestBits);
    const bool isFinite = largestBits < 0x7f800000;
    scales[block] = isFinite ? largest / LargestActivation : __builtin_nanf("");
    if (!isFinite || largest <= 1e-30f) {
      __builtin_memset(quants, 0, ActivationBlock * sizeof *quants);
      continue;
    }
    const float inverse = LargestActivation / largest;
    for (uint32_t i = 0; i < vectors; i++) {
      // The half is rounded away by the conversion, which cuts off.
      const Floats scaled = v[i] * inverse;
      const Floats rounded = scaled + (Floats)(((Ints)scaled & int32_t(0x80000000)) | (Ints)splat(0.5f));
      store(quants + i * Lanes, __builtin_convertvector(__builtin_convertvector(rounded, Ints), HalfShorts));
    }
  }
}

/**
 * 256 elements of a row, as products with weights take them: a part is as many elements as a vector has bytes, and of each
 * the quants are two vectors, as dot() below wants them: those of even and those of odd elements, or, where there are
 * products of bytes, the high and the low halves of all. Behind the end of the row everything is 0.
 *
 * Scales are of runs of 16 or of 32 elements, as the sub-blocks of weights, times 2^14: so their product with the scale of
 * a weight is about that of two elements, and loses no bits below the smallest float. `sums` are those of the elements, of
 * runs, times 2^14.
 */
enum : uint32_t { GroupElements = 256, PartElements = 4 * Lanes, Parts = GroupElements / PartElements };
constexpr float ActivationUnit = 16384.0f;

struct alignas(64) ActivationGroup {
  int8_t quants[2 * GroupElements];
  float scales16[16], sums16[16];
  float scales32[8], sums32[8];
};

/** The high and the low halves of numbers of 16 bits: q is 256 high + low, with low in -128 .. 127. */
INLINE HalfBytes high_halves(Shorts q) { return __builtin_convertvector((q + 128) >> 8, HalfBytes); }
INLINE HalfBytes low_halves(Shorts q) { return __builtin_convertvector(q, HalfBytes); }

/** The two vectors of each part. */
INLINE void arrange(const int16_t *quants, int8_t *parts) {
#if defined(NATIVE_AVX512VNNI) || defined(NATIVE_DOTPROD)
  for (uint32_t i = 0; i < GroupElements; i += 2 * Lanes) {
    const Shorts q = load<Shorts>(quants + i);
    int8_t *part = parts + i / PartElements * 2 * PartElements + i % PartElements;
    store(part, high_halves(q));
    store(part + PartElements, low_halves(q));
  }
#else
  for (uint32_t p = 0; p < Parts; p++) {
    int16_t *even = (int16_t *)(parts + 2 * PartElements * p), *odd = even + PartElements / 2;
    for (uint32_t i = 0; i < PartElements / 2; i++) {
      even[i] = quants[PartElements * p + 2 * i];
      odd[i] = quants[PartElements * p + 2 * i + 1];
    }
  }
#endif
}

/** Weights are bytes -128 .. 127, as SDOT takes them, or 0 .. 255: then what has a sign is so much more than it should be. */
#ifdef NATIVE_DOTPROD
constexpr bool haveBytesSigns = true;
#else
constexpr bool haveBytesSigns = false;
#endif
constexpr uint8_t ByteOffset = haveBytesSigns ? 0 : 128;

/**
 * dot(weights, parts): of each four elements of a part, sum of weight * quant, and that of `Count` parts of one run; which
 * four, is the level's affair. Weights are bytes: the sum is less than 2^26.
 */
#if defined(NATIVE_AVX512VNNI) || defined(NATIVE_DOTPROD)
/** Of each four bytes, sum of weight * quant, added to `sum`. */
INLINE Ints add_products(Ints sum, Ubytes weights, const int8_t *quants) {
#ifdef NATIVE_DOTPROD
  return (Ints)vdotq_s32((int32x4_t)sum, (int8x16_t)weights, load<int8x16_t>(quants));
#else
  return (Ints)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)weights, _mm512_load_si512(quants));
#endif
}

template <uint32_t Count> INLINE Ints dot(const Ubytes (&weights)[Count], const int8_t *parts) {
  Ints sum = {};
  for (uint32_t i = 0; i < Count; i++) sum = add_products(sum, weights[i], parts + 2 * PartElements * i);
  sum <<= 8;
  for (uint32_t i = 0; i < Count; i++) sum = add_products(sum, weights[i], parts + 2 * PartElements * i + PartElements);
  return sum;
}
#else
/** Sum of even weight * quant and odd weight * quant, of each two, added to `sum`. */
INLINE Ints add_products(Ints sum, Shorts even, Shorts odd, Shorts x0, Shorts x1) {
#if defined(NATIVE_AVX2)
  return sum + (Ints)_mm256_add_epi32(_mm256_madd_epi16((__m256i)even, (__m256i)x0), _mm256_madd_epi16((__m256i)odd, (__m256i)x1));
#elif defined(__x86_64__)
  return sum + (Ints)_mm_add_epi32(_mm_madd_epi16((__m128i)even, (__m128i)x0), _mm_madd_epi16((__m128i)odd, (__m128i)x1));
#else
  int32x4_t sums = vmlal_s16((int32x4_t)sum, vget_low_s16((int16x8_t)even), vget_low_s16((int16x8_t)x0));
  sums = vmlal_high_s16(sums, (int16x8_t)even, (int16x8_t)x0);
  sums = vmlal_s16(sums, vget_low_s16((int16x8_t)odd), vget_low_s16((int16x8_t)x1));
  return (Ints)vmlal_high_s16(sums, (int16x8_t)odd, (int16x8_t)x1);
#endif
}

template <uint32_t Count> INLINE Ints dot(const Ubytes (&weights)[Count], const int8_t *parts) {
  Ints sum = {};
  for (uint32_t i = 0; i < Count; i++) {
    const Shorts even = (Shorts)((Ushorts)weights[i] & 255), odd = (Shorts)((Ushorts)weights[i] >> 8);
    const int8_t *part = parts + 2 * PartElements * i;
    sum = add_products(sum, even, odd, load<Shorts>(part), load<Shorts>(part + sizeof(Shorts)));
  }
  return sum;
}
#endif

/** A row of `n` elements, whole blocks of 32. */
static void make_activations(const float *x, uint32_t n, ActivationGroup *groups) {
  for (; n > 0; groups++) {
    const uint32_t count = n < GroupElements ? n : uint32_t(GroupElements);
    alignas(64) int16_t quants[GroupElements];
    float scales[GroupElements / 32];
    if (count < GroupElements) {
      __builtin_memset(quants, 0, sizeof quants);
      __builtin_memset(scales, 0, sizeof scales);
    }
    quantise(x, count, quants, scales);
    arrange(quants, groups->quants);
    alignas(64) int32_t fours[GroupElements / 4]; // sums of four elements, of a run those that lie together
    const Ubytes ones[1] = {Ubytes{} + 1};
    for (uint32_t p = 0; p < Parts; p++) store(fours + p * Lanes, dot(ones, groups->quants + 2 * PartElements * p));
    for (uint32_t run = 0; run < 16; run++) {
      const int32_t *four = fours + 4 * run;
      groups->scales16[run] = ActivationUnit * scales[run / 2];
      groups->sums16[run] = float(four[0] + four[1] + four[2] + four[3]) * groups->scales16[run];
    }
    for (uint32_t run = 0; run < 8; run++) {
      groups->scales32[run] = groups->scales16[2 * run];
      groups->sums32[run] = groups->sums16[2 * run] + groups->sums16[2 * run + 1];
    }
    x += count;
    n -= count;
  }
}

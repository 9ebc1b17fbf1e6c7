/*
 * superblocks.h: types of weights with blocks of 256 elements, as shaders/blocks.h describes them; see blocks.h. Part of
 * level.h.
 */
template <uint32_t bytes, uint32_t runs> struct Blocks256 {
  static constexpr uint32_t Elements = 256, Bytes = bytes, GroupBytes = bytes;
  typedef typename RunVector<runs>::Type Runs;
};

/** The same byte in all of four. */
constexpr uint32_t fours(uint32_t byte) { return byte * 0x01010101u; }

/** Two numbers of eight bytes, as sixteen. */
INLINE SixteenBytes sixteen_bytes(uint64_t first, uint64_t second) {
  typedef uint64_t Type __attribute__((vector_size(16)));
  return (SixteenBytes)Type{first, second};
}

/** scale * (s & 15) * q - minimum * (s >> 4): 16 bytes s, stripes of two bits, half scale, half minimum */
struct Q2_K : Blocks256<84, 16> {
  static constexpr float SumFactor = -1;
  INLINE void scales(const uint8_t *group, Sixteen &dots, Sixteen &sums) {
    // The bits of stripes stay where they are; uppermost ones, only where bytes have no signs.
    constexpr float a = 1, b = 0x1p-2f, c = 0x1p-4f, d = haveBytesSigns ? 1 : 0x1p-6f;
    constexpr Sixteen places = {a, a, b, b, c, c, d, d, a, a, b, b, c, c, d, d};
    const SixteenBytes both = load<SixteenBytes>(group);
    const float scale = float_of(group + 80), minimum = float_of(group + 82);
    dots = floats_of(both & 15) * (places * scale);
    sums = floats_of(both >> 4) * minimum;
  }
  template <uint32_t part> INLINE Ubytes weights(const uint8_t *group) {
    constexpr uint32_t first = 3 << (2 * (part * PartElements / 32 % 4));
    if constexpr (haveBytesSigns && first == 0xc0) return stripe<2, part>(group + 16) >> 6;
    return stripe<2, part>(group + 16) & (Ubytes)halves(fours(first), fours(first << 2 & 255));
  }
};

/** scale * (s - 32) * (q - 4): stripes of the third bits, stripes of two bits, 16 times six bits s, half scale */
struct Q3_K : Blocks256<110, 16> {
  static constexpr float SumFactor = -4;
  INLINE void scales(const uint8_t *group, Sixteen &dots, Sixteen &sums) {
    const uint64_t low = load<uint64_t>(group + 96);
    const uint32_t high = load<uint32_t>(group + 104);
    constexpr uint64_t nibble = 0x0f0f0f0f0f0f0f0fu;
    const uint64_t first = (high & fours(3)) | uint64_t(high >> 2 & fours(3)) << 32;
    const uint64_t second = (high >> 4 & fours(3)) | uint64_t(high >> 6 & fours(3)) << 32;
    const SixteenBytes s = sixteen_bytes((low & nibble) | first << 4, (low >> 4 & nibble) | second << 4);
    dots = sums = (floats_of(s) - 32) * float_of(group + 108);
  }
  template <uint32_t part> INLINE Ubytes weights(const uint8_t *group) {
    return stripe_at<2, 0, part>(group + 32) | stripe_at<1, 2, part>(group);
  }
};

/**
 * The scales and minimums of Q4_K and Q5_K: half scale, half minimum, twelve bytes of eight times six bits of both. Of these,
 * bytes 0 .. 3 and 4 .. 7 are the first four scales and minimums with bits of the others above, whose lower bits are in
 * bytes 8 .. 11.
 */
INLINE void scales_and_minimums(const uint8_t *group, Eight &scales, Eight &minimums) {
  typedef uint32_t Words __attribute__((vector_size(16)));
  const Words words = load<Words>(group + 4);
  const Words low = __builtin_shufflevector(words, words, 0, 2, 1, 2) >> Words{0, 0, 0, 4};
  const Words high = __builtin_shufflevector(words, words, 0, 0, 1, 1) >> 2;
  const SixteenBytes both = (SixteenBytes)((low & Words{fours(63), fours(15), fours(63), fours(15)}) |
                                           (high & Words{0, fours(0x30), 0, fours(0x30)}));
  const Four factors = four_halves(group);
  scales = floats_of(__builtin_shufflevector(both, both, 0, 1, 2, 3, 4, 5, 6, 7)) * factors[0];
  minimums = floats_of(__builtin_shufflevector(both, both, 8, 9, 10, 11, 12, 13, 14, 15)) * factors[1];
}

/** scale * s * q - minimum * m: stripes of four bits behind the scales */
struct Q4_K : Blocks256<144, 8> {
  static constexpr float SumFactor = -1;
  INLINE void scales(const uint8_t *group, Eight &dots, Eight &sums) {
    constexpr Eight places = {1, 0x1p-4f, 1, 0x1p-4f, 1, 0x1p-4f, 1, 0x1p-4f}; // odd stripes stay where they are
    scales_and_minimums(group, dots, sums);
    if (!haveBytesSigns) dots *= places;
  }
  template <uint32_t part> INLINE Ubytes weights(const uint8_t *group) {
    constexpr bool isOdd = part * PartElements / 32 % 2;
    if constexpr (haveBytesSigns && isOdd) return stripe<4, part>(group + 16) >> 4;
    return stripe<4, part>(group + 16) & (Ubytes)halves(fours(isOdd ? 0xf0 : 0x0f), fours(0xf0));
  }
};

/** The same with fifth bits: stripes of those behind the scales, then those of four bits */
struct Q5_K : Blocks256<176, 8> {
  static constexpr float SumFactor = -1;
  INLINE void scales(const uint8_t *group, Eight &dots, Eight &sums) { scales_and_minimums(group, dots, sums); }
  template <uint32_t part> INLINE Ubytes weights(const uint8_t *group) {
    return stripe_at<4, 0, part>(group + 48) | stripe_at<1, 4, part>(group + 16);
  }
};

/** scale * s * (q - 32): 64-byte stripes of four bits, stripes of two bits, 16 signed bytes s, half scale */
struct Q6_K : Blocks256<210, 16> {
  static constexpr float SumFactor = -32;
  INLINE void scales(const uint8_t *group, Sixteen &dots, Sixteen &sums) {
    typedef int8_t Type __attribute__((vector_size(16)));
    const Sixteen s = __builtin_convertvector(__builtin_convertvector(load<Type>(group + 192), SixteenInts), Sixteen);
    dots = sums = s * float_of(group + 208);
  }
  template <uint32_t part> INLINE Ubytes weights(const uint8_t *group) {
    constexpr uint32_t element = part * PartElements, shift = element % 128 / 64 * 4;
    const Uints low = load<Uints>(group + element / 128 * 64 + element % 64) >> shift;
    return ((Ubytes)low & 15) | stripe_at<2, 4, part>(group + 128);
  }
};

/** scale * (s - 32) * (step of q): half scale, upper bits of s, lower bits of s, eight times nibbles as in Q4_0 */
struct IQ4_XS : Blocks256<136, 8> {
  static constexpr float SumFactor = -ByteOffset;
  INLINE void scales(const uint8_t *group, Eight &dots, Eight &sums) {
    const EightInts places = {0, 2, 4, 6, 8, 10, 12, 14}, nibbles = {0, 4, 8, 12, 16, 20, 24, 28};
    const EightInts high = (EightInts{} + int32_t(load<uint16_t>(group + 2))) >> places & 3;
    const EightInts low = (EightInts{} + load<int32_t>(group + 4)) >> nibbles & 15;
    dots = sums = __builtin_convertvector((low | high << 4) - 32, Eight) * float_of(group);
  }
  template <uint32_t part> INLINE Ubytes weights(const uint8_t *group) {
    return look_up(UnevenSteps, nibbles_shifted<part>(group + 8, 16));
  }
};

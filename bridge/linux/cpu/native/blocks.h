/*
 * blocks.h: types of weights with blocks of 32 elements, as shaders/blocks.h describes them. Part of level.h.
 *
 * A type says how long a block is, and makes of a group, 256 elements:
 * - scales(): for each run of 16 or 32 elements, what its products are multiplied with (`dots`), and what SumFactor times
 *   the sum of its activations is multiplied with (`sums`);
 * - weights(): the weights of a part, as bytes.
 * So an output is the sum over runs of dots * (weights . activations) + SumFactor * sums * (sum of activations).
 */

/** What all of them have. */
template <uint32_t bytes, uint32_t runs> struct Blocks32 {
  static constexpr uint32_t Elements = 32, Bytes = bytes, GroupBytes = 8 * bytes;
  typedef typename RunVector<runs>::Type Runs;
};

/** Half a byte each, those of odd runs of 16 in the upper half, where bytes have no signs. */
template <uint32_t part> INLINE Ubytes nibbles_in_place(const uint8_t *first, uint32_t stride) {
  if constexpr (haveBytesSigns) return nibbles_shifted<part>(first, stride);
  return nibbles<part>(first, stride) & (Ubytes)runs<part>(0x0f0f0f0f, 0xf0f0f0f0);
}
constexpr uint32_t RunsOfNibbles = haveBytesSigns ? 8 : 16;

/** Of each block, a number for its runs; of odd ones, what makes good that they are 16 times as much as they should. */
INLINE void spread(Eight v, Eight &runs) { runs = v; }
INLINE void spread(Eight v, Sixteen &runs) { runs = twice(v); }
INLINE void make_odd_runs_less(Eight &) {}
INLINE void make_odd_runs_less(Sixteen &runs) {
  runs *= Sixteen{1, 0x1p-4f, 1, 0x1p-4f, 1, 0x1p-4f, 1, 0x1p-4f, 1, 0x1p-4f, 1, 0x1p-4f, 1, 0x1p-4f, 1, 0x1p-4f};
}

/** scale * (q - 8): half scale, nibbles */
struct Q4_0 : Blocks32<18, RunsOfNibbles> {
  static constexpr float SumFactor = -8;
  INLINE void scales(const uint8_t *group, Runs &dots, Runs &sums) {
    spread(floats_of(halves_of_blocks<Bytes>(group)), sums);
    dots = sums;
    make_odd_runs_less(dots);
  }
  template <uint32_t part> INLINE Ubytes weights(const uint8_t *group) {
    return nibbles_in_place<part>(group + 2, Bytes);
  }
};

/** scale * q + minimum: half scale, half minimum, nibbles */
struct Q4_1 : Blocks32<20, RunsOfNibbles> {
  static constexpr float SumFactor = 1;
  INLINE void scales(const uint8_t *group, Runs &dots, Runs &sums) {
    spread(floats_of(halves_of_blocks<Bytes>(group)), dots);
    spread(floats_of(halves_of_blocks<Bytes>(group + 2)), sums);
    make_odd_runs_less(dots);
  }
  template <uint32_t part> INLINE Ubytes weights(const uint8_t *group) {
    return nibbles_in_place<part>(group + 4, Bytes);
  }
};

/** scale * (q - 16): half scale, 32 fifth bits, nibbles */
struct Q5_0 : Blocks32<22, 8> {
  static constexpr float SumFactor = -16;
  INLINE void scales(const uint8_t *group, Eight &dots, Eight &sums) {
    dots = sums = floats_of(halves_of_blocks<Bytes>(group));
  }
  template <uint32_t part> INLINE Ubytes weights(const uint8_t *group) {
    return nibbles_shifted<part>(group + 6, Bytes) | fifth_bits<part>(group + 2, Bytes);
  }
};

/** scale * q + minimum: half scale, half minimum, 32 fifth bits, nibbles */
struct Q5_1 : Blocks32<24, 8> {
  static constexpr float SumFactor = 1;
  INLINE void scales(const uint8_t *group, Eight &dots, Eight &sums) {
    dots = floats_of(halves_of_blocks<Bytes>(group));
    sums = floats_of(halves_of_blocks<Bytes>(group + 2));
  }
  template <uint32_t part> INLINE Ubytes weights(const uint8_t *group) {
    return nibbles_shifted<part>(group + 8, Bytes) | fifth_bits<part>(group + 4, Bytes);
  }
};

/** scale * q: half scale, 32 signed bytes */
struct Q8_0 : Blocks32<34, 8> {
  static constexpr float SumFactor = -ByteOffset;
  INLINE void scales(const uint8_t *group, Eight &dots, Eight &sums) {
    dots = sums = floats_of(halves_of_blocks<Bytes>(group));
  }
  template <uint32_t part> INLINE Ubytes weights(const uint8_t *group) {
    return whole_bytes<part>(group + 2, Bytes) ^ ByteOffset;
  }
};

/** The steps of IQ4_NL and IQ4_XS, and ByteOffset. */
constexpr SixteenBytes UnevenSteps =
    SixteenBytes{1, 24, 45, 63, 79, 93, 106, 118, 129, 141, 153, 166, 181, 197, 217, 241} - 128 + ByteOffset;

/** scale * (step of q): half scale, nibbles */
struct IQ4_NL : Blocks32<18, 8> {
  static constexpr float SumFactor = -ByteOffset;
  INLINE void scales(const uint8_t *group, Eight &dots, Eight &sums) {
    dots = sums = floats_of(halves_of_blocks<Bytes>(group));
  }
  template <uint32_t part> INLINE Ubytes weights(const uint8_t *group) {
    return look_up(UnevenSteps, nibbles_shifted<part>(group + 2, Bytes));
  }
};

/** Twice the numbers of MXFP4, 0 .. 6 and -0 .. -6, and 12. */
constexpr SixteenBytes Fp4Steps = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};

/** 2^(exponent - 127) * (number of q): byte exponent, nibbles */
struct MXFP4 : Blocks32<17, 8> {
  static constexpr float SumFactor = -12;
  INLINE void scales(const uint8_t *group, Eight &dots, Eight &sums) {
    // Half of 2^(e - 127), as the steps are twice the numbers; of the exponent 255 an infinity, as in the shader.
    EightInts e;
    for (uint32_t i = 0; i < 8; i++) e[i] = group[i * Bytes];
    const EightInts bits = e > 254 ? EightInts{} + 0x7f800000 : e > 1 ? (e - 1) << 23 : EightInts{} + (1 << 21) << (e & 1);
    dots = sums = (Eight)bits;
  }
  template <uint32_t part> INLINE Ubytes weights(const uint8_t *group) {
    return look_up(Fp4Steps, nibbles_shifted<part>(group + 1, Bytes));
  }
};

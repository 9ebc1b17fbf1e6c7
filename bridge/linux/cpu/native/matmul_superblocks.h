/*
 * matmul_superblocks.h: weights in blocks of 256 elements (shaders/blocks.h) as panels. Part of matmul.h.
 *
 * Their sub-blocks have small whole numbers as scales. Times a quant that is still a number of 16 bits, and so the whole
 * block is summed with the scales in the weights, and `scale` of the block is the only one that is left. Sums of 32 such
 * products with activations of 16 bits have less than 32 bits where |scale * quant| < 2^31 / 32 / 32640 = 2056 (Q2_K 45,
 * Q3_K 128, Q4_K 945, Q5_K 1953); of 16 where it is up to 4112 (Q6_K 4096).
 *
 * Where weights are bytes that is so of Q2_K and Q3_K. Of the others sub-blocks have scales of their own.
 */
template <uint32_t Step, uint32_t Minimums, bool HasStepScales = false> struct Superblocks {
  typedef PanelShape<Step, HasStepScales, Minimums> Shape;
  enum : uint32_t { elements = 256, minimums = Minimums };
};

/** The weights of the rows from element 32 * block on. */
INLINE PanelWriter block_of(PanelWriter to, uint32_t block) {
  return {to.weights + 32 / VectorElements * block * PanelVectors};
}

/** Quants with their scale, if that has a place in them. */
INLINE Shorts scaled(Shorts quants, Shorts factor) { return havePanelsBytes ? quants : quants * factor; }

/** Byte i of words, as a number without a sign; `mask` says which of its bits from `shift` on. */
INLINE Ints byte_of(const Ints *words, uint32_t i, uint32_t shift, int mask) {
  return words[i / 4] >> int(8 * (i % 4) + shift) & mask;
}

/** Scale and minimum of sub-block `s` of Q4_K and Q5_K: six bits each in twelve bytes (shaders/blocks.h). */
INLINE Ints six_bits(const Ints *words, uint32_t s, bool isMinimum) {
  const uint32_t offset = isMinimum ? 4 : 0;
  if (s < 4) return byte_of(words, s + offset, 0, 63);
  return byte_of(words, s + 4, offset, 15) | byte_of(words, s - 4 + offset, 6, 3) << 4;
}

struct Q2_K : Superblocks<32, 2 * SliceBlocks> {
  enum : uint32_t { bytes = 84 };
  INLINE void expand(const LaneRows &rows, uint64_t at, PanelWriter to, Floats *scale, Floats *minimums) {
    Ints factors[4];
    load_words(rows, at, factors);
    const Ints both = load_word(rows, at + 80);
    const Floats minimum = -half_of(both, 16);
    *scale = half_of(both, 0);
    for (uint32_t i = 0; i < 16; i++) minimums[i * PanelVectors] = minimum * floats_of(byte_of(factors, i, 4, 15));
    for (uint32_t part = 0; part < 4; part++) { // 16 bytes, of 4 blocks of 32 the lower or upper half
      Ints words[4];
      load_words(rows, at + 16 + 16 * part, words);
      for (uint32_t b = 0; b < 4; b++) {
        const uint32_t block = part / 2 * 4 + b;
        const Shorts factor = pairs_of(byte_of(factors, 2 * block + part % 2, 0, 15));
        for (uint32_t i = 0; i < 4; i++)
          block_of(to, block).put(part % 2 * 4 + i, bits_of(words[i], int(2 * b), 3) * factor,
                                  bits_of(words[i], int(2 * b + 8), 3) * factor);
      }
    }
  }
};

struct Q3_K : Superblocks<32, 0> {
  enum : uint32_t { bytes = 110 };
  INLINE void expand(const LaneRows &rows, uint64_t at, PanelWriter to, Floats *scale, Floats *) {
    // The last 16 bytes: two of the quants, then twelve of scales, then the block's scale. That is negative here, so that the
    // weights are -128 .. 124.
    Ints end[4], factors[3];
    load_words(rows, at + bytes - 16, end);
    for (uint32_t i = 0; i < 3; i++) factors[i] = (end[i] >> 16 & 0xffff) | end[i + 1] << 16;
    *scale = -half_of(end[3], 16);
    for (uint32_t part = 0; part < 4; part++) {
      Ints words[4], high[4];
      load_words(rows, at + 32 + 16 * part, words);
      load_words(rows, at + 16 * (part % 2), high);
      for (uint32_t b = 0; b < 4; b++) {
        const uint32_t block = part / 2 * 4 + b, s = 2 * block + part % 2;
        const Ints low = byte_of(factors, s % 8, s / 8 * 4, 15), top = byte_of(factors, 8 + s % 4, s / 4 * 2, 3);
        const Shorts factor = pairs_of(32 - (low | top << 4));
        for (uint32_t i = 0; i < 4; i++) {
          const Shorts even = bits_of(words[i], int(2 * b), 3) | bits_of(high[i], int(block), 1) << 2;
          const Shorts odd = bits_of(words[i], int(2 * b + 8), 3) | bits_of(high[i], int(block + 8), 1) << 2;
          block_of(to, block).put(part % 2 * 4 + i, (even - 4) * factor, (odd - 4) * factor);
        }
      }
    }
  }
};

/** Scales and minimums in the first 16 bytes; true of Q4_K and Q5_K. */
INLINE void expand_factors(const Ints *header, Shorts *factors, Floats *scales, Floats *minimums) {
  const Floats scale = half_of(header[0], 0), minimum = -half_of(header[0], 16);
  *scales = scale;
  for (uint32_t s = 0; s < 8; s++) {
    const Ints factor = six_bits(header + 1, s, false);
    factors[s] = pairs_of(factor);
    if (havePanelsBytes) scales[s * PanelVectors] = scale * floats_of(factor);
    minimums[s * PanelVectors] = minimum * floats_of(six_bits(header + 1, s, true));
  }
}

struct Q4_K : Superblocks<32, SliceBlocks, havePanelsBytes> {
  enum : uint32_t { bytes = 144 };
  INLINE void expand(const LaneRows &rows, uint64_t at, PanelWriter to, Floats *scales, Floats *minimums) {
    Ints header[4];
    Shorts factors[8];
    load_words(rows, at, header);
    expand_factors(header, factors, scales, minimums);
    for (uint32_t part = 0; part < 8; part++) { // 16 bytes, of 2 blocks of 32 the lower or upper half
      Ints words[4];
      load_words(rows, at + 16 + 16 * part, words);
      for (uint32_t b = 0; b < 2; b++) {
        const uint32_t block = part / 2 * 2 + b;
        for (uint32_t i = 0; i < 4; i++)
          block_of(to, block).put(part % 2 * 4 + i, scaled(bits_of(words[i], int(4 * b), 15), factors[block]),
                                  scaled(bits_of(words[i], int(4 * b + 8), 15), factors[block]));
      }
    }
  }
};

struct Q5_K : Superblocks<32, SliceBlocks, havePanelsBytes> {
  enum : uint32_t { bytes = 176 };
  INLINE void expand(const LaneRows &rows, uint64_t at, PanelWriter to, Floats *scales, Floats *minimums) {
    Ints header[4], high[8];
    Shorts factors[8];
    load_words(rows, at, header);
    load_words(rows, at + 16, high);
    load_words(rows, at + 32, high + 4);
    expand_factors(header, factors, scales, minimums);
    for (uint32_t part = 0; part < 8; part++) {
      Ints words[4];
      load_words(rows, at + 48 + 16 * part, words);
      for (uint32_t b = 0; b < 2; b++) {
        const uint32_t block = part / 2 * 2 + b;
        for (uint32_t i = 0; i < 4; i++) {
          const Ints fifth = high[part % 2 * 4 + i];
          const Shorts even = bits_of(words[i], int(4 * b), 15) | bits_of(fifth, int(block), 1) << 4;
          const Shorts odd = bits_of(words[i], int(4 * b + 8), 15) | bits_of(fifth, int(block + 8), 1) << 4;
          block_of(to, block).put(part % 2 * 4 + i, scaled(even, factors[block]), scaled(odd, factors[block]));
        }
      }
    }
  }
};

struct Q6_K : Superblocks<16, 0, havePanelsBytes> {
  enum : uint32_t { bytes = 210 };
  INLINE void expand(const LaneRows &rows, uint64_t at, PanelWriter to, Floats *scales, Floats *) {
    Ints factors[4];
    load_words(rows, at + 192, factors);
    const Floats scale = load_half(rows, at + 208);
    *scales = scale;
    for (uint32_t part = 0; part < 4; part++) { // of 4 blocks of 32 the lower or upper half
      Ints low[2][4], high[4];
      load_words(rows, at + part / 2 * 64 + part % 2 * 16, low[0]);
      load_words(rows, at + part / 2 * 64 + 32 + part % 2 * 16, low[1]);
      load_words(rows, at + 128 + 16 * part, high);
      for (uint32_t b = 0; b < 4; b++) {
        const uint32_t block = part / 2 * 4 + b, s = 2 * block + part % 2;
        const Ints wide = factors[s / 4] << int(24 - 8 * (s % 4)) >> 24;
        const Shorts factor = pairs_of(wide);
        if (havePanelsBytes) scales[s * PanelVectors] = scale * floats_of(wide);
        const int shift = int(b / 2 * 4);
        for (uint32_t i = 0; i < 4; i++) {
          const Shorts even = bits_of(low[b % 2][i], shift, 15) | bits_of(high[i], int(2 * b), 3) << 4;
          const Shorts odd = bits_of(low[b % 2][i], shift + 8, 15) | bits_of(high[i], int(2 * b + 8), 3) << 4;
          block_of(to, block).put(part % 2 * 4 + i, scaled(even - 32, factor), scaled(odd - 32, factor));
        }
      }
    }
  }
};

/** Here scale * quant can be 32 * 127, too much for sums of 32: blocks of 32 have scales of their own. */
struct IQ4_XS : Superblocks<32, 0, true> {
  enum : uint32_t { bytes = 136 };
  INLINE void expand(const LaneRows &rows, uint64_t at, PanelWriter to, Floats *scales, Floats *) {
    const Ints first = load_word(rows, at), low = load_word(rows, at + 4);
    const Floats scale = half_of(first, 0);
    for (uint32_t s = 0; s < 8; s++) {
      const Ints factor = (low >> int(4 * s) & 15) | (first >> int(16 + 2 * s) & 3) << 4;
      scales[s * PanelVectors] = scale * floats_of(factor - 32);
      expand_table(rows, at + 8 + 16 * s, block_of(to, s), unevenSteps);
    }
  }
};

/*
 * matmul_blocks.h: weights in blocks of 32 elements (shaders/blocks.h) as panels. Part of matmul.h.
 */

/**
 * How a panel is to be summed: after `Step` elements sums of whole numbers become floats; steps have scales of their own, or
 * the slice has one; a slice has so many minimums.
 */
template <uint32_t Step, bool HasStepScales, uint32_t Minimums> struct PanelShape {
  enum : uint32_t { step = Step, minimums = Minimums };
  enum : bool { hasStepScales = HasStepScales };
};

template <uint32_t Minimums> struct SmallBlocks {
  typedef PanelShape<32, true, Minimums> Shape;
  enum : uint32_t { elements = 32, minimums = Minimums };
};

/** Fifth bits of the elements 4 group + 0 and + 2, or with `odd` + 1 and + 3, where they belong: above four others. */
INLINE Shorts fifth_bits(Ints high, uint32_t group, uint32_t odd) {
  const uint32_t first = 4 * group + odd, second = first + 2;
  const Ints low = first < 4 ? high << (4 - first) : high >> (first - 4);
  const Ints up = second < 20 ? high << (20 - second) : high >> (second - 20);
  return (Shorts)((low & 0x10) | (up & 0x100000));
}

struct Q4_0 : SmallBlocks<0> {
  enum : uint32_t { bytes = 18 };
  INLINE void expand(const LaneRows &rows, uint64_t at, PanelWriter to, Floats *scale, Floats *) {
    Ints words[4];
    load_words(rows, at + 2, words);
    for (uint32_t i = 0; i < 4; i++) {
      to.put(i, bits_of(words[i], 0, 15) - 8, bits_of(words[i], 8, 15) - 8);
      to.put(i + 4, bits_of(words[i], 4, 15) - 8, bits_of(words[i], 12, 15) - 8);
    }
    *scale = load_half(rows, at);
  }
};

struct Q4_1 : SmallBlocks<SliceBlocks> {
  enum : uint32_t { bytes = 20 };
  INLINE void expand(const LaneRows &rows, uint64_t at, PanelWriter to, Floats *scale, Floats *minimum) {
    Ints words[4];
    load_words(rows, at + 4, words);
    for (uint32_t i = 0; i < 4; i++) {
      to.put(i, bits_of(words[i], 0, 15), bits_of(words[i], 8, 15));
      to.put(i + 4, bits_of(words[i], 4, 15), bits_of(words[i], 12, 15));
    }
    const Ints both = load_word(rows, at);
    *scale = half_of(both, 0);
    *minimum = half_of(both, 16);
  }
};

struct Q5_0 : SmallBlocks<0> {
  enum : uint32_t { bytes = 22 };
  INLINE void expand(const LaneRows &rows, uint64_t at, PanelWriter to, Floats *scale, Floats *) {
    Ints words[4];
    load_words(rows, at + 6, words);
    const Ints high = load_word(rows, at + 2);
    for (uint32_t i = 0; i < 4; i++) {
      to.put(i, (bits_of(words[i], 0, 15) | fifth_bits(high, i, 0)) - 16,
             (bits_of(words[i], 8, 15) | fifth_bits(high, i, 1)) - 16);
      to.put(i + 4, (bits_of(words[i], 4, 15) | fifth_bits(high, i + 4, 0)) - 16,
             (bits_of(words[i], 12, 15) | fifth_bits(high, i + 4, 1)) - 16);
    }
    *scale = load_half(rows, at);
  }
};

struct Q5_1 : SmallBlocks<SliceBlocks> {
  enum : uint32_t { bytes = 24 };
  INLINE void expand(const LaneRows &rows, uint64_t at, PanelWriter to, Floats *scale, Floats *minimum) {
    Ints words[4];
    load_words(rows, at + 8, words);
    const Ints high = load_word(rows, at + 4), both = load_word(rows, at);
    for (uint32_t i = 0; i < 4; i++) {
      to.put(i, bits_of(words[i], 0, 15) | fifth_bits(high, i, 0), bits_of(words[i], 8, 15) | fifth_bits(high, i, 1));
      to.put(i + 4, bits_of(words[i], 4, 15) | fifth_bits(high, i + 4, 0),
             bits_of(words[i], 12, 15) | fifth_bits(high, i + 4, 1));
    }
    *scale = half_of(both, 0);
    *minimum = half_of(both, 16);
  }
};

struct Q8_0 : SmallBlocks<0> {
  enum : uint32_t { bytes = 34 };
  INLINE void expand(const LaneRows &rows, uint64_t at, PanelWriter to, Floats *scale, Floats *) {
    for (uint32_t half = 0; half < 2; half++) {
      Ints words[4];
      load_words(rows, at + 2 + 16 * half, words);
      for (uint32_t i = 0; i < 4; i++) to.put_bytes(4 * half + i, words[i]);
    }
    *scale = load_half(rows, at);
  }
};

/** 16 bytes of two quants each, low ones first, that are places in a table. */
INLINE void expand_table(const LaneRows &rows, uint64_t at, PanelWriter to, const int8_t *table) {
  Ints words[4];
  load_words(rows, at, words);
  for (uint32_t i = 0; i < 4; i++) {
    to.put_bytes(i, looked_up(table, words[i] & 0x0f0f0f0f));
    to.put_bytes(i + 4, looked_up(table, (words[i] >> 4) & 0x0f0f0f0f));
  }
}

static const int8_t unevenSteps[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

struct IQ4_NL : SmallBlocks<0> {
  enum : uint32_t { bytes = 18 };
  INLINE void expand(const LaneRows &rows, uint64_t at, PanelWriter to, Floats *scale, Floats *) {
    expand_table(rows, at + 2, to, unevenSteps);
    *scale = load_half(rows, at);
  }
};

/** Twice what the four bits of MXFP4 mean. */
static const int8_t twiceSmallFloats[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

struct MXFP4 : SmallBlocks<0> {
  enum : uint32_t { bytes = 17 };
  INLINE void expand(const LaneRows &rows, uint64_t at, PanelWriter to, Floats *scale, Floats *) {
    expand_table(rows, at + 1, to, twiceSmallFloats);
    // 2^(exponent - 127); 2^-127 has no exponent in an F32, but is half of 2^-126.
    int32_t exponents[Lanes];
    for (uint32_t i = 0; i < Lanes; i++) exponents[i] = rows.rows[i][at];
    const Ints exponent = load<Ints>(exponents);
    *scale = (Floats)(exponent == 0 ? Ints{} + (1 << 22) : exponent << 23) * 0.5f;
  }
};

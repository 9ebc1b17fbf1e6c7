/*
 * matmul_weights.h: quantised weights as halves, as shaders/blocks.h describes them. Part of matmul.cu.
 *
 * A segment is 256 elements of a row: a block, or eight. A type reads a run of 32 of them, in shared memory at any address, as
 * whole numbers from 0 to 255 and what is done to them, for each 16: scale * (number - Zero) + minimum. The difference is exact
 * in halves. Scales and minimums are halves, too, once they are multiplied by a power of two (matmul.cu): so a weight
 * has three roundings at most, of 2^-12 of scale * (number - Zero), of the minimum and of itself.
 */

struct WeightRun {
  u32 numbers[8]; /* four in each, the first lowest */
  float scales[2], minimums[2];
};

/* ---- bytes in shared memory -------------------------------------------------------------------------------------- */

DEVICE u32 byteAt(const u8 *at) { return *at; }
DEVICE float halfAt(const u8 *at) { return halfToFloat(*(const u16 *)at); }

/** Words at an address that is a multiple of `alignment`. Up to three bytes behind them are read. */
template <u32 count, u32 alignment> DEVICE void loadWords(u32 *words, const u8 *at) {
  if constexpr (alignment == 16 && count % 4 == 0) {
    UNROLL for (u32 i = 0; i < count; i += 4) {
      const u32x4 four = *(const u32x4 *)(at + 4 * i);
      words[i] = four.x, words[i + 1] = four.y, words[i + 2] = four.z, words[i + 3] = four.w;
    }
  } else if constexpr (alignment >= 4) {
    UNROLL for (u32 i = 0; i < count; i++) words[i] = ((const u32 *)at)[i];
  } else {
    const u32 misaligned = (u32)(u64)at & 3;
    const u32 *const aligned = (const u32 *)(at - misaligned);
    u32 low = aligned[0];
    UNROLL for (u32 i = 0; i < count; i++) {
      const u32 high = misaligned || i + 1 < count ? aligned[i + 1] : 0;
      words[i] = funnelShift(low, high, 8 * misaligned);
      low = high;
    }
  }
}

/** 16 bytes of which the lower halves are elements 0 .. 15, and the upper ones 16 .. 31. */
template <u32 alignment> DEVICE void loadNibbles(WeightRun &run, const u8 *at) {
  u32 words[4];
  loadWords<4, alignment>(words, at);
  UNROLL for (u32 i = 0; i < 4; i++) {
    run.numbers[i] = words[i] & 0x0f0f0f0f;
    run.numbers[4 + i] = words[i] >> 4 & 0x0f0f0f0f;
  }
}

/** Some bits of each of 32 bytes: (byte >> shift) & mask. */
template <u32 alignment> DEVICE void loadBits(WeightRun &run, const u8 *at, u32 shift, u32 mask) {
  loadWords<8, alignment>(run.numbers, at);
  UNROLL for (u32 i = 0; i < 8; i++) run.numbers[i] = run.numbers[i] >> shift & mask * 0x01010101;
}

/** Adds `bits` of each of 32 bytes, (byte >> shift) & mask, above the lower `place` bits. */
template <u32 alignment> DEVICE void joinBits(WeightRun &run, const u8 *at, u32 shift, u32 mask, u32 place) {
  u32 words[8];
  loadWords<8, alignment>(words, at);
  UNROLL for (u32 i = 0; i < 8; i++) run.numbers[i] |= (words[i] >> shift & mask * 0x01010101) << place;
}

/** Adds a fifth bit to each number: bit i of 32 is element i's. */
template <u32 alignment> DEVICE void joinFifthBits(WeightRun &run, const u8 *at) {
  u32 bits;
  loadWords<1, alignment>(&bits, at);
  UNROLL for (u32 i = 0; i < 8; i++) {
    /* Bit j of four comes to the lowest bit of byte j: copies of them 7 apart do not meet. */
    const u32 four = bits >> (4 * i) & 15;
    run.numbers[i] |= (four * 0x00204081 & 0x01010101) << 4;
  }
}

/** The entries of a table of 16 bytes that numbers below 16 name. */
DEVICE void lookUp(WeightRun &run, u32 first, u32 second, u32 third, u32 fourth) {
  UNROLL for (u32 i = 0; i < 8; i++) {
    const u32 pairs = run.numbers[i] | run.numbers[i] >> 4;
    const u32 digits = permuteBytes(pairs, 0, 0x4420);
    const u32 low = permuteBytes(first, second, digits & 0x7777), high = permuteBytes(third, fourth, digits & 0x7777);
    run.numbers[i] = permuteBytes(low, high, 0x3210 | (digits & 0x8888) >> 1);
  }
}

DEVICE void scaleAll(WeightRun &run, float scale, float minimum = 0) {
  run.scales[0] = run.scales[1] = scale;
  run.minimums[0] = run.minimums[1] = minimum;
}

/* ---- types: what of them is in blocks.h -------------------------------------------------------------------------- */

/** Whole numbers of blocks before it leave an address a multiple of this. */
constexpr u32 alignmentAfter(u32 bytes) { return bytes % 16 == 0 ? 16 : bytes % 4 == 0 ? 4 : 1; }

/** Eight blocks of 32 elements. */
template <u32 bytes> struct SmallBlocks {
  static constexpr u32 Alignment = alignmentAfter(bytes) > 4 ? 4 : alignmentAfter(bytes);
  static constexpr u32 SegmentBytes = 8 * bytes, BlockElements = 32, BlockBytes = bytes;
  static constexpr bool HasMinimum = false;
};
template <u32 bytes> struct LargeBlocks {
  static constexpr u32 Alignment = alignmentAfter(bytes);
  static constexpr u32 SegmentBytes = bytes, BlockElements = 256, BlockBytes = bytes;
  static constexpr bool HasMinimum = false;
};
/** `Most`: no number is further from Zero. */

struct Q4_0 : SmallBlocks<18> {
  static constexpr u32 Zero = 8, Most = 8;
  DEVICE_MEMBER static void read(WeightRun &run, const u8 *segment, u32 index) {
    const u8 *const block = segment + index * BlockBytes;
    loadNibbles<Alignment>(run, block + 2);
    scaleAll(run, halfAt(block));
  }
};

struct Q4_1 : SmallBlocks<20> {
  static constexpr u32 Zero = 0, Most = 15;
  static constexpr bool HasMinimum = true;
  DEVICE_MEMBER static void read(WeightRun &run, const u8 *segment, u32 index) {
    const u8 *const block = segment + index * BlockBytes;
    loadNibbles<Alignment>(run, block + 4);
    scaleAll(run, halfAt(block), halfAt(block + 2));
  }
};

struct Q5_0 : SmallBlocks<22> {
  static constexpr u32 Zero = 16, Most = 16;
  DEVICE_MEMBER static void read(WeightRun &run, const u8 *segment, u32 index) {
    const u8 *const block = segment + index * BlockBytes;
    loadNibbles<Alignment>(run, block + 6);
    joinFifthBits<Alignment>(run, block + 2);
    scaleAll(run, halfAt(block));
  }
};

struct Q5_1 : SmallBlocks<24> {
  static constexpr u32 Zero = 0, Most = 31;
  static constexpr bool HasMinimum = true;
  DEVICE_MEMBER static void read(WeightRun &run, const u8 *segment, u32 index) {
    const u8 *const block = segment + index * BlockBytes;
    loadNibbles<Alignment>(run, block + 8);
    joinFifthBits<Alignment>(run, block + 4);
    scaleAll(run, halfAt(block), halfAt(block + 2));
  }
};

struct Q8_0 : SmallBlocks<34> {
  static constexpr u32 Zero = 128, Most = 128;
  DEVICE_MEMBER static void read(WeightRun &run, const u8 *segment, u32 index) {
    const u8 *const block = segment + index * BlockBytes;
    loadWords<8, Alignment>(run.numbers, block + 2);
    UNROLL for (u32 i = 0; i < 8; i++) run.numbers[i] ^= 0x80808080;
    scaleAll(run, halfAt(block));
  }
};

/** UnevenSteps, 128 more of each. */
DEVICE void lookUpUneven(WeightRun &run) { lookUp(run, 0x3f2d1801, 0x766a5d4f, 0xa6998d81, 0xf1d9c5b5); }

struct IQ4_NL : SmallBlocks<18> {
  static constexpr u32 Zero = 128, Most = 128;
  DEVICE_MEMBER static void read(WeightRun &run, const u8 *segment, u32 index) {
    const u8 *const block = segment + index * BlockBytes;
    loadNibbles<Alignment>(run, block + 2);
    lookUpUneven(run);
    scaleAll(run, halfAt(block));
  }
};

struct MXFP4 : SmallBlocks<17> {
  static constexpr u32 Zero = 16, Most = 12;
  DEVICE_MEMBER static void read(WeightRun &run, const u8 *segment, u32 index) {
    const u8 *const block = segment + index * BlockBytes;
    loadNibbles<Alignment>(run, block + 1);
    lookUp(run, 0x13121110, 0x1c181614, 0x0d0e0f10, 0x04080a0c); /* 16 + twice the number */
    const u32 exponent = byteAt(block);
    scaleAll(run, 0.5f * (exponent == 0 ? 0x1p-127f : floatOf(exponent << 23)));
  }
};

struct Q2_K : LargeBlocks<84> {
  static constexpr u32 Zero = 0, Most = 3;
  static constexpr bool HasMinimum = true;
  DEVICE_MEMBER static void read(WeightRun &run, const u8 *segment, u32 index) {
    loadBits<Alignment>(run, segment + 16 + index / 4 * 32, index % 4 * 2, 3);
    const float scale = halfAt(segment + 80), minimum = halfAt(segment + 82);
    UNROLL for (u32 i = 0; i < 2; i++) {
      const u32 both = byteAt(segment + 2 * index + i);
      run.scales[i] = scale * (float)(both & 15);
      run.minimums[i] = -minimum * (float)(both >> 4);
    }
  }
};

struct Q3_K : LargeBlocks<110> {
  static constexpr u32 Zero = 4, Most = 4;
  DEVICE_MEMBER static void read(WeightRun &run, const u8 *segment, u32 index) {
    loadBits<Alignment>(run, segment + 32 + index / 4 * 32, index % 4 * 2, 3);
    joinBits<Alignment>(run, segment, index, 1, 2);
    const float scale = halfAt(segment + 108);
    UNROLL for (u32 i = 0; i < 2; i++) {
      const u32 s = 2 * index + i;
      const u32 low = byteAt(segment + 96 + s % 8) >> (s / 8 * 4) & 15, high = byteAt(segment + 104 + s % 4) >> (s / 4 * 2) & 3;
      run.scales[i] = scale * (float)((i32)(low | high << 4) - 32);
      run.minimums[i] = 0;
    }
  }
};

/** Scale and minimum of sub-block `s` of eight, from the beginning of the block. */
DEVICE void scaleSixBits(WeightRun &run, const u8 *segment, u32 s) {
  const u8 *const bytes = segment + 4;
  u32 scale, minimum;
  if (s < 4) {
    scale = byteAt(bytes + s) & 63;
    minimum = byteAt(bytes + s + 4) & 63;
  } else {
    const u32 low = byteAt(bytes + s + 4);
    scale = (low & 15) | byteAt(bytes + s - 4) >> 6 << 4;
    minimum = low >> 4 | byteAt(bytes + s) >> 6 << 4;
  }
  scaleAll(run, halfAt(segment) * (float)scale, -halfAt(segment + 2) * (float)minimum);
}

struct Q4_K : LargeBlocks<144> {
  static constexpr u32 Zero = 0, Most = 15;
  static constexpr bool HasMinimum = true;
  DEVICE_MEMBER static void read(WeightRun &run, const u8 *segment, u32 index) {
    loadBits<Alignment>(run, segment + 16 + index / 2 * 32, index % 2 * 4, 15);
    scaleSixBits(run, segment, index);
  }
};

struct Q5_K : LargeBlocks<176> {
  static constexpr u32 Zero = 0, Most = 31;
  static constexpr bool HasMinimum = true;
  DEVICE_MEMBER static void read(WeightRun &run, const u8 *segment, u32 index) {
    loadBits<Alignment>(run, segment + 48 + index / 2 * 32, index % 2 * 4, 15);
    joinBits<Alignment>(run, segment + 16, index, 1, 4);
    scaleSixBits(run, segment, index);
  }
};

struct Q6_K : LargeBlocks<210> {
  static constexpr u32 Zero = 32, Most = 32;
  DEVICE_MEMBER static void read(WeightRun &run, const u8 *segment, u32 index) {
    loadBits<Alignment>(run, segment + index / 4 * 64 + index % 2 * 32, index % 4 / 2 * 4, 15);
    joinBits<Alignment>(run, segment + 128 + index / 4 * 32, index % 4 * 2, 3, 4);
    const float scale = halfAt(segment + 208);
    UNROLL for (u32 i = 0; i < 2; i++) {
      run.scales[i] = scale * (float)(i8)byteAt(segment + 192 + 2 * index + i);
      run.minimums[i] = 0;
    }
  }
};

struct IQ4_XS : LargeBlocks<136> {
  static constexpr u32 Zero = 128, Most = 128;
  DEVICE_MEMBER static void read(WeightRun &run, const u8 *segment, u32 index) {
    loadNibbles<Alignment>(run, segment + 8 + 16 * index);
    lookUpUneven(run);
    const u32 low = byteAt(segment + 4 + index / 2) >> (index % 2 * 4) & 15;
    const u32 high = (byteAt(segment + 2) | byteAt(segment + 3) << 8) >> (2 * index) & 3;
    scaleAll(run, halfAt(segment) * (float)((i32)(low | high << 4) - 32));
  }
};

/* ---- halves ------------------------------------------------------------------------------------------------------ */

/**
 * The 32 weights of a run, times `power`. Returns what none of them is larger than, by itself.
 * 0x6400 + number is the half 1024 + number.
 */
template <typename Type> DEVICE float makeHalves(u32 (&halves)[16], const WeightRun &run, float power) {
  const u32 zero = (0x6400 + Type::Zero) * 0x10001;
  float largest = 0;
  UNROLL for (u32 i = 0; i < 2; i++) {
    const float scale = run.scales[i] * power, minimum = run.minimums[i] * power;
    const u32 scales = floatsToHalves(scale, scale), minimums = floatsToHalves(minimum, minimum);
    largest = maximum(largest, magnitude(run.scales[i]) * (float)Type::Most);
    if (Type::HasMinimum) largest = maximum(largest, magnitude(run.minimums[i]));
    UNROLL for (u32 j = 0; j < 8; j++) {
      const u32 word = run.numbers[4 * i + j / 2];
      const u32 numbers = permuteBytes(word, 0x64646464, j % 2 ? 0x4342 : 0x4140);
      const u32 differences = subtractHalves(numbers, zero);
      halves[8 * i + j] =
          Type::HasMinimum ? multiplyAddHalves(differences, scales, minimums) : multiplyHalves(differences, scales);
    }
  }
  return largest;
}

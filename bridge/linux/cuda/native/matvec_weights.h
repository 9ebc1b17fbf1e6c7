/*
 * matvec_weights.h: the types of weights (shaders/blocks.h) as matrices of tensor cores: a lane 4 g + t has words of row g.
 *
 * Quants stay whole numbers: bytes with signs, multiplied by a power of two where that saves an instruction. What a scale
 * belongs to is a set of elements (matvec_activations.h): the 32 of a block, or 16.
 */
#ifndef BUN_METAL_CUDA_NATIVE_MATVEC_WEIGHTS_H
#define BUN_METAL_CUDA_NATIVE_MATVEC_WEIGHTS_H

#include "matvec_activations.h"

/** A row's part of a slice in shared memory, for a lane. Offsets and `lane` are bytes; words may lie at any address there. */
template <bool IsAligned> struct WeightRow {
  u8 *arena;
  u32 row, lane; // where it begins, and how much further on this lane's words are

  /** The word at `offset` for lane t = 0, which the caller knows, so that only what depends on the row is computed. */
  DEVICE_MEMBER u32 word(u32 offset) const { return at(offset, lane); }
  /** The same for all lanes. */
  DEVICE_MEMBER u32 common(u32 offset) const { return at(offset, 0); }
  DEVICE_MEMBER float half(u32 offset, u32 more) const { return halfToFloat(*(const u16 *)(arena + (row + more) + offset)); }
  DEVICE_MEMBER u32 byte(u32 offset) const { return (arena + row)[offset]; }
  /** Where rows are aligned. */
  DEVICE_MEMBER u32x4 first16() const { return *(const u32x4 *)(arena + row); }

  DEVICE_MEMBER u32 at(u32 offset, u32 more) const {
    if (IsAligned) {
      const u32 *words = (const u32 *)(arena + (row + more)) + offset / 4;
      return offset % 4 == 0 ? words[0] : funnelShift(words[0], words[1], 8 * (offset % 4));
    }
    const u32 begin = row + more + offset % 4;
    const u32 *words = (const u32 *)(arena + begin / 4 * 4) + offset / 4;
    return funnelShift(words[0], words[1], 8 * (begin % 4));
  }
};

/** What a lane has of its row's sum: of whole numbers of its plane, and what does not go through planes. */
struct MatvecSums {
  float products, others;
};

/** The columns of x, for a lane. */
struct FixedColumns {
  const u8 *record; // of the slice
  u32 pairs, halves; // offsets of this lane's words in a pair of blocks, and in a block

  DEVICE_MEMBER float scale() const { return *(const float *)(record + FixedScale); }
  DEVICE_MEMBER float sum16(u32 i) const { return ((const float *)(record + FixedSums))[i]; }
  DEVICE_MEMBER float sum32(u32 block) const {
    const f32x2 both = *(const f32x2 *)(record + FixedSums + 8 * block);
    return both.x + both.y;
  }
};
DEVICE FixedColumns fixedColumns(u32 lane) {
  const u32 g = lane / 4, t = lane % 4, plane = g / 2 < 2 ? g / 2 : 2;
  return {nullptr, (g % 2 * 3 + plane) * FixedPlane + 8 * t, plane * FixedPlane + 8 * t + g % 2 * 4};
}
/** What a plane's sum counts. */
DEVICE float weightOfPlane(u32 t) { return t == 0 ? 65536.0f : t == 1 ? 256.0f : t == 2 ? 1.0f : 0.0f; }

/** A lane's sums over two sets of elements. */
struct TwoSums {
  i32 first, second;
};
/** Two blocks of 32 elements: four words of weights. */
template <bool IsUnsigned = false> DEVICE TwoSums multiplyPair(const FixedColumns &x, u32 pair, const u32 (&a)[4]) {
  const u32x2 both = *(const u32x2 *)(x.record + x.pairs + pair * FixedPair);
  const u32 b[2] = {both.x, both.y};
  i32 d[4] = {0, 0, 0, 0};
  if (IsUnsigned) mmaU8S8(d, a, b);
  else mmaS8(d, a, b);
  return {d[0], d[3]};
}
/** The two sets of 16 elements of a block, by a word each. */
DEVICE TwoSums multiplyHalves(const FixedColumns &x, u32 block, u32 first, u32 second) {
  const u32 b = *(const u32 *)(x.record + x.halves + block * 3 * FixedPlane);
  i32 d[4] = {0, 0, 0, 0};
  mmaS8Half(d, first, second, b);
  return {d[0], d[3]};
}

// ---- blocks of 32 ------------------------------------------------------------------------------------------------------

enum : u32 { LowNibbles = 0x0f0f0f0f, HighNibbles = 0xf0f0f0f0, EachTop = 0x80808080 };

/** 16 (nibble - 8), of low and of high nibbles. */
DEVICE void centreNibbles(u32 word, u32 &low, u32 &high) {
  low = ((word << 4) & HighNibbles) ^ EachTop;
  high = (word & HighNibbles) ^ EachTop;
}
DEVICE void splitNibbles(u32 word, u32 &low, u32 &high) {
  low = word & LowNibbles;
  high = (word >> 4) & LowNibbles;
}
/** Bits 0 to 3 of `bits`, each as the lowest bit of a byte. */
DEVICE u32 spreadBits(u32 bits) { return ((bits & 15) * 0x00204081) & 0x01010101; }

/** What nibbles mean: bytes of a table of 16. */
DEVICE void lookUpNibbles(u32 word, const u32 (&table)[4], u32 &low, u32 &high) {
  u32 found[2];
  UNROLL for (u32 i = 0; i < 2; i++) {
    const u32 nibbles = i == 0 ? word : word >> 16;
    const u32 below = permuteBytes(table[0], table[1], nibbles & 0x7777), above = permuteBytes(table[2], table[3], nibbles & 0x7777);
    found[i] = permuteBytes(below, above, ((nibbles & 0x8888) >> 1) | 0x3210);
  }
  low = permuteBytes(found[0], found[1], 0x6420);
  high = permuteBytes(found[0], found[1], 0x7531);
}
#define UNEVEN_STEPS {0xbfad9881, 0xf6eaddcf, 0x26190d01, 0x71594535} // shaders/blocks.h
#define MXFP4_TWICE {0x03020100, 0x0c080604, 0xfdfeff00, 0xf4f8fafc}

/*
 * A block: Bytes; quants(row, offset of the block, t, words of its two halves); factor() of its elements times Unit; and, if
 * HasMinimum, what is added to each element.
 */
struct Q4_0 {
  enum : u32 { Bytes = 18, HasMinimum = 0 };
  static constexpr float Unit = 1.0f / 16;
  template <typename Row> static DEVICE_MEMBER void quants(const Row &row, u32 offset, u32, u32 &low, u32 &high) {
    centreNibbles(row.word(offset + 2), low, high);
  }
  template <typename Row> static DEVICE_MEMBER float factor(const Row &row, u32 offset) { return row.half(offset, 0); }
};
struct Q4_1 {
  enum : u32 { Bytes = 20, HasMinimum = 1 };
  static constexpr float Unit = 1;
  template <typename Row> static DEVICE_MEMBER void quants(const Row &row, u32 offset, u32, u32 &low, u32 &high) {
    splitNibbles(row.word(offset + 4), low, high);
  }
  template <typename Row> static DEVICE_MEMBER float factor(const Row &row, u32 offset) { return row.half(offset, 0); }
};
struct Q5_0 {
  enum : u32 { Bytes = 22, HasMinimum = 0 };
  static constexpr float Unit = 1.0f / 8;
  template <typename Row> static DEVICE_MEMBER void quants(const Row &row, u32 offset, u32 t, u32 &low, u32 &high) {
    const u32 fifth = row.common(offset + 2) >> (4 * t), word = row.word(offset + 6);
    low = (((word << 3) & 0x78787878) | spreadBits(fifth) << 7) ^ EachTop;
    high = (((word >> 1) & 0x78787878) | spreadBits(fifth >> 16) << 7) ^ EachTop;
  }
  template <typename Row> static DEVICE_MEMBER float factor(const Row &row, u32 offset) { return row.half(offset, 0); }
};
struct Q5_1 {
  enum : u32 { Bytes = 24, HasMinimum = 1 };
  static constexpr float Unit = 1;
  template <typename Row> static DEVICE_MEMBER void quants(const Row &row, u32 offset, u32 t, u32 &low, u32 &high) {
    const u32 fifth = row.common(offset + 4) >> (4 * t), word = row.word(offset + 8);
    low = (word & LowNibbles) | spreadBits(fifth) << 4;
    high = ((word >> 4) & LowNibbles) | spreadBits(fifth >> 16) << 4;
  }
  template <typename Row> static DEVICE_MEMBER float factor(const Row &row, u32 offset) { return row.half(offset, 0); }
};
struct Q8_0 {
  enum : u32 { Bytes = 34, HasMinimum = 0 };
  static constexpr float Unit = 1;
  template <typename Row> static DEVICE_MEMBER void quants(const Row &row, u32 offset, u32, u32 &low, u32 &high) {
    low = row.word(offset + 2);
    high = row.word(offset + 18);
  }
  template <typename Row> static DEVICE_MEMBER float factor(const Row &row, u32 offset) { return row.half(offset, 0); }
};
struct IQ4_NL {
  enum : u32 { Bytes = 18, HasMinimum = 0 };
  static constexpr float Unit = 1;
  template <typename Row> static DEVICE_MEMBER void quants(const Row &row, u32 offset, u32, u32 &low, u32 &high) {
    lookUpNibbles(row.word(offset + 2), UNEVEN_STEPS, low, high);
  }
  template <typename Row> static DEVICE_MEMBER float factor(const Row &row, u32 offset) { return row.half(offset, 0); }
};
struct MXFP4 {
  enum : u32 { Bytes = 17, HasMinimum = 0 };
  static constexpr float Unit = 0.5f;
  template <typename Row> static DEVICE_MEMBER void quants(const Row &row, u32 offset, u32, u32 &low, u32 &high) {
    lookUpNibbles(row.word(offset + 1), MXFP4_TWICE, low, high);
  }
  template <typename Row> static DEVICE_MEMBER float factor(const Row &row, u32 offset) {
    const u32 exponent = row.byte(offset);
    return floatOf(exponent == 0 ? 1u << 22 : exponent << 23);
  }
};

/** A slice of eight blocks. */
template <typename Block> struct Blocks {
  typedef FixedActivations<Block::HasMinimum> Activations;
  enum : u32 { Bytes = 8 * Block::Bytes };
  static constexpr float Unit = Block::Unit;

  template <typename Row> static DEVICE_MEMBER void accumulate(const Row &row, const FixedColumns &x, u32 t, MatvecSums &sums) {
    float products = 0;
    UNROLL for (u32 pair = 0; pair < 4; pair++) {
      const u32 first = 2 * pair * Block::Bytes, second = first + Block::Bytes;
      u32 a[4];
      Block::quants(row, first, t, a[0], a[2]);
      Block::quants(row, second, t, a[1], a[3]);
      const TwoSums two = multiplyPair(x, pair, a);
      products = multiplyAdd((float)two.first, Block::factor(row, first), products);
      products = multiplyAdd((float)two.second, Block::factor(row, second), products);
    }
    sums.products = multiplyAdd(products, x.scale(), sums.products);
    if (!Block::HasMinimum) return;
    UNROLL for (u32 i = 0; i < 2; i++) { // lane t has the minima of two blocks
      const float minimum = row.half(4 * i * Block::Bytes + 2, t * Block::Bytes);
      sums.others = multiplyAdd(minimum, x.sum32(4 * i + t), sums.others);
    }
  }
};

// ---- blocks of 256 -----------------------------------------------------------------------------------------------------

/*
 * Scales of sub-blocks are whole numbers, too: a plane's sum over a block is one that 32 bits have room for, as 32 products of 8
 * bits by 8 with signs, by eight scales of 6 bits, or 16 by sixteen of 8, are less than 2^30.
 */
DEVICE i32 byteOf(u32 word, u32 i) { return (i32)permuteBytes(word, 0, 0x4440 | i); }
DEVICE i32 signedByteOf(u32 word, u32 i) { return (i32)permuteBytes(word, 0, 0x1110 * (8 | i) | i); }

/** Scales and minima of eight sub-blocks of 32, six bits each (shaders/blocks.h), in words of four. */
struct SixBits {
  u32 scales[2], minima[2];
};
DEVICE SixBits sixBits(u32 a, u32 b, u32 c) {
  return {{a & 0x3f3f3f3f, (c & LowNibbles) | ((a >> 2) & 0x30303030)},
          {b & 0x3f3f3f3f, ((c >> 4) & LowNibbles) | ((b >> 2) & 0x30303030)}};
}

/** Q4_K and Q5_K. */
template <bool HasFifth> struct SuperblocksOf32 {
  typedef FixedActivations<true> Activations;
  enum : u32 { Bytes = HasFifth ? 176 : 144, High = 16, Quants = HasFifth ? 48 : 16 };
  static constexpr float Unit = 1;

  template <typename Row> static DEVICE_MEMBER void accumulate(const Row &row, const FixedColumns &x, u32 t, MatvecSums &sums) {
    const u32x4 head = row.first16();
    const SixBits bits = sixBits(head.y, head.z, head.w);
    const u32 fifth[2] = {HasFifth ? row.word(High) : 0, HasFifth ? row.word(High + 16) : 0};
    i32 low = 0, high = 0; // of low and of high nibbles; in Q4_K these stay where they are, 16 times as much
    UNROLL for (u32 pair = 0; pair < 4; pair++) {
      u32 a[4];
      UNROLL for (u32 i = 0; i < 2; i++) {
        const u32 word = row.word(Quants + 32 * pair + 16 * i);
        a[2 * i] = word & LowNibbles;
        a[2 * i + 1] = word & HighNibbles;
        if (!HasFifth) continue;
        a[2 * i] |= (pair < 2 ? fifth[i] << (4 - 2 * pair) : fifth[i] >> (2 * pair - 4)) & 0x10101010;
        a[2 * i + 1] = a[2 * i + 1] >> 4 | ((pair < 2 ? fifth[i] << (3 - 2 * pair) : fifth[i] >> (2 * pair - 3)) & 0x10101010);
      }
      const TwoSums two = multiplyPair<true>(x, pair, a);
      low += two.first * byteOf(bits.scales[pair / 2], pair % 2 * 2);
      high += two.second * byteOf(bits.scales[pair / 2], pair % 2 * 2 + 1);
    }
    const f32x2 factors = halvesToFloats(head.x);
    const float products = (float)(HasFifth ? low + high : 16 * low + high) * (HasFifth ? 1.0f : 1.0f / 16);
    sums.products = multiplyAdd(products * x.scale(), factors.x, sums.products);
    const float minima = multiplyAdd((float)byteOf(bits.minima[0], t), x.sum32(t), (float)byteOf(bits.minima[1], t) * x.sum32(4 + t));
    sums.others = multiplyAdd(minima, -factors.y, sums.others);
  }
};

struct IQ4_XS {
  typedef FixedActivations<false> Activations;
  enum : u32 { Bytes = 136 };
  static constexpr float Unit = 1;

  template <typename Row> static DEVICE_MEMBER void accumulate(const Row &row, const FixedColumns &x, u32, MatvecSums &sums) {
    const u32 first = row.common(0), high = first >> 16, low = row.common(4);
    i32 products = 0;
    UNROLL for (u32 pair = 0; pair < 4; pair++) {
      u32 a[4];
      lookUpNibbles(row.word(8 + 32 * pair), UNEVEN_STEPS, a[0], a[2]);
      lookUpNibbles(row.word(24 + 32 * pair), UNEVEN_STEPS, a[1], a[3]);
      const i32 scales[2] = {(i32)((low >> (8 * pair) & 15) | (high >> (4 * pair) & 3) << 4) - 32,
                             (i32)((low >> (8 * pair + 4) & 15) | (high >> (4 * pair + 2) & 3) << 4) - 32};
      const TwoSums two = multiplyPair(x, pair, a);
      products += two.first * scales[0] + two.second * scales[1];
    }
    sums.products = multiplyAdd((float)products * x.scale(), halfToFloat((u16)first), sums.products);
  }
};

struct Q2_K {
  typedef FixedActivations<true> Activations;
  enum : u32 { Bytes = 84, Quants = 16, Factors = 80 };
  static constexpr float Unit = 1;

  template <typename Row> static DEVICE_MEMBER void accumulate(const Row &row, const FixedColumns &x, u32 t, MatvecSums &sums) {
    const u32 both[4] = {row.common(0), row.common(4), row.common(8), row.common(12)};
    i32 products = 0;
    UNROLL for (u32 part = 0; part < 2; part++) { // of 128 elements
      const u32 first = row.word(Quants + 32 * part), second = row.word(Quants + 32 * part + 16);
      UNROLL for (u32 i = 0; i < 4; i++) {
        const u32 block = 4 * part + i, scales = both[block / 2] & LowNibbles;
        const TwoSums two = multiplyHalves(x, block, (first >> (2 * i)) & 0x03030303, (second >> (2 * i)) & 0x03030303);
        products += two.first * byteOf(scales, block % 2 * 2) + two.second * byteOf(scales, block % 2 * 2 + 1);
      }
    }
    const f32x2 factors = halvesToFloats(row.common(Factors));
    sums.products = multiplyAdd((float)products * x.scale(), factors.x, sums.products);
    const u32 minima = (row.word(0) >> 4) & LowNibbles; // lane t: of four sub-blocks
    float others = 0;
    UNROLL for (u32 i = 0; i < 4; i++) others = multiplyAdd((float)byteOf(minima, i), x.sum16(4 * t + i), others);
    sums.others = multiplyAdd(others, -factors.y, sums.others);
  }
};

struct Q3_K {
  typedef FixedActivations<false> Activations;
  enum : u32 { Bytes = 110, Quants = 32, Scales = 96, Factor = 108 };
  static constexpr float Unit = 1.0f / 32;

  template <typename Row> static DEVICE_MEMBER void accumulate(const Row &row, const FixedColumns &x, u32, MatvecSums &sums) {
    const u32 low0 = row.common(Scales), low1 = row.common(Scales + 4), top = row.common(Scales + 8);
    const u32 scales[4] = {(low0 & LowNibbles) | ((top << 4) & 0x30303030), (low1 & LowNibbles) | ((top << 2) & 0x30303030),
                           ((low0 >> 4) & LowNibbles) | (top & 0x30303030),
                           ((low1 >> 4) & LowNibbles) | ((top >> 2) & 0x30303030)};
    const u32 thirds[2] = {row.word(0), row.word(16)};
    i32 products = 0;
    UNROLL for (u32 part = 0; part < 2; part++) {
      const u32 quants[2] = {row.word(Quants + 32 * part), row.word(Quants + 32 * part + 16)};
      UNROLL for (u32 i = 0; i < 4; i++) {
        const u32 block = 4 * part + i;
        u32 a[2];
        UNROLL for (u32 h = 0; h < 2; h++) // 32 (q - 4)
          a[h] = (((quants[h] >> (2 * i) << 5) & 0x60606060) | ((thirds[h] >> block << 7) & EachTop)) ^ EachTop;
        const TwoSums two = multiplyHalves(x, block, a[0], a[1]);
        products += two.first * (byteOf(scales[block / 2], block % 2 * 2) - 32);
        products += two.second * (byteOf(scales[block / 2], block % 2 * 2 + 1) - 32);
      }
    }
    sums.products = multiplyAdd((float)products * x.scale(), row.half(Factor, 0), sums.products);
  }
};

struct Q6_K {
  typedef FixedActivations<false> Activations;
  enum : u32 { Bytes = 210, High = 128, Scales = 192, Factor = 208 };
  static constexpr float Unit = 1.0f / 4;

  /** 4 (q - 32) of block i of four, from the words of their low and of their high bits. */
  static DEVICE_MEMBER u32 quants(u32 low, u32 high, u32 i) {
    const u32 four = (i < 2 ? low << 2 : low >> 2) & 0x3c3c3c3c;
    return four | (((high << (6 - 2 * i)) & 0xc0c0c0c0) ^ EachTop);
  }
  template <typename Row> static DEVICE_MEMBER void accumulate(const Row &row, const FixedColumns &x, u32, MatvecSums &sums) {
    i32 products = 0;
    UNROLL for (u32 part = 0; part < 2; part++) {
      const u32 high[2] = {row.word(High + 32 * part), row.word(High + 32 * part + 16)};
      const u32 scales[2] = {row.common(Scales + 8 * part), row.common(Scales + 8 * part + 4)};
      u32 low[4];
      UNROLL for (u32 i = 0; i < 4; i++) low[i] = row.word(64 * part + 16 * i);
      UNROLL for (u32 i = 0; i < 4; i++) {
        const TwoSums two = multiplyHalves(x, 4 * part + i, quants(low[i % 2 * 2], high[0], i), quants(low[i % 2 * 2 + 1], high[1], i));
        products += two.first * signedByteOf(scales[i / 2], i % 2 * 2) + two.second * signedByteOf(scales[i / 2], i % 2 * 2 + 1);
      }
    }
    sums.products = multiplyAdd((float)products * x.scale(), row.half(Factor, 0), sums.products);
  }
};

// ---- types without blocks ------------------------------------------------------------------------------------------------

/** Step c of a row: 16 bytes of each lane. Where rows begin at multiples of 16, each other one has its odd steps before its even
 * ones (MatvecCopier::place): lanes then read from all banks. */
template <bool IsAligned> DEVICE u32x4 rowWords(const WeightRow<IsAligned> &row, u32 step, u32 g) {
  if (IsAligned) return *(const u32x4 *)(row.arena + row.row + 64 * (step ^ (g & 1)) + 4 * row.lane);
  const u32 begin = row.row + 4 * row.lane, shift = 8 * (begin % 4);
  const u32 *words = (const u32 *)(row.arena + begin / 4 * 4) + 16 * step;
  return u32x4{funnelShift(words[0], words[1], shift), funnelShift(words[1], words[2], shift),
               funnelShift(words[2], words[3], shift), funnelShift(words[3], words[4], shift)};
}

/** F16 and BF16. */
template <bool IsBfloat> struct Halves {
  typedef SplitActivations<IsBfloat> Activations;
  enum : u32 { Bytes = 256 };
  static constexpr float Unit = 1;

  template <typename Row> static DEVICE_MEMBER void accumulate(const Row &row, const FixedColumns &x, u32 t, MatvecSums &sums) {
    const u32 g = laneIndex() / 4, plane = g / 2 < Activations::Planes ? g / 2 : Activations::Planes - 1;
    const u8 *columns = x.record + (g % 2 * Activations::Planes + plane) * Activations::Plane + 8 * t;
    float d[4] = {0, 0, 0, 0};
    UNROLL for (u32 step = 0; step < 4; step++) {
      const u32x4 words = rowWords(row, step, g);
      const u32x2 column = *(const u32x2 *)(columns + step * Activations::Step);
      const u32 a[4] = {words.x, words.z, words.y, words.w}, b[2] = {column.x, column.y};
      if (IsBfloat) mmaBF16(d, a, b);
      else mmaF16(d, a, b);
    }
    const float sum = t < Activations::Planes ? d[0] + d[3] : 0;
    sums.others = multiplyAdd(sum, *(const float *)(x.record + Activations::Scale), sums.others);
  }
};

struct F32 {
  typedef FloatActivations Activations;
  enum : u32 { Bytes = 256 };
  static constexpr float Unit = 1;

  template <typename Row> static DEVICE_MEMBER void accumulate(const Row &row, const FixedColumns &x, u32 t, MatvecSums &sums) {
    UNROLL for (u32 step = 0; step < 4; step++) {
      const u32x4 words = rowWords(row, step, laneIndex() / 4);
      const f32x4 values = *(const f32x4 *)(x.record + 64 * step + 16 * t);
      sums.others = multiplyAdd(floatOf(words.x), values.x, sums.others);
      sums.others = multiplyAdd(floatOf(words.y), values.y, sums.others);
      sums.others = multiplyAdd(floatOf(words.z), values.z, sums.others);
      sums.others = multiplyAdd(floatOf(words.w), values.w, sums.others);
    }
  }
};

/** Weights_NAME */
typedef F32 Weights_f32;
typedef Halves<false> Weights_f16;
typedef Halves<true> Weights_bf16;
typedef Blocks<Q4_0> Weights_q4_0;
typedef Blocks<Q4_1> Weights_q4_1;
typedef Blocks<Q5_0> Weights_q5_0;
typedef Blocks<Q5_1> Weights_q5_1;
typedef Blocks<Q8_0> Weights_q8_0;
typedef Q2_K Weights_q2_k;
typedef Q3_K Weights_q3_k;
typedef SuperblocksOf32<false> Weights_q4_k;
typedef SuperblocksOf32<true> Weights_q5_k;
typedef Q6_K Weights_q6_k;
typedef Blocks<IQ4_NL> Weights_iq4_nl;
typedef IQ4_XS Weights_iq4_xs;
typedef Blocks<MXFP4> Weights_mxfp4;

#endif

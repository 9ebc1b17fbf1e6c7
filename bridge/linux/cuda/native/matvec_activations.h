/*
 * matvec_activations.h: x, or x times the weights of a norm, as tensor cores take it.
 *
 * For quantised weights, x in fixed point: of 256 elements, x = s (2^16 b2 + 2^8 b1 + b0) with bytes that have signs and a power of
 * two s, such that the largest number has 22 bits: what is lost is 2^-23 of it at most, as much as sums of floats lose. The three
 * bytes are three columns of a matrix. For halves, x = s (h + l) with two halves, and for bfloats three, which lose as little.
 *
 * A product of 16 rows by 8 columns does the 8 rows of a tile twice: rows 0 to 7 are a set of elements, with even columns, rows 8
 * to 15 another one, with odd columns; the other sums are not used. Columns 2 t and 2 t + 1 are plane t of x, from the highest on;
 * those behind the last plane are repetitions. So lane 4 g + t has row g's two sums of plane t, and planes are put together last.
 */
#ifndef BUN_METAL_CUDA_NATIVE_MATVEC_ACTIVATIONS_H
#define BUN_METAL_CUDA_NATIVE_MATVEC_ACTIVATIONS_H

#include "intrinsics.h"
#include "matvec.h"

struct MatvecInput {
  const float *x, *norm; // norm: NULL, or as many weights
  u32 k;
};

/** What a lane has of a slice: x, and the weights of the norm, or ones. Behind the end of the row x is 0. */
template <u32 Count> struct MatvecValues {
  float x[Count], norm[Count];
};

/** Elements i to i + 3. Rows are aligned to 16 bytes, and k is a multiple of 4, unless they may be `IsAny`. All is asked for before any
 * of it is used: so there are no branches. */
template <bool IsAny> DEVICE void loadActivations(const MatvecInput &input, u32 i, float *x, float *norm) {
  if (IsAny) {
    UNROLL for (u32 j = 0; j < 4; j++) {
      x[j] = i + j < input.k ? input.x[i + j] : 0;
      norm[j] = input.norm && i + j < input.k ? input.norm[i + j] : 1;
    }
    return;
  }
  f32x4 four = {0, 0, 0, 0}, weights = {1, 1, 1, 1};
  if (i < input.k) four = *(const f32x4 *)(input.x + i);
  if (i < input.k && input.norm) weights = *(const f32x4 *)(input.norm + i);
  UNROLL for (u32 j = 0; j < 4; j++) x[j] = four[j], norm[j] = weights[j];
}

/** Adds the squares, and multiplies by the norm's weights. */
template <u32 Count> DEVICE void normalise(MatvecValues<Count> &values, float &squares) {
  UNROLL for (u32 j = 0; j < Count; j++) {
    squares = multiplyAdd(values.x[j], values.x[j], squares);
    values.x[j] *= values.norm[j];
  }
}

/** Bits of the largest magnitude: they are in the order of the numbers, and those of what is not finite are the largest. */
template <u32 Count> DEVICE u32 largestBits(const float (&values)[Count]) {
  u32 most = 0;
  UNROLL for (u32 j = 0; j < Count; j++) most = maximum(most, bitsOf(values[j]) & 0x7fffffff);
  return most;
}

/** A power of two, which makes numbers of such a magnitude 2^exponent .. 2^(exponent + 1), and its inverse; where there is a NaN or
 * an infinity, 0 and NaN. Below 2^-95 numbers are as good as 0. */
struct PowerOfTwo {
  float factor, inverse;
};
DEVICE PowerOfTwo powerFor(u32 largest, u32 exponent) {
  const u32 biased = maximum(largest >> 23, 32u);
  if (biased == 255) return {0, floatOf(0x7fc00000)};
  return {floatOf((254 + exponent - biased) << 23), floatOf((biased - exponent) << 23)};
}

/** Four numbers of 22 bits, as words of their highest, middle and lowest bytes. To add 1.5 x 2^23 rounds a number below 2^22 to a
 * whole one, which is what the bits are more than that number's. */
DEVICE void splitFixed(const float *values, float factor, u32 (&planes)[3], i32 &sum) {
  constexpr u32 rounding = 0x4b400000;
  u32 digits[4];
  UNROLL for (u32 j = 0; j < 4; j++) {
    const u32 q = bitsOf(multiplyAdd(values[j], factor, floatOf(rounding))) - rounding;
    sum += (i32)q;
    digits[j] = (q + 0x808080) ^ 0x808080; // 128 more in each byte: what carries is right, and the bytes have signs again
  }
  const u32 low01 = permuteBytes(digits[0], digits[1], 0x5140), low23 = permuteBytes(digits[2], digits[3], 0x5140);
  planes[2] = permuteBytes(low01, low23, 0x5410);
  planes[1] = permuteBytes(low01, low23, 0x7632);
  planes[0] = permuteBytes(permuteBytes(digits[0], digits[1], 0x0062), permuteBytes(digits[2], digits[3], 0x0062), 0x5410);
}

enum : u32 { FixedPlane = 32, FixedPair = 6 * FixedPlane, FixedScale = 768, FixedSums = 784, FixedExponent = 21 };

/**
 * Makes a slice of 256 elements; lane 4 b + t has elements 4 t .. and 16 + 4 t .. of block b.
 * Of blocks 2 p and 2 p + 1, the planes of the first come before those of the second; in a plane, 8 bytes are those of a lane
 * t. Then come the scale, and, where they are wanted, the sums of each 16 elements.
 */
template <bool HasSums> struct FixedActivations {
  enum : u32 { Elements = 256, Record = HasSums ? MatvecSummedRecord : MatvecFixedRecord };
  typedef MatvecValues<8> Values;

  template <bool> static DEVICE_MEMBER void load(const MatvecInput &input, u32 slice, u32 lane, Values &values) {
    const u32 first = slice * Elements + 32 * (lane / 4) + 4 * (lane % 4);
    loadActivations<false>(input, first, values.x, values.norm);
    loadActivations<false>(input, first + 16, values.x + 4, values.norm + 4);
  }
  static DEVICE_MEMBER void make(const float (&values)[8], u8 *record, u32 lane, bool) {
    const u32 block = lane / 4, t = lane % 4;
    const PowerOfTwo power = powerFor(maximumWarp(largestBits(values)), FixedExponent);
    u32 low[3], high[3];
    i32 sums[2] = {0, 0};
    splitFixed(values, power.factor, low, sums[0]);
    splitFixed(values + 4, power.factor, high, sums[1]);
    u8 *planes = record + block / 2 * FixedPair + block % 2 * 3 * FixedPlane + 8 * t;
    UNROLL for (u32 plane = 0; plane < 3; plane++) *(u32x2 *)(planes + plane * FixedPlane) = u32x2{low[plane], high[plane]};
    if (lane == 0) *(float *)(record + FixedScale) = power.inverse;
    if (!HasSums) return;
    UNROLL for (u32 half = 0; half < 2; half++) {
      sums[half] += shuffleXor(sums[half], 1);
      sums[half] += shuffleXor(sums[half], 2);
    }
    if (t == 0) *(f32x2 *)(record + FixedSums + 8 * block) = f32x2{(float)sums[0] * power.inverse, (float)sums[1] * power.inverse};
  }
};

/** The next part of numbers: rounded, and taken off. */
DEVICE u32 splitPair(float *values, bool isBfloat) {
  const u32 pair = isBfloat ? floatsToBfloats(values[0], values[1]) : floatsToHalves(values[0], values[1]);
  const f32x2 rounded = isBfloat ? bfloatsToFloats(pair) : halvesToFloats(pair);
  values[0] -= rounded.x, values[1] -= rounded.y;
  return pair;
}

/**
 * Makes a slice of 128 elements; a warp makes two at once, lane 16 h + 4 c + t elements 32 c + 8 t .. of the h-th one. Of each 32
 * elements, the planes of elements 8 t .. 8 t + 3 come before those of elements 8 t + 4 .. 8 t + 7. Then comes the scale.
 */
template <bool IsBfloat> struct SplitActivations {
  enum : u32 { Elements = 128, Record = IsBfloat ? MatvecBfloatRecord : MatvecHalfRecord, Planes = IsBfloat ? 3 : 2 };
  enum : u32 { Plane = 32, Step = 2 * Planes * Plane, Scale = 4 * Step };

  typedef MatvecValues<8> Values;

  template <bool IsAny> static DEVICE_MEMBER void load(const MatvecInput &input, u32 slice, u32 lane, Values &values) {
    const u32 first = slice * Elements + 8 * (lane % 16);
    loadActivations<IsAny>(input, first, values.x, values.norm);
    loadActivations<IsAny>(input, first + 4, values.x + 4, values.norm + 4);
  }
  static DEVICE_MEMBER void make(float (&values)[8], u8 *record, u32 lane, bool exists) {
    const u32 step = lane % 16 / 4, t = lane % 4;
    u32 largest = largestBits(values);
    UNROLL for (u32 mask = 1; mask < 16; mask *= 2) largest = maximum(largest, shuffleXor(largest, mask));
    const PowerOfTwo power = powerFor(largest, 12);
    UNROLL for (u32 j = 0; j < 8; j++) values[j] = power.factor == 0 ? 0 : values[j] * power.factor;
    if (!exists) return;
    u8 *planes = record + step * Step + 8 * t;
    UNROLL for (u32 plane = 0; plane < Planes; plane++) {
      UNROLL for (u32 set = 0; set < 2; set++) {
        const u32 first = splitPair(values + 4 * set, IsBfloat), second = splitPair(values + 4 * set + 2, IsBfloat);
        *(u32x2 *)(planes + (set * Planes + plane) * Plane) = u32x2{first, second};
      }
    }
    if (lane % 16 == 0) *(float *)(record + Scale) = power.inverse;
  }
};

/** Makes a slice of 64 elements as they are; a warp makes two at once. */
struct FloatActivations {
  enum : u32 { Elements = 64, Record = MatvecFloatRecord };

  typedef MatvecValues<4> Values;

  template <bool IsAny> static DEVICE_MEMBER void load(const MatvecInput &input, u32 slice, u32 lane, Values &values) {
    loadActivations<IsAny>(input, slice * Elements + 4 * (lane % 16), values.x, values.norm);
  }
  static DEVICE_MEMBER void make(const float (&values)[4], u8 *record, u32 lane, bool exists) {
    if (exists) *(f32x4 *)(record + 16 * (lane % 16)) = f32x4{values[0], values[1], values[2], values[3]};
  }
};

/** Makes all slices, those of a warp as far apart as there are warps; the next is asked for before one is made. */
template <typename Activations, bool IsAny>
DEVICE void makeActivations(const MatvecInput &input, u32 slices, u8 *records, u32 warp, u32 warps, u32 lane, float &squares) {
  constexpr u32 atOnce = Activations::Elements == 256 ? 1 : 2;
  u32 slice = warp * atOnce + lane / (32 / atOnce);
  typename Activations::Values values;
  Activations::template load<IsAny>(input, slice, lane, values);
  ROLLED for (u32 first = warp * atOnce; first < slices; first += warps * atOnce) {
    const u32 following = slice + warps * atOnce;
    typename Activations::Values next;
    Activations::template load<IsAny>(input, following, lane, next);
    normalise(values, squares);
    Activations::make(values.x, records + slice * Activations::Record, lane, slice < slices);
    values = next;
    slice = following;
  }
}

#endif

/* matrices.cc: numbers of 16 bits, and matrices that warps load and multiply; see simulator.h. */
#include "run.h"

/* ---- half and bfloat ---------------------------------------------------------------------------------------------------------- */

float simulatedHalfToFloat(u16 h) {
  const u32 sign = (u32)(h >> 15) << 31, exponent = h >> 10 & 31, fraction = h & 1023;
  if (exponent == 0) return floatOf(sign | bitsOf((float)fraction * 0x1p-24f));
  return floatOf(sign | (exponent == 31 ? 255 : exponent + 112) << 23 | fraction << 13);
}

/* A number of so many bits of exponent and fraction, rounded to the nearest, ties to even. */
static u16 narrow(double d, int fractionBits, int bias) {
  const u32 sign = signbit(d) ? 0x8000 : 0, infinity = (u32)(2 * bias + 1) << fractionBits;
  if (d != d) return (u16)0x7fff;
  d = fabs(d);
  if (d == 0 || d == INFINITY) return (u16)(sign | (d == 0 ? 0 : infinity));
  int exponent = 0;
  frexp(d, &exponent);
  exponent--; /* d is in [2^exponent, 2^(exponent + 1)) */
  if (exponent < 1 - bias) exponent = 1 - bias;
  const double units = rint(ldexp(d, fractionBits - exponent));
  /* A fraction that was rounded up to the next power adds one to the exponent by itself. */
  const u64 bits = ((u64)(exponent + bias - 1) << fractionBits) + (u64)units;
  return (u16)(sign | (bits >= infinity ? infinity : (u32)bits));
}
u16 simulatedHalf(double d) { return narrow(d, 10, 15); }
u16 simulatedBfloat(double d) { return narrow(d, 7, 127); }

/* ---- matrices ------------------------------------------------------------------------------------------------------------------- */

struct MatrixLoad {
  const void *row;
  u32 *r;
  u32 count;
  bool transposed;
};

static void loadMatrices(void **lanes) {
  const MatrixLoad *loads[32];
  for (u32 l = 0; l < 32; l++) loads[l] = (const MatrixLoad *)lanes[l];
  for (u32 m = 0; m < loads[0]->count; m++) {
    u16 matrix[8][8];
    for (u32 row = 0; row < 8; row++) memcpy(matrix[row], loads[8 * m + row]->row, sizeof matrix[row]);
    for (u32 l = 0; l < 32; l++) {
      const u32 major = l / 4, minor = 2 * (l % 4);
      loads[l]->r[m] = loads[0]->transposed ? matrix[minor][major] | (u32)matrix[minor + 1][major] << 16
                                            : matrix[major][minor] | (u32)matrix[major][minor + 1] << 16;
    }
  }
}

void simulatedLoadMatrix(u32 *r, const void *shared, u32 count, bool transposed) {
  if (simulatedPlace()->thread % 32 < 8 * count) simulatedShared("a row of a matrix", shared, 16, 16);
  MatrixLoad mine = {shared, r, count, transposed};
  simulatedCollective(count == 2 ? "loadMatrix2" : transposed ? "loadMatrix4Transposed" : "loadMatrix4", loadMatrices, &mine);
}

struct Product {
  const u32 *a, *b;
  void *d;
  SimulatedBytes kind;
  bool isBfloat;
};

/* Adds a b to what the lanes have of d, of type T, by sums of type Sum. */
template <typename T, typename Sum, u32 depth, typename Factor>
static void accumulate(void **lanes, const Factor (&a)[16][depth], const Factor (&b)[depth][8]) {
  Sum d[16][8];
  for (u32 l = 0; l < 32; l++)
    for (u32 i = 0; i < 4; i++) d[l / 4 + (i & 2 ? 8 : 0)][2 * (l % 4) + (i & 1)] = (Sum)((T *)((Product *)lanes[l])->d)[i];
  for (u32 row = 0; row < 16; row++)
    for (u32 k = 0; k < depth; k++)
      for (u32 column = 0; column < 8; column++) d[row][column] += (Sum)(a[row][k] * b[k][column]);
  for (u32 l = 0; l < 32; l++)
    for (u32 i = 0; i < 4; i++) ((T *)((Product *)lanes[l])->d)[i] = (T)d[l / 4 + (i & 2 ? 8 : 0)][2 * (l % 4) + (i & 1)];
}

static i32 byteOf(u32 word, u32 k, bool isUnsigned) { return isUnsigned ? (i32)(u8)(word >> (8 * k)) : (i32)(i8)(word >> (8 * k)); }

static void multiplyBytes(void **lanes) {
  const SimulatedBytes kind = ((Product *)lanes[0])->kind;
  i32 a[16][32], b[32][8];
  for (u32 l = 0; l < 32; l++) {
    const Product *p = (Product *)lanes[l];
    const u32 g = l / 4, t = l % 4;
    for (u32 k = 0; k < 4; k++) {
      a[g][4 * t + k] = byteOf(p->a[0], k, kind == SimulatedU8S8);
      a[g + 8][4 * t + k] = byteOf(p->a[1], k, kind == SimulatedU8S8);
      a[g][16 + 4 * t + k] = byteOf(p->a[2], k, kind == SimulatedU8S8);
      a[g + 8][16 + 4 * t + k] = byteOf(p->a[3], k, kind == SimulatedU8S8);
      b[4 * t + k][g] = byteOf(p->b[0], k, kind == SimulatedS8U8);
      b[16 + 4 * t + k][g] = byteOf(p->b[1], k, kind == SimulatedS8U8);
    }
  }
  accumulate<i32, u32, 32>(lanes, a, b); /* sums wrap */
}

void simulatedMmaBytes(i32 *d, const u32 *a, const u32 *b, SimulatedBytes kind) {
  Product mine = {a, b, d, kind, false};
  simulatedCollective(kind == SimulatedS8S8 ? "mmaS8" : kind == SimulatedU8S8 ? "mmaU8S8" : "mmaS8U8", multiplyBytes, &mine);
}

static double floatAt(u32 word, u32 k, bool isBfloat) {
  const u16 bits = (u16)(word >> (16 * k));
  return (double)(isBfloat ? bfloatToFloat(bits) : simulatedHalfToFloat(bits));
}

static void multiplyFloats(void **lanes) {
  const bool isBfloat = ((Product *)lanes[0])->isBfloat;
  double a[16][16], b[16][8];
  for (u32 l = 0; l < 32; l++) {
    const Product *p = (Product *)lanes[l];
    const u32 g = l / 4, t = l % 4;
    for (u32 k = 0; k < 2; k++) {
      a[g][2 * t + k] = floatAt(p->a[0], k, isBfloat);
      a[g + 8][2 * t + k] = floatAt(p->a[1], k, isBfloat);
      a[g][8 + 2 * t + k] = floatAt(p->a[2], k, isBfloat);
      a[g + 8][8 + 2 * t + k] = floatAt(p->a[3], k, isBfloat);
      b[2 * t + k][g] = floatAt(p->b[0], k, isBfloat);
      b[8 + 2 * t + k][g] = floatAt(p->b[1], k, isBfloat);
    }
  }
  accumulate<float, double, 16>(lanes, a, b);
}

void simulatedMmaFloats(float *d, const u32 *a, const u32 *b, bool isBfloat) {
  Product mine = {a, b, d, SimulatedS8S8, isBfloat};
  simulatedCollective(isBfloat ? "mmaBF16" : "mmaF16", multiplyFloats, &mine);
}

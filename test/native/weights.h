/*
 * weights.h: the types of weights of GGUF files, for tests: what a block means, in double precision and element by
 * element, as shaders/blocks.h describes it; and random ones.
 */
#ifndef TEST_NATIVE_WEIGHTS_H
#define TEST_NATIVE_WEIGHTS_H

#include <math.h>
#include <stdint.h>
#include <string.h>

typedef struct WeightType {
  const char *name;
  uint32_t elements, bytes; /* of a block */
  double (*element)(const uint8_t *block, uint32_t i);
  int halves[2]; /* where half floats are, -1 for none */
  int exponent;  /* where an exponent of two is, -1 for none */
} WeightType;

static inline double halfAt(const uint8_t *at) {
  const uint32_t bits = (uint32_t)(at[0] | at[1] << 8), exponent = bits >> 10 & 31, fraction = bits & 1023;
  const double magnitude = exponent == 31 ? (fraction ? NAN : INFINITY)
                           : exponent     ? ldexp(1024 + fraction, (int)exponent - 25)
                                          : ldexp(fraction, -24);
  return bits >> 15 ? -magnitude : magnitude;
}
static inline double floatOfBits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return (double)value;
}
static inline int nibbleAt(const uint8_t *bytes, uint32_t i) { return bytes[i % 16] >> (i < 16 ? 0 : 4) & 15; }
static inline int bitAt(const uint8_t *bytes, uint32_t i) { return bytes[i / 8] >> (i % 8) & 1; }

static inline double elementF32(const uint8_t *b, uint32_t i) {
  (void)i;
  return floatOfBits((uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24);
}
static inline double elementF16(const uint8_t *b, uint32_t i) { (void)i; return halfAt(b); }
static inline double elementBF16(const uint8_t *b, uint32_t i) {
  (void)i;
  return floatOfBits((uint32_t)b[0] << 16 | (uint32_t)b[1] << 24);
}
static inline double elementQ4_0(const uint8_t *b, uint32_t i) { return halfAt(b) * (nibbleAt(b + 2, i) - 8); }
static inline double elementQ4_1(const uint8_t *b, uint32_t i) { return halfAt(b) * nibbleAt(b + 4, i) + halfAt(b + 2); }
static inline double elementQ5_0(const uint8_t *b, uint32_t i) {
  return halfAt(b) * (nibbleAt(b + 6, i) + 16 * bitAt(b + 2, i) - 16);
}
static inline double elementQ5_1(const uint8_t *b, uint32_t i) {
  return halfAt(b) * (nibbleAt(b + 8, i) + 16 * bitAt(b + 4, i)) + halfAt(b + 2);
}
static inline double elementQ8_0(const uint8_t *b, uint32_t i) { return halfAt(b) * (int8_t)b[2 + i]; }

static inline int unevenStep(int q) {
  static const int steps[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
  return steps[q];
}
static inline double elementIQ4_NL(const uint8_t *b, uint32_t i) { return halfAt(b) * unevenStep(nibbleAt(b + 2, i)); }
static inline double elementMXFP4(const uint8_t *b, uint32_t i) {
  static const double numbers[8] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
  const int q = nibbleAt(b + 1, i);
  return ldexp(q & 8 ? -numbers[q & 7] : numbers[q & 7], b[0] - 127);
}

static inline double elementQ2_K(const uint8_t *b, uint32_t i) {
  const int s = b[i / 16], q = b[16 + i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
  return halfAt(b + 80) * (s & 15) * q - halfAt(b + 82) * (s >> 4);
}
static inline double elementQ3_K(const uint8_t *b, uint32_t i) {
  const uint32_t s = i / 16;
  const int low = b[96 + s % 8] >> (s / 8 * 4) & 15, high = b[104 + s % 4] >> (s / 4 * 2) & 3;
  const int q = (b[32 + i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3) + 4 * (b[i % 32] >> (i / 32) & 1);
  return halfAt(b + 108) * ((low | high << 4) - 32) * (q - 4);
}
static inline double sixBits(const uint8_t *b, uint32_t s, int isMinimum) {
  const uint8_t *p = b + 4;
  if (s < 4) return p[s + (isMinimum ? 4 : 0)] & 63;
  return isMinimum ? (p[s + 4] >> 4 | (p[s] >> 6) << 4) : ((p[s + 4] & 15) | (p[s - 4] >> 6) << 4);
}
static inline double elementQ4_K(const uint8_t *b, uint32_t i) {
  const int q = b[16 + i / 64 * 32 + i % 32] >> (i % 64 / 32 * 4) & 15;
  return halfAt(b) * sixBits(b, i / 32, 0) * q - halfAt(b + 2) * sixBits(b, i / 32, 1);
}
static inline double elementQ5_K(const uint8_t *b, uint32_t i) {
  const int q = (b[48 + i / 64 * 32 + i % 32] >> (i % 64 / 32 * 4) & 15) + 16 * (b[16 + i % 32] >> (i / 32) & 1);
  return halfAt(b) * sixBits(b, i / 32, 0) * q - halfAt(b + 2) * sixBits(b, i / 32, 1);
}
static inline double elementQ6_K(const uint8_t *b, uint32_t i) {
  const int low = b[i / 128 * 64 + i % 64] >> (i % 128 / 64 * 4) & 15;
  const int high = b[128 + i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
  return halfAt(b + 208) * (int8_t)b[192 + i / 16] * ((low | high << 4) - 32);
}
static inline double elementIQ4_XS(const uint8_t *b, uint32_t i) {
  const uint32_t s = i / 32;
  const int low = b[4 + s / 2] >> (s % 2 * 4) & 15, high = (b[2] | b[3] << 8) >> (2 * s) & 3;
  return halfAt(b) * ((low | high << 4) - 32) * unevenStep(nibbleAt(b + 8 + 16 * s, i % 32));
}

static const WeightType weightTypes[] = {
    {"f32", 1, 4, elementF32, {-1, -1}, -1},        {"f16", 1, 2, elementF16, {0, -1}, -1},
    {"bf16", 1, 2, elementBF16, {-1, -1}, -1},      {"q4_0", 32, 18, elementQ4_0, {0, -1}, -1},
    {"q4_1", 32, 20, elementQ4_1, {0, 2}, -1},      {"q5_0", 32, 22, elementQ5_0, {0, -1}, -1},
    {"q5_1", 32, 24, elementQ5_1, {0, 2}, -1},      {"q8_0", 32, 34, elementQ8_0, {0, -1}, -1},
    {"q2_k", 256, 84, elementQ2_K, {80, 82}, -1},   {"q3_k", 256, 110, elementQ3_K, {108, -1}, -1},
    {"q4_k", 256, 144, elementQ4_K, {0, 2}, -1},    {"q5_k", 256, 176, elementQ5_K, {0, 2}, -1},
    {"q6_k", 256, 210, elementQ6_K, {208, -1}, -1}, {"iq4_nl", 32, 18, elementIQ4_NL, {0, -1}, -1},
    {"iq4_xs", 256, 136, elementIQ4_XS, {0, -1}, -1}, {"mxfp4", 32, 17, elementMXFP4, {-1, -1}, 0},
};
enum { WeightTypes = sizeof weightTypes / sizeof *weightTypes };

/** NULL where there is none. */
static inline const WeightType *weightTypeNamed(const char *name) {
  for (uint32_t i = 0; i < WeightTypes; i++)
    if (__builtin_strcmp(weightTypes[i].name, name) == 0) return &weightTypes[i];
  return NULL;
}

/** xorshift64*: the same numbers everywhere. */
typedef struct Random {
  uint64_t state; /* not 0 */
} Random;
static inline uint32_t randomBits(Random *r) {
  r->state ^= r->state >> 12;
  r->state ^= r->state << 25;
  r->state ^= r->state >> 27;
  return (uint32_t)(r->state * 0x2545f4914f6cdd1du >> 32);
}
/** In -1 .. 1. */
static inline float randomFloat(Random *r) { return (float)(int32_t)randomBits(r) * 0x1p-31f; }

/** Random blocks, whose scales are 2^exponent .. 2^(exponent + 1) or the negative of that; half floats: -14 .. 15. */
static inline void randomWeights(const WeightType *type, uint8_t *bytes, uint64_t blocks, int exponent, Random *r) {
  for (uint64_t b = 0; b < blocks; b++, bytes += type->bytes) {
    for (uint32_t i = 0; i < type->bytes; i++) bytes[i] = (uint8_t)(randomBits(r) >> 24);
    for (int h = 0; h < 2; h++)
      if (type->halves[h] >= 0) {
        uint8_t *at = bytes + type->halves[h];
        at[1] = (uint8_t)((at[1] & 0x83) | (exponent + 15) << 2);
      }
    if (type->exponent >= 0) bytes[type->exponent] = (uint8_t)(exponent + 127);
    if (strcmp(type->name, "f32") == 0 || strcmp(type->name, "bf16") == 0) { /* the exponent is in the last two bytes */
      uint8_t *at = bytes + type->bytes - 2;
      at[1] = (uint8_t)((at[1] & 0x80) | (exponent + 127) >> 1);
      at[0] = (uint8_t)((at[0] & 0x7f) | (exponent + 127) << 7);
    }
  }
}

#endif

// A matrix times a vector in plain C, on one thread: weights in Q4_K, made floats and multiplied one after the other, and the
// same weights as floats. What the kernels of a device are compared with.
//   cc -O2 plain_product.c -o plain_product -lm && ./plain_product 2560 10240 5
// (inputs, outputs, rounds) prints seconds of each round, as JSON.
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BlockLength = 256, GroupLength = 32, ScaleBytes = 12, MostRounds = 100 };

/** 256 weights: w = d * scale * q - dmin * minimum, with a scale and a minimum of six bits for each 32. */
typedef struct Block {
  uint16_t d, dmin;
  uint8_t scales[ScaleBytes];
  uint8_t q[BlockLength / 2];
} Block;

static float floatOfHalf(uint16_t half) {
  uint32_t sign = (uint32_t)(half >> 15) << 31, exponent = (half >> 10) & 31, fraction = half & 1023;
  if (exponent == 0) return (sign ? -1.0f : 1.0f) * ldexpf((float)fraction, -24);
  uint32_t bits = sign | (exponent + 112) << 23 | fraction << 13;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/** Six bits each: eight scales and eight minima in twelve bytes, the upper two bits of the later four in the first eight. */
static void scaleOf(const uint8_t *scales, int group, int *scale, int *minimum) {
  if (group < 4) {
    *scale = scales[group] & 63;
    *minimum = scales[group + 4] & 63;
  } else {
    *scale = (scales[group + 4] & 15) | (scales[group - 4] >> 6) << 4;
    *minimum = scales[group + 4] >> 4 | (scales[group] >> 6) << 4;
  }
}

static void dequantise(const Block *block, float *out) {
  float d = floatOfHalf(block->d), dmin = floatOfHalf(block->dmin);
  for (int group = 0; group < BlockLength / GroupLength; group++) {
    int scale, minimum;
    scaleOf(block->scales, group, &scale, &minimum);
    const uint8_t *q = block->q + group / 2 * GroupLength;
    for (int i = 0; i < GroupLength; i++) {
      int value = group % 2 == 0 ? q[i] & 15 : q[i] >> 4;
      out[group * GroupLength + i] = d * (float)scale * (float)value - dmin * (float)minimum;
    }
  }
}

static void multiplyBlocks(const Block *weights, const float *x, float *y, int inputs, int outputs) {
  int blocks = inputs / BlockLength;
  for (int row = 0; row < outputs; row++) {
    float sum = 0;
    for (int b = 0; b < blocks; b++) {
      float values[BlockLength];
      dequantise(weights + (size_t)row * (size_t)blocks + b, values);
      for (int i = 0; i < BlockLength; i++) sum += values[i] * x[b * BlockLength + i];
    }
    y[row] = sum;
  }
}

static void multiplyFloats(const float *weights, const float *x, float *y, int inputs, int outputs) {
  for (int row = 0; row < outputs; row++) {
    float sum = 0;
    for (int i = 0; i < inputs; i++) sum += weights[(size_t)row * (size_t)inputs + (size_t)i] * x[i];
    y[row] = sum;
  }
}

static uint32_t randomWord(void) {
  static uint32_t state = 2463534242u; // xorshift32 (Marsaglia 2003)
  state ^= state << 13;
  state ^= state >> 17;
  state ^= state << 5;
  return state;
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void print(const char *name, const double *seconds, int rounds, const char *end) {
  printf("\"%s\": [", name);
  for (int i = 0; i < rounds; i++) printf("%s%.9f", i == 0 ? "" : ", ", seconds[i]);
  printf("]%s", end);
}

int main(int count, char **words) {
  int inputs = count > 1 ? atoi(words[1]) : 0, outputs = count > 2 ? atoi(words[2]) : 0, rounds = count > 3 ? atoi(words[3]) : 0;
  if (inputs < BlockLength || inputs % BlockLength != 0 || inputs > 1 << 20 || outputs < 1 || outputs > 1 << 20 || rounds < 1 ||
      rounds > MostRounds) {
    fprintf(stderr, "plain_product INPUTS OUTPUTS ROUNDS: inputs are a multiple of %d, rounds at most %d\n", BlockLength, MostRounds);
    return 2;
  }
  size_t blocks = (size_t)inputs / BlockLength * (size_t)outputs;
  Block *weights = malloc(blocks * sizeof *weights);
  float *floats = malloc(blocks * BlockLength * sizeof *floats), *x = malloc((size_t)inputs * sizeof *x);
  float *y = malloc((size_t)outputs * sizeof *y), *wanted = malloc((size_t)outputs * sizeof *wanted);
  if (!weights || !floats || !x || !y || !wanted) {
    fprintf(stderr, "plain_product: there is no memory for %d x %d\n", inputs, outputs);
    return 1;
  }
  for (size_t i = 0; i < blocks; i++) {
    uint8_t *bytes = (uint8_t *)&weights[i];
    for (size_t b = 0; b < sizeof *weights; b++) bytes[b] = (uint8_t)randomWord();
    weights[i].d = (uint16_t)(0x0800 | (randomWord() & 0x3ff));    // 2^-13 and more
    weights[i].dmin = (uint16_t)(0x1400 | (randomWord() & 0x3ff)); // 8 times that: the mean of scale * q is 7.5 of scale
    dequantise(&weights[i], floats + i * BlockLength);
  }
  for (int i = 0; i < inputs; i++) x[i] = (float)(int32_t)randomWord() / 2147483648.0f;

  double quantised[MostRounds], plain[MostRounds];
  for (int round = -1; round < rounds; round++) { // the first one touches memory, and is not counted
    double start = now();
    multiplyBlocks(weights, x, y, inputs, outputs);
    double middle = now();
    multiplyFloats(floats, x, wanted, inputs, outputs);
    double end = now();
    if (round < 0) continue;
    quantised[round] = middle - start;
    plain[round] = end - middle;
  }
  double difference = 0, size = 0;
  for (int i = 0; i < outputs; i++) {
    difference += ((double)y[i] - wanted[i]) * ((double)y[i] - wanted[i]);
    size += (double)wanted[i] * wanted[i];
  }
  if (!(sqrt(difference / size) < 1e-4)) {
    fprintf(stderr, "plain_product: the two products differ by %g of their size\n", sqrt(difference / size));
    return 1;
  }
  printf("{");
  print("q4_k", quantised, rounds, ", ");
  print("f32", plain, rounds, "}\n");
  free(weights), free(floats), free(x), free(y), free(wanted);
  return 0;
}

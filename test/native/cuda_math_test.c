/* The mathematical functions of CUDA devices against those of the C library in double. */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ONE(name) extern float cuda_##name(float x);
#define TWO(name) extern float cuda_##name(float x, float y);
ONE(exp) ONE(exp2) ONE(exp10) ONE(log) ONE(log2) ONE(log10) ONE(sqrt) ONE(sin) ONE(cos) ONE(tan) ONE(asin) ONE(acos)
ONE(atan) ONE(sinh) ONE(cosh) ONE(tanh) ONE(asinh) ONE(acosh) ONE(atanh)
TWO(pow) TWO(fmod) TWO(atan2)
extern float cuda_ldexp(float x, int n);

static uint64_t state;
static uint32_t random32(void) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(state >> 32);
}
static float floatOf(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}
/** Any sign, and an exponent in [low, high). */
static float randomFloat(int low, int high) {
  const uint32_t exponent = 127u + (uint32_t)low + random32() % (uint32_t)(high - low);
  return floatOf((random32() & 0x807fffff) | exponent << 23);
}

/** Errors in units of the last place of the true value, which are at least those of the least normal number. */
static double ulps(float got, double wanted) {
  if (isnan(wanted)) return isnan(got) ? 0 : INFINITY;
  const float rounded = (float)wanted;
  if (isinf(rounded) || isinf(got))
    return got == rounded || (fabs(wanted) > 0x1.fffffcp127 && fabsf(got) > 0x1.fffff0p127f) ? 0 : INFINITY;
  int exponent;
  frexp(wanted, &exponent);
  return fabs((double)got - wanted) / ldexp(1.0, (exponent < -125 ? -125 : exponent) - 24);
}

static int failures;
static void judge(const char *name, double worst, float x, float y, double allowed) {
  if (worst > allowed) {
    printf("%s(%a, %a) is %g ulp off, more than %g\n", name, x, y, worst, allowed);
    failures++;
  }
}

typedef struct Unary {
  const char *name;
  float (*function)(float);
  double (*reference)(double);
  int low, high; /* exponents of arguments */
  double allowed;
} Unary;

static const float edges[] = {0.0f, -0.0f, 1.0f, -1.0f, 0.5f, -0.5f, INFINITY, -INFINITY, NAN, 0x1p-149f, 0x1p-126f, 0x1.fffffep127f,
                              -0x1.fffffep127f, 32768.0f, 32767.998f, 88.7f, 89.0f, -87.3f, -103.9f, -104.0f, 128.0f, -149.5f, 16.0f,
                              1.5707964f, 3.1415927f, 0x1.6p30f, 0x1.921fb6p100f};

static double exp10Double(double x) { return pow(10.0, x); }

static const Unary unaries[] = {
    {"exp", cuda_exp, exp, -30, 8, 2},       {"exp2", cuda_exp2, exp2, -30, 9, 2},    {"exp10", cuda_exp10, exp10Double, -30, 7, 2},
    {"log", cuda_log, log, -126, 128, 2},    {"log2", cuda_log2, log2, -126, 128, 3}, {"log10", cuda_log10, log10, -126, 128, 4},
    {"log near 1", cuda_log, log, -1, 1, 2}, {"sqrt", cuda_sqrt, sqrt, -126, 128, 1}, {"sin", cuda_sin, sin, -30, 14, 2},
    {"cos", cuda_cos, cos, -30, 14, 2},      {"tan", cuda_tan, tan, -30, 14, 4},      {"sin large", cuda_sin, sin, 14, 128, 3},
    {"cos large", cuda_cos, cos, 14, 128, 3}, {"tan large", cuda_tan, tan, 14, 128, 5}, {"asin", cuda_asin, asin, -30, 0, 3},
    {"acos", cuda_acos, acos, -30, 0, 3},    {"atan", cuda_atan, atan, -30, 60, 3},   {"sinh", cuda_sinh, sinh, -30, 7, 4},
    {"cosh", cuda_cosh, cosh, -30, 7, 4},    {"tanh", cuda_tanh, tanh, -30, 7, 3},    {"asinh", cuda_asinh, asinh, -30, 127, 4},
    {"acosh", cuda_acosh, acosh, 0, 127, 4}, {"atanh", cuda_atanh, atanh, -30, 0, 4},
};

static void checkUnary(const Unary *u, uint32_t count) {
  double worst = 0;
  float at = 0;
  const uint32_t edgeCount = sizeof edges / sizeof *edges;
  for (uint32_t i = 0; i < count + edgeCount; i++) {
    const float x = i < edgeCount ? edges[i] : randomFloat(u->low, u->high);
    const double error = ulps(u->function(x), u->reference((double)x));
    if (error > worst) {
      worst = error;
      at = x;
    }
  }
  judge(u->name, worst, at, 0, u->allowed);
}

static void checkBinary(const char *name, float (*function)(float, float), double (*reference)(double, double), int low, int high,
                        double allowed, uint32_t count) {
  double worst = 0;
  float atX = 0, atY = 0;
  const uint32_t edgeCount = sizeof edges / sizeof *edges;
  for (uint32_t i = 0; i < count + edgeCount * edgeCount; i++) {
    const bool isEdge = i < edgeCount * edgeCount;
    const float x = isEdge ? edges[i / edgeCount] : randomFloat(low, high);
    const float y = isEdge ? edges[i % edgeCount] : i % 4 ? randomFloat(low, high) : (float)(int)(random32() % 41) - 20;
    const double wanted = reference((double)x, (double)y);
    double error = ulps(function(x, y), wanted);
    if (wanted == 0 && signbit(function(x, y)) != signbit(wanted)) error = INFINITY;
    if (error > worst) {
      worst = error;
      atX = x;
      atY = y;
    }
  }
  judge(name, worst, atX, atY, allowed);
}

int main(void) {
  const uint64_t seed = (uint64_t)time(NULL);
  state = seed;
  enum { Count = 100000 };
  for (size_t i = 0; i < sizeof unaries / sizeof *unaries; i++) checkUnary(&unaries[i], Count);
  checkBinary("pow", cuda_pow, pow, -8, 7, 2, Count);
  checkBinary("fmod", cuda_fmod, fmod, -126, 128, 0, Count);
  checkBinary("atan2", cuda_atan2, atan2, -30, 30, 4, Count);
  for (uint32_t i = 0; i < Count; i++) {
    const float x = randomFloat(-126, 128);
    const int n = (int)(random32() % 600) - 300;
    judge("ldexp", ulps(cuda_ldexp(x, n), ldexp((double)x, n)), x, (float)n, 1);
  }
  if (failures)
    printf("seed %llu\n", (unsigned long long)seed);
  else
    printf("ok the mathematical functions of CUDA devices are those of the C library\n");
  return failures > 0;
}

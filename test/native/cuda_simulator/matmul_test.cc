/*
 * Matrix-matrix products of every type of weights, by the kernels that stand in on CUDA devices, against double precision.
 *
 * Rounding to a half errs by 2^-11 at most, and by 0.42 times that typically: once for x, and once for a weight itself; of
 * quantised weights, which are scale * number + minimum, also for scale * number and for the minimum. Errors of many terms add up
 * as the root of their squares. With weights in floats and bfloats, x is rounded to 16 bits, and of the products of what is left
 * of both the least is missing: 2^-16. The bound is 7 times what is typical, and for the sum's own roundings 2^-23 of the sum of
 * sizes for each step that a tensor core takes, 16 products. What is far smaller than the largest of its row of x has an error of
 * 2^-40 of that; small weights have one of 2^-29, and beside large ones, of 2^-36 of the largest.
 */
#include "gguf.h"
#include "run.h"

#ifdef SIMULATED_GROUP_PRODUCTS
#include "cuda/native/matmul_block.h"
/* Types differ in how weights are read, and that is the same there: some will do. */
MATMUL(f32, FloatWeights, 64, 1)
MATMUL(f16, CopiedWeights<false>, 128, 1)
MATMUL_GROUPS(f16, CopiedWeights<false>, 256, 1)
MATMUL(bf16, CopiedWeights<true>, 64, 1)
MATMUL(q4_0, QuantisedWeights<Q4_0>, 64, 1)
MATMUL_BOTH(q4_k, QuantisedWeights<Q4_K>)
MATMUL(q5_0, QuantisedWeights<Q5_0>, 64, 1)
MATMUL_BOTH(q6_k, QuantisedWeights<Q6_K>)
MATMUL_BOTH(q8_0, QuantisedWeights<Q8_0>)
MATMUL(mxfp4, QuantisedWeights<MXFP4>, 64, 1)
#else
#include "cuda/native/matmul.cu"
#endif

using gguf::typeNamed;
using gguf::WeightType;

#include <time.h>

#define BOTH(name) SIMULATED(matmul_##name##_64), SIMULATED(matmul_##name##_128)
#define SMALL(name) SIMULATED(matmul_##name##_64)
#define LARGE(name) SIMULATED(matmul_##name##_128)
#ifdef SIMULATED_GROUP_PRODUCTS
static const SimulatedKernel kernels[] = {SMALL(f32),  LARGE(f16),  SIMULATED(matmul_f16_256), SMALL(bf16), SMALL(q4_0),
                                          BOTH(q4_k), SMALL(q5_0), BOTH(q6_k),                BOTH(q8_0),  SMALL(mxfp4)};
#else
static const SimulatedKernel kernels[] = {SMALL(f32),  SMALL(bf16), BOTH(f16),   SIMULATED(matmul_f16_256), BOTH(q4_0),
                                          BOTH(q8_0),  BOTH(q4_k),  BOTH(q5_k),  BOTH(q6_k),                SMALL(q4_1),
                                          SMALL(q5_0), SMALL(q5_1), SMALL(q2_k), SMALL(q3_k),               SMALL(iq4_nl),
                                          SMALL(iq4_xs), SMALL(mxfp4)};
#endif

extern "C" CudaNativePlan cudaMatmulPlan;

static Random numbers;
static const float Untouched = -77;
static gguf::Random weightNumbers;

struct Case {
  const WeightType *type;
  u32 rows, covered, n, k; /* rows that there are, and that the grid covers */
  int exponent;            /* of scales */
  u32 multiprocessors;
};

struct Product {
  Case c;
  u64 rowBytes;
  SimulatedBuffer<u8> w;
  SimulatedBuffer<float> x, out;
  SimulatedBuffer<u32> rowCount;

  explicit Product(const Case &given)
      : c(given), rowBytes((u64)(given.k / given.type->elements) * given.type->bytes), w(given.n * rowBytes),
        x((u64)given.covered * given.k), out((u64)given.covered * given.n), rowCount(1) {
    gguf::randomWeights(c.type, w.items, (u64)c.n * (c.k / c.type->elements), c.exponent, &weightNumbers);
    for (u64 i = 0; i < x.count; i++) x[i] = numbers.number();
    for (u64 i = 0; i < out.count; i++) out[i] = Untouched;
    rowCount[0] = c.rows;
  }
  u8 *block(u32 output, u32 index) { return w.items + output * rowBytes + (u64)index * c.type->bytes; }
};

/** Runs products of the first one's x as one launch. */
static bool runProducts(Product *const *products, u32 count) {
  Product &first = *products[0];
  static char name[32];
  snprintf(name, sizeof name, "matmul_%s", first.c.type->name);
  u32 arguments[MatmulMostJobs][2];
  CudaNativeCommand commands[MatmulMostJobs];
  SimulatedCommand command(name);
  for (u32 i = 0; i < count; i++) {
    Product &p = *products[i];
    arguments[i][0] = p.c.n, arguments[i][1] = p.c.k;
    command.bind(0, p.w), command.bind(1, first.x), command.bind(2, p.out), command.bind(3, first.rowCount);
    command.constant(4, arguments[i]);
    command.dispatch((p.c.n + 31) / 32 * 128, (p.c.covered + 31) / 32, 1, 128, 1, 1);
    commands[i] = command.command;
  }
  CudaNativeDevice device = simulatedH200;
  device.multiprocessors = first.c.multiprocessors;
  if (!HasGroupProducts) device.capability = 89;
  return simulatePlan(cudaMatmulPlan, &device, commands, count, kernels, numbers.next()) == count;
}
static bool runProduct(Product &p) {
  Product *const one = &p;
  return runProducts(&one, 1);
}

/** A weight, and the root of the squares of what is rounded to make it. */
struct Weight {
  double value, size;
};
static Weight weightAt(const WeightType *type, const u8 *block, u32 i) {
  const double value = type->element(block, i);
  if (type->elements == 1) return {value, strcmp(type->name, "f16") == 0 ? 0 : fabs(value)};
  if (type->halves[1] < 0) return {value, fabs(value) * sqrt(2)};
  u8 copy[256]; /* without the scale, the minimum is left */
  memcpy(copy, block, type->bytes);
  copy[type->halves[0]] = copy[type->halves[0] + 1] = 0;
  const double minimum = type->element(copy, i);
  return {value, sqrt(value * value + (value - minimum) * (value - minimum) + minimum * minimum)};
}

/** What is expected of an output, and how far from it one may be. */
struct Expected {
  double value, bound;
};
static Expected expect(const Case &c, const float *x, const Weight *w, double largestWeight) {
  const bool isFloat = strcmp(c.type->name, "f32") == 0 || strcmp(c.type->name, "bf16") == 0;
  double sum = 0, sizes = 0, squares = 0, largest = 0, xs = 0, ws = 0;
  for (u32 i = 0; i < c.k; i++) {
    const double value = (double)x[i], product = value * w[i].value, size = value * w[i].size;
    sum += product;
    sizes += fabs(product);
    squares += product * product + size * size;
    xs += fabs(value), ws += fabs(w[i].value);
    largest = fmax(largest, fabs(value));
  }
  const double rounding = 7 * 0.42 * (isFloat ? 0x1p-16 : 0x1p-11) * sqrt(squares);
  const double small = 0x1p-40 * largest * ws + (fmin(0x1p-29, 0x1p-15 * largestWeight) + 0x1p-36 * largestWeight) * xs;
  return {sum, rounding + sizes * 0x1p-23 * (c.k / 16 + 1) + small + 1e-37};
}

static void checkProduct(Product &p, const char *what) {
  const Case &c = p.c;
  double worst = 0, largestWeight = 0;
  Weight *w = (Weight *)malloc(sizeof(Weight) * c.n * c.k);
  for (u32 o = 0; o < c.n; o++)
    for (u32 i = 0; i < c.k; i++) {
      w[o * c.k + i] = weightAt(c.type, p.block(o, i / c.type->elements), i % c.type->elements);
      largestWeight = fmax(largestWeight, fabs(w[o * c.k + i].value));
    }
  u32 wrong = 0;
  for (u32 r = 0; r < c.covered; r++)
    for (u32 o = 0; o < c.n; o++) {
      const double got = (double)p.out[(u64)r * c.n + o];
      Expected e = {Untouched, 0};
      if (r < c.rows) e = expect(c, p.x.items + (u64)r * c.k, w + o * c.k, largestWeight);
      const bool right = isnan(e.value) ? isnan(got) : isinf(e.value) ? got == e.value : fabs(got - e.value) <= e.bound;
      if (!right && wrong++ < 3)
        printf("%s: matmul_%s rows %u n %u k %u scale 2^%d: out[%u, %u] is %.9g, not %.9g (+- %.3g)\n", what, c.type->name,
               c.rows, c.n, c.k, c.exponent, r, o, got, e.value, e.bound);
      if (e.bound > 0 && isfinite(e.value)) worst = fmax(worst, fabs(got - e.value) / e.bound);
    }
  CHECK_NUMBER(wrong, 0);
  if (tellsErrors()) printf("%s %s: %.3f of the bound\n", what, c.type->name, worst);
  free(w);
}

static void testCase(const Case &c, const char *what) {
  Product p(c);
  CHECK(runProduct(p));
  checkProduct(p, what);
}

/** The fewest elements of a row that are a whole number of everything. */
static u32 unit(const WeightType &type) { return type.elements > 1 ? type.elements : 8; }

/* What differs between types is the same where four warps multiply together: two will do there. */
static void makesRaggedTiles() {
  for (const WeightType &type : gguf::weightTypes)
    if (!HasGroupProducts || strcmp(type.name, "f32") == 0 || strcmp(type.name, "q4_0") == 0)
      testCase({&type, 5, 9, 67, 3 * unit(type), -6, 132}, "ragged");
}

/* Two tiles of rows, and the largest of outputs; segments that begin at any address. */
static void makesLargeTiles() {
  const char *const names[] = {"f16", "q8_0", "q6_k"};
  for (const char *name : names) {
    const WeightType &type = typeNamed(name);
    testCase({&type, 131, 160, 120, type.elements == 256 ? 768u : type.elements == 32 ? 512u : 416u, -3, 1}, "large");
  }
  if (HasGroupProducts) testCase({&typeNamed("f16"), 131, 160, 200, 72, -3, 1}, "larger");
}

static void cutsSumsIntoParts() {
  const char *const names[] = {"bf16", "q5_0", "q4_k"};
  for (const char *name : names) {
    const WeightType &type = typeNamed(name);
    testCase({&type, 20, 32, 34, type.elements == 256 ? 1280u : 1056u, -6, 132}, "parts");
  }
}

/* Q, K and V. */
static void makesProductsOfOneInput() {
  const WeightType &type = typeNamed("q4_k");
  Product q({&type, 20, 32, 130, 768, -6, 6}), k({&type, 20, 32, 5, 768, -6, 6}), v({&type, 20, 32, 64, 768, -6, 6});
  Product *const all[] = {&q, &k, &v};
  CHECK(runProducts(all, 3));
  for (Product *p : all) {
    memcpy(p->x.items, q.x.items, q.x.count * sizeof(float));
    checkProduct(*p, "one of three");
  }
}

/* Rows of all sizes side by side: none changes another. */
static void keepsEachRowsRange() {
  const float sizes[] = {1e-30f, 1e30f, 0, 2e38f, 1e-38f, 1, 1e-12f};
  const char *const names[] = {"f16", "q4_0", "f32"};
  for (const char *name : names) {
    const WeightType &type = typeNamed(name);
    Product p({&type, 9, 9, 10, 64, -8, 132});
    for (u32 r = 0; r < 7; r++)
      for (u32 i = 0; i < p.c.k; i++) p.x[r * p.c.k + i] *= sizes[r];
    p.x[7 * p.c.k + 3] = NAN;
    p.x[8 * p.c.k + 5] = strcmp(name, "f32") == 0 ? NAN : -INFINITY; /* of two bfloats, the rest of an infinity is none */
    CHECK(runProduct(p));
    checkProduct(p, "ranges");
  }
}

/* Weights that do not fit halves as they are: large ones, small ones, and both in one tile. */
static void keepsRangesOfWeights() {
  testCase({&typeNamed("q8_0"), 3, 3, 66, 64, 14, 132}, "large weights");
  testCase({&typeNamed("q6_k"), 3, 3, 9, 256, 12, 132}, "large weights");
  testCase({&typeNamed("q4_k"), 3, 3, 9, 256, -14, 132}, "small weights");
  testCase({&typeNamed("mxfp4"), 3, 3, 9, 64, -90, 132}, "small weights");
  testCase({&typeNamed("mxfp4"), 3, 3, 9, 64, 90, 132}, "large weights");
  Product p({&typeNamed("mxfp4"), 3, 3, 9, 64, -2, 132});
  for (u32 i = 0; i < 2; i++) p.block(4, i)[0] = 127 + 40;
  CHECK(runProduct(p));
  checkProduct(p, "mixed weights");
}

int main(int count, char **arguments) {
  numbers.state = seedOf(count, arguments, (u64)time(nullptr));
  weightNumbers.state = numbers.state | 1;
  RUN_CASE(makesRaggedTiles);
  RUN_CASE(makesLargeTiles);
  RUN_CASE(cutsSumsIntoParts);
  RUN_CASE(makesProductsOfOneInput);
  if (!HasGroupProducts) RUN_CASE(keepsEachRowsRange);
  RUN_CASE(keepsRangesOfWeights);
  return finishCases();
}

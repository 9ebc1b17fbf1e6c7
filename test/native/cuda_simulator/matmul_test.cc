/*
 * Matrix-matrix products of every type of weights, by the kernels that stand in on CUDA devices, against double precision.
 *
 * The bound of a product x w, in units of 2^-12, half a unit in the last place of a half: one of |x w| for x, and one for w
 * itself; of quantised weights, scale * number + minimum, one more of each |x * scale * number| and |x * minimum|. With weights in
 * floats and bfloats, x is rounded by 2^-17 of itself, and of the products of what is left of both one is missing: 2^-14. The sum's
 * own roundings are 2^-23 of the sum of sizes for each step that a tensor core takes, 16 products.
 */
#include "run.h"

#include "cuda/native/matmul.cu"
#include "cuda/native/matmul_plan.h"

namespace oracle { /* its names are not those of the kernels */
#include "../weights.h"
}
using oracle::WeightType;

#include <time.h>

#define BOTH(name) SIMULATED(matmul_##name##_64), SIMULATED(matmul_##name##_128)
static const SimulatedKernel kernels[] = {
    SIMULATED(matmul_f32_64), BOTH(f16), SIMULATED(matmul_f16_256), BOTH(bf16), BOTH(q4_0), BOTH(q4_1), BOTH(q5_0),   BOTH(q5_1),   BOTH(q8_0),
    BOTH(q2_k),               BOTH(q3_k), BOTH(q4_k), BOTH(q5_k), BOTH(q6_k), BOTH(iq4_nl), BOTH(iq4_xs), BOTH(mxfp4)};

static Random numbers;
static oracle::Random weightNumbers;

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
    oracle::randomWeights(c.type, w.items, (u64)c.n * (c.k / c.type->elements), c.exponent, &weightNumbers);
    for (u64 i = 0; i < x.count; i++) x[i] = numbers.number();
    for (u64 i = 0; i < out.count; i++) out[i] = -77;
    rowCount[0] = c.rows;
  }
  u8 *block(u32 output, u32 index) { return w.items + output * rowBytes + (u64)index * c.type->bytes; }
};

static bool runProduct(Product &p) {
  static char name[32];
  snprintf(name, sizeof name, "matmul_%s", p.c.type->name);
  SimulatedCommand command(name);
  const u32 arguments[2] = {p.c.n, p.c.k};
  command.bind(0, p.w), command.bind(1, p.x), command.bind(2, p.out), command.bind(3, p.rowCount);
  command.constant(4, arguments);
  command.dispatch((p.c.n + 31) / 32 * 128, (p.c.covered + 31) / 32, 1, 128, 1, 1);
  CudaNativeDevice device = simulatedH200;
  device.multiprocessors = p.c.multiprocessors;
  if (!HasGroupProducts) device.capability = 89;
  return simulatePlan(matmulPlan, &device, &command.command, 1, kernels, numbers.next()) == 1;
}

/** A weight, and how large what it is made of is. */
struct Weight {
  double value, size;
};
static Weight weightAt(const WeightType *type, const u8 *block, u32 i) {
  const double value = type->element(block, i);
  if (type->elements == 1) return {value, fabs(value)};
  /* Weight = scale * number + minimum: the minimum is the same without the scale. */
  if (type->halves[1] < 0) return {value, fabs(value)};
  u8 copy[256];
  memcpy(copy, block, type->bytes);
  copy[type->halves[0]] = copy[type->halves[0] + 1] = 0;
  const double minimum = type->element(copy, i);
  return {value, fabs(value - minimum) + fabs(minimum)};
}

static void checkProduct(Product &p, const char *what) {
  const Case &c = p.c;
  const bool isFloat = strcmp(c.type->name, "f32") == 0 || strcmp(c.type->name, "bf16") == 0;
  double worst = 0;
  Weight *row = (Weight *)malloc(sizeof(Weight) * c.k);
  u32 wrong = 0;
  for (u32 o = 0; o < c.n; o++) {
    for (u32 i = 0; i < c.k; i++) row[i] = weightAt(c.type, p.block(o, i / c.type->elements), i % c.type->elements);
    for (u32 r = 0; r < c.covered; r++) {
      const double got = (double)p.out[(u64)r * c.n + o];
      double sum = 0, sizes = 0, made = 0, largest = 0;
      for (u32 i = 0; i < c.k; i++) {
        const double x = (double)p.x[(u64)r * c.k + i];
        sum += x * row[i].value;
        sizes += fabs(x * row[i].value);
        made += fabs(x) * row[i].size;
        largest = fmax(largest, fabs(x));
      }
      double bound = isFloat ? sizes * 0x1p-13 : (2 * sizes + (c.type->elements > 1 ? made : 0)) * 0x1p-12;
      bound += sizes * 0x1p-23 * (c.k / 16 + 1) + largest * 0x1p-33 * c.k;
      if (r >= c.rows) sum = -77, bound = 0;
      const bool right = isnan(sum) ? isnan(got) : isinf(sum) ? got == sum : fabs(got - sum) <= bound;
      if (!right && wrong++ < 3)
        printf("%s: matmul_%s rows %u n %u k %u scale 2^%d: out[%u, %u] is %.9g, not %.9g (+- %.3g)\n", what, c.type->name, c.rows,
               c.n, c.k, c.exponent, r, o, got, sum, bound);
      if (bound > 0) worst = fmax(worst, fabs(got - sum) / bound);
    }
  }
  CHECK_NUMBER(wrong, 0);
  if (getenv("VERBOSE")) printf("%s %s: %.3f of the bound\n", what, c.type->name, worst);
  free(row);
}

static void testCase(const Case &c, const char *what) {
  Product p(c);
  CHECK(runProduct(p));
  checkProduct(p, what);
}

/** The fewest elements of a row that are a whole number of everything. */
static u32 unit(const WeightType &type) { return type.elements > 1 ? type.elements : 8; }

static void makesRaggedTiles() {
  for (const WeightType &type : oracle::weightTypes) testCase({&type, 5, 9, 67, 3 * unit(type), -6, 132}, "ragged");
}
static void makesLargeTiles() {
  for (const WeightType &type : oracle::weightTypes)
    testCase({&type, 131, 160, 130, type.elements == 256 ? 512u : 416u, -3, 1}, "large");
}
static void cutsSumsIntoParts() {
  for (const WeightType &type : oracle::weightTypes) testCase({&type, 20, 32, 34, type.elements == 256 ? 2304u : 2080u, -6, 132}, "parts");
}

int main() {
  numbers.state = (u64)time(NULL);
  weightNumbers.state = numbers.state | 1;
  printf("seed %llu\n", (unsigned long long)numbers.state);
  RUN_CASE(makesRaggedTiles);
  RUN_CASE(makesLargeTiles);
  RUN_CASE(cutsSumsIntoParts);
  return finishCases();
}

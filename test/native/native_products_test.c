/*
 * native_products: products of weights with a few rows of activations, and with many, of every type at every level that this machine
 * has, against double precision.
 *
 * The error of an activation is at most 2^-16 of the largest one of its block of 32 (activations.h): so the bound is 2e-5 of
 * the sum of |weight| times that, of which a quarter is for the rounding of sums. Weights that are floats have the
 * latter alone, 1e-6 of the sum of |weight| |x|.
 *
 * In tiles quantised weights are rounded, too, to 2^-15 of the largest of a row's 256 (matmul_amx_weights.h), and activations to 2^-16 of
 * the largest of 256: there the bound is twice that, and four times where all these errors have one sign.
 */
#include "cpu/native/levels.h"
#include "expected_products.h"
#include "product_case.h"

#include <stdio.h>
#include <stdlib.h>
#ifdef __x86_64__
#include <immintrin.h>

/** The level amx with emulated tiles. */
extern const NativeLevel nativeLevel_amx_emulated;
static const NativeLevel *const emulatedLevel = &nativeLevel_amx_emulated;

/** Whether the thread has tiles, which a piece of work has to give back. */
__attribute__((target("amx-tile"))) static bool hasTiles(void) {
  uint8_t configuration[64];
  _tile_storeconfig(configuration);
  return configuration[0] != 0;
}
#else
static const NativeLevel *const emulatedLevel = NULL;
static bool hasTiles(void) { return false; }
#endif

static int failures;

/** The levels that this machine has, and whether one of them has failed. */
enum { MostLevels = 8 };
typedef struct Tested {
  const NativeLevel *level;
  bool hasFailed;
} Tested;
static Tested tested[MostLevels];
static uint32_t testedCount;

#define EXPECT(condition, ...)                                                                                         \
  do {                                                                                                                 \
    if (!(condition)) {                                                                                                \
      if (failures++ < 20) {                                                                                           \
        printf("%s:%d: ", __FILE__, __LINE__);                                                                         \
        printf(__VA_ARGS__);                                                                                           \
        printf("\n");                                                                                                  \
      }                                                                                                                \
    }                                                                                                                  \
  } while (0)

static const NativeKernel *kernelOf(const NativeLevel *level, const Case *c) {
  char name[64];
  snprintf(name, sizeof name, "%s_%s", familyNames[c->family], c->type->name);
  const NativeKernel *found = NULL; /* the last of the name: those before it are for many rows */
  for (uint32_t i = 0; i < level->count; i++)
    if (strcmp(level->kernels[i].name, name) == 0) found = &level->kernels[i];
  return found;
}

static NativeThread thread;
static uint64_t group;
static bool canHaveTiles; /* with the level that is tested */

/** Runs all pieces, `step` at a time and the last ones first if `backwards`. False where the plan says that it cannot. */
static bool runBound(const NativeKernel *kernel, const Bound *b, uint32_t step, bool backwards) {
  NativePlan plan = {0};
  if (!kernel->plan(&b->command, &plan)) return false;
  if (plan.threadBytes > thread.capacity) {
    free(thread.memory);
    thread = (NativeThread){.memory = aligned_alloc(64, (plan.threadBytes + 63) / 64 * 64), .capacity = plan.threadBytes};
  }
  void *shared = aligned_alloc(64, (plan.sharedBytes + 64) / 64 * 64);
  const NativeRun run = {.command = &b->command, .plan = &plan, .shared = shared, .thread = &thread, .group = ++group};
  for (uint32_t phase = 0; phase < plan.phaseCount; phase++) {
    const uint32_t pieces = plan.phases[phase].pieces, steps = (pieces + step - 1) / step;
    for (uint32_t s = 0; s < steps; s++) {
      const uint32_t from = (backwards ? steps - 1 - s : s) * step;
      kernel->run(&run, phase, from, from + step < pieces ? from + step : pieces);
      EXPECT(!canHaveTiles || !hasTiles(), "%s leaves tiles configured", kernel->name);
    }
  }
  free(shared);
  return true;
}

/** Holds what was written to that. */
static void compare(const NativeLevel *level, const Case *c, const Bound *b, const Expected *all) {
  const bool isFloat = c->type->elements == 1 && c->family != MatvecFused;
  const bool isInTiles = strncmp(level->name, "amx", 3) == 0 && c->family == Matmul && c->type->elements > 1;
  const double looser = !isInTiles ? 1 : c->special && strcmp(c->special, "alike") == 0 ? 4 : 2;
  for (uint64_t at = 0; at < (uint64_t)c->rows * c->n; at++) {
    const double actual = (double)((const float *)b->out.bytes)[at];
    const double sum = all[at].value, bound = all[at].bound * looser;
    const bool same = isfinite(sum) ? fabs(actual - sum) <= bound
                      : isFloat     ? (isnan(sum) ? isnan(actual) : actual == sum)
                                    : isnan(actual);
    EXPECT(same, "%s %s_%s rows %u n %u k %u scale 2^%d size %g special %s ending %u norm %d: out[%u, %u] is %.9g, not %.9g (+- %.3g)",
           level->name, familyNames[c->family], c->type->name, c->rows, c->n, c->k, c->exponent, (double)c->size,
           c->special ? c->special : "none", c->ending, c->normalises, (uint32_t)(at / c->n), (uint32_t)(at % c->n), actual,
           sum, bound);
  }
}

static void runLevelOfCase(const NativeLevel *level, const Case *c, const Bound *bound, const Expected *all, Random *random) {
  const NativeKernel *kernel = kernelOf(level, c);
  EXPECT(kernel, "%s has no %s_%s", level->name, familyNames[c->family], c->type->name);
  if (!kernel) return;
  Bound b = *bound;
  const size_t outBytes = 4ul * c->rows * c->n;
  memset(b.out.bytes, 0x55, outBytes);
  const bool ran = runBound(kernel, &b, 1 + randomBits(random) % 3, randomBits(random) % 2);
  EXPECT(ran, "%s does not run %s", level->name, kernel->name);
  if (ran) compare(level, c, &b, all);
  if (ran && c->ending == Add) { /* a residual may be where the outputs go */
    memcpy(b.out.bytes, b.residual.bytes, outBytes);
    bindBuffer(&b.command, 4, b.out.bytes, outBytes);
    runBound(kernel, &b, 1, false);
    compare(level, c, &b, all);
  }
}

/** Does something at a level. */
#define AT_EACH_LEVEL(action)                                                                                          \
  for (uint32_t i = 0; i < testedCount; i++) {                                                                         \
    const NativeLevel *level = tested[i].level;                                                                        \
    const int before = failures;                                                                                       \
    canHaveTiles = strcmp(level->name, "amx") == 0;                                                                    \
    action;                                                                                                            \
    if (failures > before) tested[i].hasFailed = true;                                                                 \
  }

/** A case at every level: what is expected takes longer to make than what is compared with it. */
static void runCase(Case c, Random *random) {
  Bound b;
  makeBound(&c, &b, random);
  Expected *all = expectedOutputs(&c, &b);
  AT_EACH_LEVEL(runLevelOfCase(level, &c, &b, all, random))
  free(all);
  freeBound(&b);
}

/** Each row alone gives the bytes that it gives among others, and so does each order of pieces. */
static void runSameness(const NativeLevel *level, const WeightType *type, Random *random) {
  Case c = {type, MatvecRows, 7, 37, 512, 1, 1, -4, 1, NULL, 0, false};
  Bound b;
  makeBound(&c, &b, random);
  runBound(kernelOf(level, &c), &b, 1, true);
  const size_t length = 4ul * c.rows * c.n;
  uint8_t *whole = malloc(length);
  memcpy(whole, b.out.bytes, length);
  memset(b.out.bytes, 0x55, length);
  Bound one = b;
  one.command.dispatch.buffers[4] = one.args;
  uint32_t count = 1;
  one.command.dispatch.buffers[3] = &count;
  one.command.dispatch.threads[1] = 1;
  for (uint32_t r = 0; r < c.rows; r++) {
    one.command.dispatch.buffers[1] = b.x.bytes + 4ul * r * c.k;
    one.command.dispatch.bufferLengths[1] = 4ul * c.k;
    one.command.dispatch.buffers[2] = b.out.bytes + 4ul * r * c.n;
    one.command.dispatch.bufferLengths[2] = 4ul * c.n;
    runBound(kernelOf(level, &c), &one, 1000, false);
  }
  EXPECT(memcmp(whole, b.out.bytes, length) == 0, "%s %s: a row alone gives another result", level->name, type->name);
  free(whole);
  freeBound(&b);
}

/** A row gives the same bytes however many pieces are run as one, which says what outputs are made at once. */
static void runPartSameness(const NativeLevel *level, const WeightType *type, Random *random) {
  for (uint32_t ending = 0; ending <= Silu; ending++) {
    Case c = {type, MatvecFused, 1, 301, 256, 1, 1, -4, 1, NULL, ending, ending == Silu};
    Bound b;
    makeBound(&c, &b, random);
    const NativeKernel *kernel = kernelOf(level, &c);
    runBound(kernel, &b, 1, false);
    const size_t length = 4ul * c.n;
    uint8_t *whole = malloc(length);
    memcpy(whole, b.out.bytes, length);
    const uint32_t steps[] = {2, 3, 7, 1000};
    for (uint32_t i = 0; i < sizeof steps / sizeof *steps; i++) {
      memset(b.out.bytes, 0x55, length);
      runBound(kernel, &b, steps[i], i % 2);
      EXPECT(memcmp(whole, b.out.bytes, length) == 0, "%s %s ending %u: %u pieces at once give another result", level->name, type->name,
             ending, steps[i]);
    }
    free(whole);
    freeBound(&b);
  }
}

/** Rows give the same bytes with fewer other ones, and in any order of pieces. */
static void runMatmulSameness(const NativeLevel *level, const WeightType *type, Random *random) {
  Case c = {type, Matmul, 289, 117, 512, 1, 1, -4, 1, NULL, 0, false};
  Bound b;
  makeBound(&c, &b, random);
  const NativeKernel *kernel = kernelOf(level, &c);
  runBound(kernel, &b, 1, true);
  const size_t length = 4ul * c.rows * c.n, rowLength = 4ul * c.n;
  uint8_t *whole = malloc(length);
  memcpy(whole, b.out.bytes, length);
  memset(b.out.bytes, 0x55, length);
  runBound(kernel, &b, 1000, false);
  EXPECT(memcmp(whole, b.out.bytes, length) == 0, "%s %s: another order gives another result", level->name, type->name);
  const uint32_t parts[] = {0, 11, 20, 28, 128}; // 0 .. 10, 11 .. 19, ...; the others stay
  for (uint32_t i = 0; i + 1 < sizeof parts / sizeof *parts; i++) {
    Bound part = b;
    uint32_t count = parts[i + 1] - parts[i];
    bindBuffer(&part.command, 1, b.x.bytes + 4ul * parts[i] * c.k, 4ul * count * c.k);
    bindBuffer(&part.command, 2, b.out.bytes + rowLength * parts[i], rowLength * count);
    bindBuffer(&part.command, 3, &count, sizeof count);
    bindBuffer(&part.command, 4, part.args, 8);
    memset(b.out.bytes + rowLength * parts[i], 0x55, rowLength * count);
    runBound(kernel, &part, 2, false);
  }
  EXPECT(memcmp(whole, b.out.bytes, length) == 0, "%s %s: fewer rows give another result", level->name, type->name);
  free(whole);
  freeBound(&b);
}

/** What is too short, or does not fit, is refused. */
static void runRefusals(const NativeLevel *level, const WeightType *type, Random *random) {
  for (Family family = 0; family < Families; family++) {
    const Case c = {type, family, family == Matmul ? 9 : 3, 12, 256, 2, 1, -4, 1, NULL, family == MatvecFused ? Silu : 0, family == MatvecFused};
    Bound b;
    makeBound(&c, &b, random);
    const NativeKernel *kernel = kernelOf(level, &c);
    NativePlan plan = {0};
    if (family != MatvecExperts) b.command.dispatch.bufferLengths[0] /= 2;
    if (family == MatvecFused) b.command.dispatch.bufferLengths[1] /= 2;
    EXPECT(kernel->plan(&b.command, &plan), "%s %s is refused", level->name, kernel->name);
    for (int i = 0; i <= argsIndices[family]; i++) {
      if (family == MatvecFused && i == 4) continue; /* a residual, which is not read */
      DriverCommand command = b.command;
      command.dispatch.bufferLengths[i]--;
      EXPECT(!kernel->plan(&command, &plan), "%s %s takes a buffer %d that is too short", level->name, kernel->name, i);
    }
    DriverCommand narrow = b.command;
    narrow.dispatch.threads[0] = family == Matmul ? 0 : 64;
    EXPECT(!kernel->plan(&narrow, &plan), "%s %s takes a grid that has not all outputs", level->name, kernel->name);
    uint32_t huge[5] = {UINT32_MAX, UINT32_MAX / 256 * 256, UINT32_MAX, 1};
    DriverCommand wide = b.command;
    wide.dispatch.buffers[argsIndices[family]] = huge;
    EXPECT(!kernel->plan(&wide, &plan), "%s %s takes a matrix that no memory holds", level->name, kernel->name);
    if (type->elements > 1) {
      uint32_t odd[5] = {12, 256 - type->elements / 2, 1, 1, 0};
      wide.dispatch.buffers[argsIndices[family]] = odd;
      EXPECT(!kernel->plan(&wide, &plan), "%s %s takes half a block", level->name, kernel->name);
    }
    freeBound(&b);
  }
}

static void runType(const WeightType *t, Random *random) {
  const uint32_t unit = t->elements;
  runCase((Case){t, Matvec, 1, 1, unit, 1, 1, -4, 1, NULL, 0, false}, random);
  runCase((Case){t, Matvec, 1, 3, unit, 1, 1, -4, 1, NULL, 0, false}, random);
  runCase((Case){t, Matvec, 1, 33, 7 * unit, 1, 1, -4, 1, NULL, 0, false}, random);
  runCase((Case){t, Matvec, 1, 9, unit == 1 ? 333 : 9 * unit, 1, 1, -4, 1, NULL, 0, false}, random);
  runCase((Case){t, MatvecTiled, 1, 109, 1024, 1, 1, -4, 1, NULL, 0, false}, random);
  runCase((Case){t, Matvec, 3, 70, 768, 1, 1, -4, 1, NULL, 0, false}, random);
  for (uint32_t rows = 1; rows <= 9; rows++)
    runCase((Case){t, MatvecRows, rows, 61, unit == 1 ? 200 + rows : rows * unit, 1, 1, -4, 1, NULL, 0, false}, random);
  runCase((Case){t, MatvecRows, 19, 11, 512, 1, 1, -4, 1, NULL, 0, false}, random);
  runCase((Case){t, MatvecExperts, 4, 67, 512, 5, 2, -4, 1, NULL, 0, false}, random);
  runCase((Case){t, MatvecExperts, 5, 3, 256, 3, 1, -4, 1, NULL, 0, false}, random);
  runCase((Case){t, Matvec, 1, 5, 512, 1, 1, -4, 1, "zero", 0, false}, random);
  runCase((Case){t, Matvec, 1, 5, 512, 1, 1, -4, 1, "nan", 0, false}, random);
  runCase((Case){t, Matvec, 2, 5, 512, 1, 1, -4, 1, "infinity", 0, false}, random);
  runCase((Case){t, Matvec, 1, 5, 512, 1, 1, -14, 1e-15f, NULL, 0, false}, random);
  runCase((Case){t, Matvec, 1, 5, 512, 1, 1, 15, 1e15f, NULL, 0, false}, random);
  runCase((Case){t, Matvec, 1, 5, 512, 1, 1, -15, 1, NULL, 0, false}, random); // subnormal half floats
  if (t->halves[0] < 0) {
    runCase((Case){t, Matvec, 1, 5, 512, 1, 1, -120, 1e6f, NULL, 0, false}, random);
    runCase((Case){t, Matvec, 1, 5, 512, 1, 1, 110, 1e-10f, NULL, 0, false}, random);
    if (t->exponent >= 0) runCase((Case){t, Matvec, 1, 5, 512, 1, 1, -127, 1e20f, NULL, 0, false}, random);
  }
  for (uint32_t rows = 8; rows <= 25; rows++)
    runCase((Case){t, Matmul, rows, 5 * rows % 37 + 1, unit == 1 ? 120 + rows : rows % 5 * unit + unit, 1, 1, -4, 1, NULL, 0, false}, random);
  runCase((Case){t, Matmul, 271, 5, 512, 1, 1, -4, 1, NULL, 0, false}, random);
  runCase((Case){t, Matmul, 8, 9, 11008, 1, 1, -4, 1, NULL, 0, false}, random);
  runCase((Case){t, Matmul, 9, 5, 512, 1, 1, -4, 1, "zero", 0, false}, random);
  runCase((Case){t, Matmul, 9, 5, 512, 1, 1, -4, 1, "alike", 0, false}, random);
  runCase((Case){t, Matmul, 9, 5, 512, 1, 1, -4, 1, "nan", 0, false}, random);
  runCase((Case){t, Matmul, 9, 5, 512, 1, 1, -4, 1, "infinity", 0, false}, random);
  runCase((Case){t, Matmul, 9, 5, 512, 1, 1, -14, 1e-15f, NULL, 0, false}, random);
  runCase((Case){t, Matmul, 9, 5, 512, 1, 1, 15, 1e15f, NULL, 0, false}, random);
  runCase((Case){t, Matmul, 9, 5, 512, 1, 1, -15, 1, NULL, 0, false}, random); // subnormal half floats
  if (t->halves[0] < 0) {
    runCase((Case){t, Matmul, 9, 5, 512, 1, 1, -120, 1e6f, NULL, 0, false}, random);
    runCase((Case){t, Matmul, 9, 5, 512, 1, 1, 110, 1e-10f, NULL, 0, false}, random);
  }
  AT_EACH_LEVEL(runMatmulSameness(level, t, random))
  for (uint32_t ending = 0; ending <= Gelu; ending++)
    for (int normalises = 0; normalises < 2; normalises++) {
      runCase((Case){t, MatvecFused, 1, 71, 1024, 1, 1, -4, 1, NULL, ending, normalises}, random);
      runCase((Case){t, MatvecFused, 2, 3, unit == 1 ? 77 : 3 * unit, 1, 1, -4, 1, NULL, ending, normalises}, random);
      runCase((Case){t, MatvecFused, 1, 4, 512, 1, 1, -4, 1, "nan", ending, normalises}, random);
    }
  AT_EACH_LEVEL(runSameness(level, t, random))
  AT_EACH_LEVEL(runPartSameness(level, t, random))
  AT_EACH_LEVEL(runRefusals(level, t, random))
}

int main(void) {
  Random random = {takeSeed()};
  for (uint32_t i = 0; nativeLevels[i] && testedCount < MostLevels - 1; i++)
    if (nativeLevels[i]->isThere()) tested[testedCount++].level = nativeLevels[i];
  if (emulatedLevel && emulatedLevel->isThere()) tested[testedCount++].level = emulatedLevel;
  for (uint32_t t = 0; t < WeightTypes; t++) {
    runType(&weightTypes[t], &random);
    if (strcmp(weightTypes[t].name, "q8_0") == 0) /* more outputs than caches hold, of which some are whole lines, and not */
      for (uint32_t n = 1039; n <= 1040; n++) runCase((Case){&weightTypes[t], Matmul, 513, n, 32, 1, 1, -4, 1, NULL, 0, false}, &random);
  }
  for (uint32_t i = 0; i < testedCount; i++)
    printf("%s products of %s\n", tested[i].hasFailed ? "FAIL" : "ok  ", tested[i].level->name);
  free(thread.memory);
  if (failures) printf("%d checks failed\n", failures);
  return failures ? 1 : 0;
}

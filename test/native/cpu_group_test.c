/*
 * cpu_group: products that run at once on the CPU device. Those of the same activations prepare them once; what they give is, to the
 * bit, what each gives alone.
 */
#include "cpu/library.h"
#include "cpu/native/native.h"
#include "native_fixture.h"
#include "weights.h"

#include <string.h>

enum { Products = 7, MostRows = 40, MostOutputs = 100, MostElements = 512 };

/** A product of weights of a type with rows of one of two matrices of activations. */
typedef struct Shape {
  const char *type;
  uint32_t matrix, rows, n, k;
} Shape;
static const Shape shapes[Products] = {
    {"q8_0", 0, 40, 100, 512}, {"q8_0", 0, 40, 33, 512}, {"q8_0", 1, 40, 64, 512}, {"q8_0", 0, 39, 20, 512},
    {"q8_0", 0, 40, 33, 256},  {"q6_k", 0, 40, 50, 512}, {"q8_0", 1, 40, 17, 512},
};

static float activations[2][MostRows * MostElements], outputs[Products][MostRows * MostOutputs], alone[Products][MostRows * MostOutputs];
static uint32_t rowCounts[Products], arguments[Products][2];
static CpuFunction implementations[Products];
static DriverFunction functions[Products];
static DriverCommand commands[Products];

static bool makeCommand(uint32_t i, Random *random) {
  const Shape *s = &shapes[i];
  const WeightType *type = weightTypeNamed(s->type);
  char name[32];
  snprintf(name, sizeof name, "matmul_%s", s->type);
  nativeFind(name, implementations[i].native);
  if (!implementations[i].native[0]) return false;
  const uint64_t blocks = (uint64_t)s->n * s->k / type->elements;
  uint8_t *w = malloc(blocks * type->bytes);
  randomWeights(type, w, blocks, -4, random);
  functions[i] = (DriverFunction){.name = implementations[i].native[0]->name, .implementation = &implementations[i]};
  DriverCommand *c = &commands[i];
  *c = (DriverCommand){.kind = DriverCommandDispatch};
  c->dispatch.function = &functions[i];
  rowCounts[i] = s->rows;
  arguments[i][0] = s->n;
  arguments[i][1] = s->k;
  bindBuffer(c, 0, w, blocks * type->bytes);
  bindBuffer(c, 1, activations[s->matrix], 4ull * s->rows * s->k);
  bindBuffer(c, 2, outputs[i], 4ull * s->rows * s->n);
  bindBuffer(c, 3, &rowCounts[i], 4);
  bindBuffer(c, 4, arguments[i], 8);
  const uint32_t grid[] = {(s->n + 31) / 32 * 128, (s->rows + 31) / 32, 1}, threadgroup[] = {128, 1, 1};
  for (int d = 0; d < 3; d++) {
    c->dispatch.threads[d] = grid[d];
    c->dispatch.threadsPerThreadgroup[d] = threadgroup[d];
  }
  return true;
}

static void run(const DriverCommand *first, uint32_t count) {
  char *message = NULL;
  if (cpuDriver.execute(0, first, count, &message)) return;
  printf("it failed: %s\n", message ? message : "");
  exit(1);
}

int main(void) {
  Random random = {takeSeed()};
  for (uint32_t m = 0; m < 2; m++)
    for (uint32_t i = 0; i < MostRows * MostElements; i++) activations[m][i] = randomFloat(&random);
  for (uint32_t i = 0; i < Products; i++)
    if (!makeCommand(i, &random)) {
      printf("ok   there are no native kernels: nothing to share\n");
      return 0;
    }
  for (uint32_t i = 0; i < Products; i++) run(&commands[i], 1);
  memcpy(alone, outputs, sizeof alone);
  int failures = 0;
  for (uint32_t i = 0; i < Products; i++)
    for (uint32_t j = 0; j < i; j++) failures += memcmp(alone[i], alone[j], sizeof alone[i]) == 0;
  if (failures) printf("%d pairs of products are the same\n", failures);
  memset(outputs, 0x55, sizeof outputs);
  run(commands, Products);
  for (uint32_t i = 0; i < Products; i++)
    if (memcmp(outputs[i], alone[i], 4ull * shapes[i].rows * shapes[i].n) != 0) {
      printf("product %u is another one beside others\n", i);
      failures++;
    }
  for (uint32_t i = 0; i < Products; i++) free(commands[i].dispatch.buffers[0]);
  printf("%s products at once\n", failures ? "FAIL" : "ok  ");
  return failures ? 1 : 0;
}

/*
 * model_step.h: what a step of a model gives the CPU device to do: the dispatches of one token, or of the rows of a prompt,
 * as src/tensor makes them (fuse.ts), with native kernels. The embedding, which is one row, is left out.
 */
#ifndef BENCH_MODEL_STEP_H
#define BENCH_MODEL_STEP_H

#include "cpu/library.h"
#include "cpu/native/native.h"
#include "driver.h"
#include "../native/native_fixture.h"
#include "../native/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

typedef uint32_t uint; // as the shaders call it
#include "../../shaders/args.h"

typedef struct ModelShape {
  const char *name;
  uint32_t dim, layers, heads, kvHeads, headDim, hidden, vocabulary;
} ModelShape;

static const ModelShape modelShapes[] = {
    {"1.1b", 2048, 22, 32, 4, 64, 5632, 32000},
    {"8b", 4096, 32, 32, 8, 128, 14336, 128256},
};
enum { ModelShapes = sizeof modelShapes / sizeof *modelShapes, StepBlock = 32 /* positions of a block of the cache */ };

typedef struct ModelStep {
  DriverCommand *commands;
  const char **what; /* of each command */
  uint32_t count, room;
  DriverFunction *functions;
  CpuFunction *implementations;
  const uint8_t *weights;
  uint64_t usedBytes;
  float *x; /* the residual, which a run leaves changed */
  uint64_t xFloats;
} ModelStep;

/** Memory that is never written has no pages. */
static void *stepMemory(uint64_t bytes) {
  void *memory = mmap(NULL, bytes ? bytes : 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    fprintf(stderr, "there are no %llu MB of memory\n", (unsigned long long)(bytes >> 20));
    exit(1);
  }
  return memory;
}
static float *stepFloats(uint64_t count) { return stepMemory(4 * count); }

/** A block of arguments, which stays. */
#define STEP_ARGS(type, ...) (type *)memcpy(stepMemory(sizeof(type)), &(type){__VA_ARGS__}, sizeof(type))

/** Adds a dispatch. `waits`: for all before it. */
static DriverCommand *addDispatch(ModelStep *step, const char *what, const char *kernel, uint64_t x, uint64_t y, bool waits) {
  if (step->count == step->room) {
    fprintf(stderr, "too many dispatches\n");
    exit(1);
  }
  const uint32_t i = step->count++;
  DriverFunction *function = &step->functions[i];
  CpuFunction *implementation = &step->implementations[i];
  *implementation = (CpuFunction){0};
  nativeFind(kernel, implementation->native);
  if (!implementation->native[0]) {
    fprintf(stderr, "there is no native kernel %s\n", kernel);
    exit(1);
  }
  *function = (DriverFunction){.name = implementation->native[0]->name, .implementation = implementation};
  DriverCommand *command = &step->commands[i];
  *command = (DriverCommand){.kind = DriverCommandDispatch, .waits = waits};
  command->dispatch.function = function;
  command->dispatch.threads[0] = x;
  command->dispatch.threads[1] = y;
  command->dispatch.threads[2] = 1;
  for (int k = 0; k < 3; k++) command->dispatch.threadsPerThreadgroup[k] = 1;
  step->what[i] = what;
  return command;
}

static uint64_t matrixBytes(const WeightType *type, uint64_t n, uint64_t k) { return n * (k / type->elements * type->bytes); }

/** The next matrix of weights [n, k]. */
static const uint8_t *nextWeights(ModelStep *step, const WeightType *type, uint64_t n, uint64_t k) {
  const uint8_t *w = step->weights + step->usedBytes;
  step->usedBytes += matrixBytes(type, n, k);
  return w;
}

/** matvec_fused of one row. */
static void addFused(ModelStep *step, const char *what, const WeightType *type, uint32_t n, uint32_t k, const float *x,
                     const float *norm, uint32_t ending, const float *residual, float *out, bool waits) {
  char name[64];
  snprintf(name, sizeof name, "matvec_fused_%s", type->name);
  DriverCommand *c = addDispatch(step, what, name, (n + 3) / 4, 1, waits);
  const uint64_t bytes = matrixBytes(type, n, k);
  bindBuffer(c, 0, nextWeights(step, type, n, k), bytes);
  if (ending == EndingSilu) bindBuffer(c, 1, nextWeights(step, type, n, k), bytes);
  bindBuffer(c, 2, x, 4ull * k);
  if (norm) bindBuffer(c, 3, norm, 4ull * k);
  if (residual) bindBuffer(c, 4, residual, 4ull * n);
  bindBuffer(c, 5, out, 4ull * n);
  bindBuffer(c, 6, STEP_ARGS(struct FusedMatrixArgs, n, k, norm != NULL, 1e-5f, ending), sizeof(struct FusedMatrixArgs));
}

/** matvec_rows of `rows`. */
static void addRows(ModelStep *step, const char *what, const WeightType *type, uint32_t rows, uint32_t n, uint32_t k,
                    const float *x, float *out, bool waits) {
  char name[64];
  snprintf(name, sizeof name, "matvec_rows_%s", type->name);
  DriverCommand *c = addDispatch(step, what, name, (n + 3) / 4, (rows + 3) / 4, waits);
  bindBuffer(c, 0, nextWeights(step, type, n, k), matrixBytes(type, n, k));
  bindBuffer(c, 1, x, 4ull * rows * k);
  bindBuffer(c, 2, out, 4ull * rows * n);
  bindBuffer(c, 3, STEP_ARGS(struct RowArgs, rows), 4);
  bindBuffer(c, 4, STEP_ARGS(struct MatrixArgs, n, k), sizeof(struct MatrixArgs));
}

/** Rows of a kernel that takes buffers of as many floats, and then arguments that begin with `n`. */
static void addRowwise(ModelStep *step, const char *kernel, uint32_t rows, uint32_t n, uint32_t buffers, const float *const *x,
                       uint32_t vector, bool isWide) {
  DriverCommand *c = addDispatch(step, kernel, kernel, isWide ? n : 1, rows, true);
  for (uint32_t i = 0; i < buffers; i++) bindBuffer(c, i, x[i], i == vector ? 4ull * n : 4ull * rows * n);
  bindBuffer(c, buffers, STEP_ARGS(struct RmsNormArgs, n, 1e-5f), sizeof(struct RmsNormArgs));
}

/** Turning, storing and attention of `rows` at positions from `depth` on. */
static void addAttention(ModelStep *step, const ModelShape *s, uint32_t rows, uint32_t depth, float *q, float *k, float *v,
                         float *turnedQ, float *turnedK, float *out) {
  const uint32_t positions = depth + rows, blocks = (positions + StepBlock - 1) / StepBlock, kv = s->kvHeads * s->headDim;
  uint32_t *at = stepMemory(4ull * rows), *sequences = stepMemory(4ull * rows), *table = stepMemory(4ull * blocks);
  for (uint32_t i = 0; i < rows; i++) at[i] = depth + i;
  for (uint32_t i = 0; i < blocks; i++) table[i] = i;
  const float *frequencies = stepFloats(s->headDim / 2);
  for (uint32_t part = 0; part < 2; part++) {
    const uint32_t heads = part ? s->kvHeads : s->heads, n = heads * s->headDim;
    DriverCommand *c = addDispatch(step, "rope", "rope_interleaved_f32", n / 2, rows, part == 0);
    bindBuffer(c, 0, part ? k : q, 4ull * rows * n);
    bindBuffer(c, 1, at, 4ull * rows);
    bindBuffer(c, 2, frequencies, 2ull * s->headDim);
    bindBuffer(c, 3, part ? turnedK : turnedQ, 4ull * rows * n);
    bindBuffer(c, 4, STEP_ARGS(struct RopeArgs, heads, s->headDim, s->headDim, 1), sizeof(struct RopeArgs));
  }
  const uint64_t cacheBytes = 2ull * blocks * StepBlock * kv;
  uint8_t *keys = stepMemory(cacheBytes), *values = stepMemory(cacheBytes);
  DriverCommand *store = addDispatch(step, "kv_store", "kv_store_f16", kv, rows, true);
  bindBuffer(store, 0, turnedK, 4ull * rows * kv);
  bindBuffer(store, 1, v, 4ull * rows * kv);
  bindBuffer(store, 2, at, 4ull * rows);
  bindBuffer(store, 3, keys, cacheBytes);
  bindBuffer(store, 4, values, cacheBytes);
  bindBuffer(store, 5, STEP_ARGS(struct RowArgs, kv), sizeof(struct RowArgs));
  DriverCommand *c = addDispatch(step, "attention", "attention_f16", s->heads, rows, true);
  bindBuffer(c, 0, turnedQ, 4ull * rows * s->heads * s->headDim);
  bindBuffer(c, 1, keys, cacheBytes);
  bindBuffer(c, 2, values, cacheBytes);
  bindBuffer(c, 3, at, 4ull * rows);
  bindBuffer(c, 4, sequences, 4ull * rows);
  bindBuffer(c, 5, table, 4ull * blocks);
  bindBuffer(c, 6, out, 4ull * rows * s->heads * s->headDim);
  bindBuffer(c, 7, STEP_ARGS(struct AttentionArgs, s->heads, s->kvHeads, s->headDim, StepBlock, blocks, 0.1f, 0, NoWindow, 1),
         sizeof(struct AttentionArgs));
}

/** Numbers for a step to begin with. */
static inline void fillStep(const ModelStep *step) {
  Random random = {1};
  for (uint64_t i = 0; i < step->xFloats; i++) step->x[i] = randomFloat(&random);
}

/** The step of `rows` rows behind `depth` positions. Weights are of one type, stepWeightBytes() of `layers` layers. */
static ModelStep modelStep(const ModelShape *s, const WeightType *type, uint32_t layers, uint32_t rows, uint32_t depth,
                           const uint8_t *weights) {
  enum { MostPerLayer = 16 };
  ModelStep step = {.room = layers * MostPerLayer + 2, .weights = weights, .xFloats = (uint64_t)rows * s->dim};
  step.commands = calloc(step.room, sizeof *step.commands);
  step.what = calloc(step.room, sizeof *step.what);
  step.functions = calloc(step.room, sizeof *step.functions);
  step.implementations = calloc(step.room, sizeof *step.implementations);
  const uint32_t dim = s->dim, hidden = s->hidden, kv = s->kvHeads * s->headDim;
  float *x = step.x = stepFloats(step.xFloats), *h = stepFloats((uint64_t)rows * dim), *q = stepFloats((uint64_t)rows * dim);
  float *turnedQ = stepFloats((uint64_t)rows * dim), *k = stepFloats((uint64_t)rows * kv), *v = stepFloats((uint64_t)rows * kv);
  float *turnedK = stepFloats((uint64_t)rows * kv), *attended = stepFloats((uint64_t)rows * dim), *norm = stepFloats(hidden);
  float *gate = stepFloats((uint64_t)rows * hidden), *up = stepFloats((uint64_t)rows * hidden), *logits = stepFloats(s->vocabulary);
  for (uint32_t i = 0; i < dim; i++) norm[i] = 1;
  for (uint32_t layer = 0; layer < layers; layer++) {
    if (rows == 1) {
      addFused(&step, "q k v", type, dim, dim, x, norm, 0, NULL, q, true);
      addFused(&step, "q k v", type, kv, dim, x, norm, 0, NULL, k, false);
      addFused(&step, "q k v", type, kv, dim, x, norm, 0, NULL, v, false);
      addAttention(&step, s, 1, depth, q, k, v, turnedQ, turnedK, attended);
      addFused(&step, "attention output", type, dim, dim, attended, NULL, EndingAdd, x, x, true);
      addFused(&step, "gate and up", type, hidden, dim, x, norm, EndingSilu, NULL, gate, true);
      addFused(&step, "down", type, dim, hidden, gate, NULL, EndingAdd, x, x, true);
    } else {
      addRowwise(&step, "rmsnorm_f32", rows, dim, 3, (const float *[]){x, norm, h}, 1, false);
      addRows(&step, "q k v", type, rows, dim, dim, h, q, true);
      addRows(&step, "q k v", type, rows, kv, dim, h, k, false);
      addRows(&step, "q k v", type, rows, kv, dim, h, v, false);
      addAttention(&step, s, rows, depth, q, k, v, turnedQ, turnedK, attended);
      addRows(&step, "attention output", type, rows, dim, dim, attended, q, true);
      addRowwise(&step, "add_rmsnorm_f32", rows, dim, 5, (const float *[]){x, q, norm, x, h}, 2, false);
      addRows(&step, "gate and up", type, rows, hidden, dim, h, gate, true);
      addRows(&step, "gate and up", type, rows, hidden, dim, h, up, false);
      addRowwise(&step, "silu_mul_f32", rows, hidden, 3, (const float *[]){gate, up, gate}, 3, true);
      addRows(&step, "down", type, rows, dim, hidden, gate, q, true);
      addRowwise(&step, "add_f32", rows, dim, 3, (const float *[]){x, q, x}, 3, true);
    }
  }
  addFused(&step, "logits", type, s->vocabulary, dim, x + (uint64_t)(rows - 1) * dim, norm, 0, NULL, logits, true);
  return step;
}

/** Bytes of weights that a step reads. */
static uint64_t stepWeightBytes(const ModelShape *s, const WeightType *type, uint32_t layers) {
  const uint64_t kv = (uint64_t)s->kvHeads * s->headDim;
  const uint64_t layer = 2 * matrixBytes(type, s->dim, s->dim) + 2 * matrixBytes(type, kv, s->dim) +
                         2 * matrixBytes(type, s->hidden, s->dim) + matrixBytes(type, s->dim, s->hidden);
  return layers * layer + matrixBytes(type, s->vocabulary, s->dim);
}

#endif

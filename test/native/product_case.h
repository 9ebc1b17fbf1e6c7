/* product_case.h: a product that a kernel is to make, and the memory that it is bound to, which ends at guards. */
#ifndef TEST_NATIVE_PRODUCT_CASE_H
#define TEST_NATIVE_PRODUCT_CASE_H

#include "guarded.h"
#include "native_fixture.h"
#include "weights.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

typedef enum Family { Matvec, MatvecTiled, MatvecRows, MatvecExperts, MatvecFused, Matmul, Families } Family;
static const char *const familyNames[] = {"matvec", "matvec_tiled", "matvec_rows", "matvec_experts", "matvec_fused", "matmul"};
/** Which buffer is which. */
static const int outIndices[] = {2, 2, 2, 3, 5, 2}, xIndices[] = {1, 1, 1, 1, 2, 1}, argsIndices[] = {3, 3, 4, 4, 6, 4};
enum { Add = 1, Silu = 2, Gelu = 3 }; /* shaders/args.h */
static const float Eps = 1e-5f;

typedef struct Case {
  const WeightType *type;
  Family family;
  uint32_t rows, n, k, experts, share;
  int exponent;                      /* of the weights' scales */
  float size;                        /* of the activations */
  const char *special;               /* what takes the place of some activations: "nan", "infinity", "zero"; "alike": of all, and quants are, too */
  uint32_t ending;                   /* of matvec_fused */
  bool normalises;
} Case;

typedef struct Bound {
  Guarded w, x, out, ids, rowCount, second, norm, residual;
  uint32_t args[5];
  DriverCommand command;
} Bound;

static inline uint64_t rowBlocks(const Case *c) { return c->k / c->type->elements; }

static inline void randomFloats(Guarded memory, uint64_t count, float size, Random *random) {
  for (uint64_t i = 0; i < count; i++) ((float *)memory.bytes)[i] = randomFloat(random) * size;
}

/** Makes all but the scales of blocks the same: so that all products have one sign, and sums are as large as they can be. */
static inline void makeQuantsAlike(const WeightType *type, uint8_t *bytes, uint64_t blocks) {
  for (uint64_t i = 0; type->elements > 1 && i < blocks * type->bytes; i++) {
    const int at = (int)(i % type->bytes), first = type->halves[0], second = type->halves[1];
    const bool isHalf = (first >= 0 && at / 2 == first / 2) || (second >= 0 && at / 2 == second / 2);
    if (!isHalf && at != type->exponent) bytes[i] = 0x7f;
  }
}

static inline void makeBound(const Case *c, Bound *b, Random *random) {
  const uint64_t blocks = (uint64_t)c->experts * c->n * rowBlocks(c), xRows = (c->rows + c->share - 1) / c->share;
  const uint64_t wBytes = blocks * c->type->bytes, xBytes = xRows * c->k * 4, outBytes = (uint64_t)c->rows * c->n * 4;
  *b = (Bound){.w = guarded(wBytes), .x = guarded(xBytes), .out = guarded(outBytes), .ids = guarded(4 * c->rows),
               .rowCount = guarded(4), .second = guarded(wBytes), .norm = guarded(4 * c->k), .residual = guarded(outBytes),
               .args = {c->n, c->k, c->experts, c->share}};
  if (c->family == MatvecFused) {
    b->args[2] = c->normalises;
    memcpy(&b->args[3], &Eps, 4);
    b->args[4] = c->ending;
    randomWeights(c->type, b->second.bytes, blocks, c->exponent, random);
    randomFloats(b->norm, c->k, 1, random);
    randomFloats(b->residual, (uint64_t)c->rows * c->n, 1, random);
  }
  randomWeights(c->type, b->w.bytes, blocks, c->exponent, random);
  if (c->special && strcmp(c->special, "alike") == 0) makeQuantsAlike(c->type, b->w.bytes, blocks);
  float *x = (float *)b->x.bytes;
  randomFloats(b->x, xRows * c->k, c->size, random);
  if (c->special)
    for (uint64_t i = 0; i < xRows * c->k; i++) {
      if (strcmp(c->special, "zero") == 0) x[i] = 0;
      else if (strcmp(c->special, "alike") == 0) x[i] = 1;
      else if (i % c->k == c->k - 1) x[i] = strcmp(c->special, "nan") == 0 ? NAN : -INFINITY;
    }
  for (uint32_t i = 0; i < c->rows; i++) ((uint32_t *)b->ids.bytes)[i] = randomBits(random) % c->experts;
  memset(b->out.bytes, 0x55, outBytes);
  memcpy(b->rowCount.bytes, &c->rows, 4);
  DriverCommand *command = &b->command;
  command->kind = DriverCommandDispatch;
  bindBuffer(command, 0, b->w.bytes, wBytes);
  bindBuffer(command, (uint32_t)xIndices[c->family], b->x.bytes, xBytes);
  bindBuffer(command, (uint32_t)outIndices[c->family], b->out.bytes, outBytes);
  if (c->family == MatvecExperts) bindBuffer(command, 2, b->ids.bytes, 4 * c->rows);
  if (c->family == MatvecRows || c->family == Matmul) bindBuffer(command, 3, b->rowCount.bytes, 4);
  if (c->family == MatvecFused) {
    bindBuffer(command, 1, b->second.bytes, c->ending >= Silu ? wBytes : 0);
    bindBuffer(command, 3, b->norm.bytes, c->normalises ? 4 * c->k : 0);
    bindBuffer(command, 4, b->residual.bytes, c->ending == Add ? outBytes : 0);
  }
  bindBuffer(command, (uint32_t)argsIndices[c->family], b->args,
             c->family == MatvecFused ? 20 : c->family == MatvecExperts ? 16 : 8);
  command->dispatch.threads[0] = (c->n + 7) / 8 * 64;
  command->dispatch.threads[1] = c->family == MatvecRows ? (c->rows + 3) / 4 : c->rows;
  command->dispatch.threads[2] = 1;
  command->dispatch.threadsPerThreadgroup[0] = 64;
  if (c->family == Matmul) {
    command->dispatch.threads[0] = (c->n + 31) / 32 * 128;
    command->dispatch.threads[1] = (c->rows + 31) / 32;
    command->dispatch.threadsPerThreadgroup[0] = 128;
  }
  command->dispatch.threadsPerThreadgroup[1] = command->dispatch.threadsPerThreadgroup[2] = 1;
}

static inline void freeBound(Bound *b) {
  unmap(b->w), unmap(b->x), unmap(b->out), unmap(b->ids), unmap(b->rowCount);
  unmap(b->second), unmap(b->norm), unmap(b->residual);
}

#endif

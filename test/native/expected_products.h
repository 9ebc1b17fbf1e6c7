/* expected_products.h: what a product is in double precision, and how far from it a kernel's may be. */
#ifndef TEST_NATIVE_EXPECTED_PRODUCTS_H
#define TEST_NATIVE_EXPECTED_PRODUCTS_H

#include "product_case.h"

/** A product in double precision, and how far from it a result may be. */
typedef struct Expected {
  double value, bound;
} Expected;
/** Of blocks of 32 elements, sums of magnitudes and the largest magnitude: what bounds are made of. */
typedef struct Magnitudes {
  double sum, largest;
} Magnitudes;
static inline void magnitudesOf(const double *v, uint32_t k, Magnitudes *blocks) {
  for (uint32_t i = 0; i < k; i++) {
    if (i % 32 == 0) blocks[i / 32] = (Magnitudes){0, 0};
    const double magnitude = fabs(v[i]);
    blocks[i / 32].sum += magnitude;
    if (magnitude > blocks[i / 32].largest) blocks[i / 32].largest = magnitude;
  }
}
static inline uint64_t blocksOf(uint32_t k) { return (k + 31) / 32; }

static inline Expected expected(const Case *c, const double *w, const Magnitudes *weights, const double *x, const Magnitudes *activations) {
  Expected e = {0, 1e-36};
  for (uint32_t i = 0; i < c->k; i++) e.value += w[i] * x[i];
  if (c->type->elements == 1)
    for (uint32_t i = 0; i < c->k; i++) e.bound += fabs(w[i] * x[i]) * 1e-6;
  else
    for (uint32_t block = 0; block < blocksOf(c->k); block++) e.bound += weights[block].sum * activations[block].largest * 2e-5;
  return e;
}

/** activation(gate) * factor: both functions are no steeper than 1.2. */
static inline Expected gated(const Case *c, Expected gate, Expected factor) {
  const double x = gate.value, y = c->ending == Silu ? x : 1.5957691216057308 * (x + 0.044715 * x * x * x);
  const double activated = x / (1 + exp(-y));
  return (Expected){activated * factor.value,
                    1.2 * gate.bound * (fabs(factor.value) + factor.bound) + fabs(activated) * (factor.bound + 1e-6 * fabs(factor.value)) + 1e-30};
}

/** The activations of a row. */
static inline void readRow(const Case *c, const Bound *b, uint32_t row, double *x) {
  double squares = 0;
  for (uint32_t i = 0; i < c->k; i++) {
    x[i] = (double)((const float *)b->x.bytes)[(uint64_t)(row / c->share) * c->k + i];
    squares += x[i] * x[i];
  }
  if (c->normalises)
    for (uint32_t i = 0; i < c->k; i++)
      x[i] *= (double)((const float *)b->norm.bytes)[i] / sqrt(squares / c->k + (double)Eps);
}

/** A row of weights, which stays decoded until another one is asked for. */
typedef struct Decoded {
  const uint8_t *row;
  double *weights;
  Magnitudes *magnitudes;
} Decoded;
static inline Decoded makeDecoded(uint32_t k) {
  return (Decoded){NULL, malloc(sizeof(double) * k), malloc(sizeof(Magnitudes) * blocksOf(k))};
}
static inline void freeDecoded(Decoded *d) { free(d->weights), free(d->magnitudes); }
static inline void decode(const Case *c, const uint8_t *row, Decoded *d) {
  if (d->row == row) return;
  for (uint32_t i = 0; i < c->k; i++)
    d->weights[i] = c->type->element(row + i / c->type->elements * c->type->bytes, i % c->type->elements);
  magnitudesOf(d->weights, c->k, d->magnitudes);
  d->row = row;
}

/** All outputs, in double precision. To be freed. */
static inline Expected *expectedOutputs(const Case *c, const Bound *b) {
  Expected *all = malloc(sizeof *all * c->rows * c->n);
  const uint64_t blocks = blocksOf(c->k);
  double *x = malloc(sizeof *x * c->rows * c->k);
  Magnitudes *activations = malloc(sizeof *activations * c->rows * blocks);
  Decoded weights = makeDecoded(c->k), second = makeDecoded(c->k);
  for (uint32_t r = 0; r < c->rows; r++) {
    readRow(c, b, r, x + (uint64_t)r * c->k);
    magnitudesOf(x + (uint64_t)r * c->k, c->k, activations + r * blocks);
  }
  for (uint32_t o = 0; o < c->n; o++)
    for (uint32_t r = 0; r < c->rows; r++) {
      const uint64_t expert = c->family == MatvecExperts ? ((const uint32_t *)b->ids.bytes)[r] : 0;
      const uint64_t row = (expert * c->n + o) * rowBlocks(c) * c->type->bytes, at = (uint64_t)r * c->n + o;
      const double *xRow = x + (uint64_t)r * c->k;
      const Magnitudes *xMagnitudes = activations + r * blocks;
      decode(c, b->w.bytes + row, &weights);
      Expected e = expected(c, weights.weights, weights.magnitudes, xRow, xMagnitudes);
      if (c->ending >= Silu) {
        decode(c, b->second.bytes + row, &second);
        e = gated(c, e, expected(c, second.weights, second.magnitudes, xRow, xMagnitudes));
      }
      if (c->ending == Add) e.value += (double)((const float *)b->residual.bytes)[at], e.bound += 1e-6;
      all[at] = e;
    }
  freeDecoded(&second), freeDecoded(&weights), free(activations), free(x);
  return all;
}

#endif

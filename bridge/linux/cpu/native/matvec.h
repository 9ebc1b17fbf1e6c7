/*
 * matvec.h: products of weights with one row of activations, or a few. Part of level.h.
 *
 * R rows of weights and M of activations at once: each weight is decoded once for all M, each activation read once for all
 * R. The sum of an output is made in the same order for any R and M.
 */

/**
 * How far ahead of those in use weights are asked for, in each of the R rows: what arrives while memory answers, and from the next
 * page, as processors that foresee what is wanted stop at a page's end, and mapped files have small ones. Behind a row lies the
 * one that is wanted next (product.h).
 */
#ifndef NATIVE_BYTES_AHEAD // test/bench/pool_scaling.c may be built with other ones
#define NATIVE_BYTES_AHEAD 2048
#endif
enum : uint32_t { BytesAhead = NATIVE_BYTES_AHEAD };

/** Asks for the first weights of `count` rows, as multiply() asks for those of what lies behind what it is given. */
__attribute__((noinline)) static void ask_for_first(const uint8_t *const *rows, uint32_t count) {
  for (uint32_t i = 0; i < BytesAhead; i += 64)
    for (uint32_t r = 0; r < count; r++) __builtin_prefetch(rows[r] + i);
}

/** Parts that have the scale of one run. */
template <typename Runs>
constexpr uint32_t PartsOfRun = sizeof(Runs) * PartElements > GroupElements * sizeof(float)
                                    ? 1 : GroupElements * sizeof(float) / sizeof(Runs) / PartElements;

/** Adds the parts of a group from `part` on to the lanes' sums. */
template <typename W, uint32_t R, uint32_t M, uint32_t part>
INLINE void add_parts(const uint8_t *const (&groups)[R], const ActivationGroup *const (&x)[M],
                      const typename W::Runs (&scales)[R][M], Floats (&sums)[R][M]) {
  constexpr uint32_t count = PartsOfRun<typename W::Runs>;
  static_assert(count <= 2);
#pragma clang loop unroll(full)
  for (uint32_t r = 0; r < R; r++) {
    Ubytes weights[count];
    weights[0] = W::template weights<part>(groups[r]);
    if constexpr (count > 1) weights[1] = W::template weights<part + 1>(groups[r]);
#pragma clang loop unroll(full)
    for (uint32_t m = 0; m < M; m++) {
      const Ints products = dot(weights, x[m]->quants + 2 * PartElements * part);
      sums[r][m] = fma(__builtin_convertvector(products, Floats), lanes_of<part>(scales[r][m]), sums[r][m]);
    }
  }
  if constexpr (part + count < Parts) add_parts<W, R, M, part + count>(groups, x, scales, sums);
}

INLINE const Eight *scales_of(const ActivationGroup *x, Eight) { return (const Eight *)x->scales32; }
INLINE const Sixteen *scales_of(const ActivationGroup *x, Sixteen) { return (const Sixteen *)x->scales16; }
INLINE const Eight *sums_of(const ActivationGroup *x, Eight) { return (const Eight *)x->sums32; }
INLINE const Sixteen *sums_of(const ActivationGroup *x, Sixteen) { return (const Sixteen *)x->sums16; }

/** Adds a group. `offsets` are sums over runs. */
template <typename W, uint32_t R, uint32_t M>
INLINE void add_group(const uint8_t *const (&groups)[R], const ActivationGroup *const (&x)[M], Floats (&sums)[R][M],
                      typename W::Runs (&offsets)[R][M]) {
  typedef typename W::Runs Runs;
  Runs scales[R][M];
  for (uint32_t r = 0; r < R; r++) {
    Runs dots, factors;
    W::scales(groups[r], dots, factors);
    for (uint32_t m = 0; m < M; m++) {
      scales[r][m] = dots * *scales_of(x[m], Runs{});
      if constexpr (W::SumFactor != 0) offsets[r][m] += factors * *sums_of(x[m], Runs{});
    }
  }
  add_parts<W, R, M, 0>(groups, x, scales, sums);
}

/** The lanes' sums of eight or sixteen. */
INLINE Floats folded(Eight v) {
#if NATIVE_LANES == 16
  return __builtin_shufflevector(v, Eight{}, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
#elif NATIVE_LANES == 8
  return v;
#else
  return __builtin_shufflevector(v, v, 0, 1, 2, 3) + __builtin_shufflevector(v, v, 4, 5, 6, 7);
#endif
}
INLINE Floats folded(Sixteen v) {
#if NATIVE_LANES == 16
  return v;
#else
  return folded(__builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) +
                __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15));
#endif
}

/** Rows of quantised weights with rows of activations. */
template <typename W, uint32_t R, uint32_t M>
__attribute__((noinline)) static void multiply(const uint8_t *const (&rows)[R], const ActivationGroup *const (&x)[M], uint32_t k,
                                               float *const (&out)[R][M]) {
  typedef typename W::Runs Runs;
  const uint8_t *groups[R];
  const ActivationGroup *activations[M];
  Floats sums[R][M] = {};
  Runs offsets[R][M] = {};
  for (uint32_t r = 0; r < R; r++) groups[r] = rows[r];
  for (uint32_t m = 0; m < M; m++) activations[m] = x[m];
  for (uint32_t g = 0; g < k / GroupElements; g++) {
    for (uint32_t r = 0; r < R; r++)
      for (uint32_t i = 0; i < W::GroupBytes; i += 64) __builtin_prefetch(groups[r] + BytesAhead + i);
    add_group<W>(groups, activations, sums, offsets);
    for (uint32_t r = 0; r < R; r++) groups[r] += W::GroupBytes;
    for (uint32_t m = 0; m < M; m++) activations[m]++;
  }
  if constexpr (W::Elements < GroupElements) {
    if (const uint32_t left = k % GroupElements / W::Elements * W::Bytes) {
      alignas(64) uint8_t copies[R][W::GroupBytes];
      const uint8_t *last[R];
      for (uint32_t r = 0; r < R; r++) {
        __builtin_memset(copies[r], 0, W::GroupBytes);
        __builtin_memcpy(copies[r], groups[r], left);
        last[r] = copies[r];
      }
      add_group<W>(last, activations, sums, offsets);
    }
  }
  for (uint32_t r = 0; r < R; r++)
    for (uint32_t m = 0; m < M; m++)
      *out[r][m] = sum_of(sums[r][m] + folded(offsets[r][m]) * W::SumFactor) * (1.0f / ActivationUnit);
}

// ---- weights that are floats ---------------------------------------------------------------------------------------

struct F32 {
  static constexpr uint32_t Elements = 1, Bytes = 4;
  INLINE Floats weights(const uint8_t *w) { return load<Floats>(w); }
};

struct F16 {
  static constexpr uint32_t Elements = 1, Bytes = 2;
  INLINE Floats weights(const uint8_t *w) { return load_f16(w); }
};

struct BF16 {
  static constexpr uint32_t Elements = 1, Bytes = 2;
  INLINE Floats weights(const uint8_t *w) { return load_bf16(w); }
};

/** The same of floats: each output has two sums, of every other vector. */
template <typename W, uint32_t R, uint32_t M>
__attribute__((noinline)) static void multiply(const uint8_t *const (&rows)[R], const float *const (&x)[M], uint32_t k,
                                               float *const (&out)[R][M]) {
  constexpr uint32_t Step = 2 * Lanes, StepBytes = Step * W::Bytes;
  Floats sums[R][M][2] = {};
  for (uint64_t i = 0; i < k; i += Step) {
    const uint64_t at = i * W::Bytes;
    const uint32_t count = uint32_t(k - i);
    if (count >= Step) {
      for (uint32_t r = 0; r < R; r++) {
        if (at % 64 < StepBytes) __builtin_prefetch(rows[r] + at + BytesAhead);
        if (StepBytes > 64) __builtin_prefetch(rows[r] + at + BytesAhead + 64);
      }
      for (uint32_t j = 0; j < 2; j++) {
        Floats activations[M];
        for (uint32_t m = 0; m < M; m++) activations[m] = load_f32(x[m] + i + j * Lanes);
        for (uint32_t r = 0; r < R; r++) {
          const Floats weights = W::weights(rows[r] + at + j * Lanes * W::Bytes);
          for (uint32_t m = 0; m < M; m++) sums[r][m][j] = fma(weights, activations[m], sums[r][m][j]);
        }
      }
      continue;
    }
    for (uint32_t j = 0; j < 2 && j * Lanes < count; j++) {
      const uint32_t left = count - j * Lanes < Lanes ? count - j * Lanes : uint32_t(Lanes);
      for (uint32_t r = 0; r < R; r++) {
        alignas(64) uint8_t copy[4 * Lanes] = {};
        __builtin_memcpy(copy, rows[r] + at + j * Lanes * W::Bytes, left * W::Bytes);
        const Floats weights = W::weights(copy);
        for (uint32_t m = 0; m < M; m++)
          sums[r][m][j] = fma(weights, load_f32(x[m] + i + j * Lanes, left), sums[r][m][j]);
      }
    }
  }
  for (uint32_t r = 0; r < R; r++)
    for (uint32_t m = 0; m < M; m++) *out[r][m] = sum_of(sums[r][m][0] + sums[r][m][1]);
}

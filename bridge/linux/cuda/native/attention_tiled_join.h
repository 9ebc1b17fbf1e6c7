/*
 * attention_tiled_join.h: what several blocks have summed of the keys of one tile of queries, put together. Part of
 * attention_tiled.cu.
 */
#ifndef BUN_METAL_CUDA_NATIVE_ATTENTION_TILED_JOIN_H
#define BUN_METAL_CUDA_NATIVE_ATTENTION_TILED_JOIN_H

/** What a block has summed: f32 [TileQueries, Width], and of each query the maximum and the total of its weights. */
template <u32 Width, u32 TileQueries> struct Partials {
  static constexpr u32 Floats = TileQueries * (Width + 2);
  float *first; // of the tile's first block

  DEVICE_MEMBER float *sums(u32 split, u32 query) const { return first + split * Floats + query * Width; }
  DEVICE_MEMBER float *ends(u32 split, u32 query) const { return first + split * Floats + TileQueries * Width + 2 * query; }
};

/** Whether all the others of the `used` blocks of a tile have written their partials: of one of them it is so. */
DEVICE bool isLastOfTile(u32 *counter, u32 used, u32 *shared) {
  fence();
  syncThreads();
  if (threadIndex() == 0) {
    *shared = atomicAdd(counter, 1) == used - 1;
    if (*shared != 0) *counter = 0;
  }
  syncThreads();
  if (*shared == 0) return false;
  fence();
  return true;
}

/** The share of each partial in what is written, [query, split]. */
template <u32 Width, u32 TileQueries> DEVICE void weighPartials(Partials<Width, TileQueries> partials, u32 used, float *weights) {
  for (u32 query = threadIndex(); query < TileQueries; query += threadCount()) {
    float largest = Unseen, total = 0.0f;
    for (u32 i = 0; i < used; ++i) largest = maximum(largest, loadShared(partials.ends(i, query)));
    for (u32 i = 0; i < used; ++i) {
      const float own = loadShared(partials.ends(i, query)), weight = own == Unseen ? 0.0f : fastExp2(own - largest);
      weights[query * used + i] = weight;
      total += weight * loadShared(partials.ends(i, query) + 1);
    }
    const float factor = total > 0.0f ? 1.0f / total : 0.0f;
    for (u32 i = 0; i < used; ++i) weights[query * used + i] *= factor;
  }
  syncThreads();
}

/** Four dimensions of a query. */
template <u32 Width, u32 TileQueries>
DEVICE f32x4 joinPartials(Partials<Width, TileQueries> partials, u32 used, const float *weights, u32 query, u32 dimension) {
  f32x4 sum = {0.0f, 0.0f, 0.0f, 0.0f};
  for (u32 i = 0; i < used; ++i)
    sum += __builtin_bit_cast(f32x4, loadShared16(partials.sums(i, query) + dimension)) * weights[query * used + i];
  return sum;
}

#endif

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

/** The share of each partial in what is written, [query, split]. A lane has a split. */
template <u32 Width, u32 TileQueries> DEVICE void weighPartials(Partials<Width, TileQueries> partials, u32 used, float *weights) {
  constexpr u32 AtOnce = 4;
  const u32 warps = threadCount() / 32, lane = laneIndex();
  for (u32 first = warpIndex(); first < TileQueries; first += AtOnce * warps) {
    float maxima[AtOnce], totals[AtOnce];
    UNROLL for (u32 i = 0; i < AtOnce; ++i) {
      const u32 query = minimum(first + i * warps, TileQueries - 1);
      maxima[i] = lane < used ? loadShared(partials.ends(lane, query)) : Unseen;
      totals[i] = lane < used ? loadShared(partials.ends(lane, query) + 1) : 0.0f;
    }
    UNROLL for (u32 i = 0; i < AtOnce; ++i) {
      const float largest = reduceMaxWarp(maxima[i]);
      const float weight = maxima[i] == Unseen ? 0.0f : fastExp2(maxima[i] - largest);
      const float total = reduceAddWarp(weight * totals[i]);
      const u32 query = first + i * warps;
      if (lane < used && query < TileQueries) weights[query * used + lane] = total > 0.0f ? weight / total : 0.0f;
    }
  }
  syncThreads();
}

/** Writes sums of all splits, of this thread's parts of a tile: `place(query)` is where a query goes, or nullptr. */
template <u32 Width, u32 TileQueries, typename Place>
DEVICE void joinPartials(Partials<Width, TileQueries> partials, u32 used, const float *weights, u32 headDim, const Place &place) {
  constexpr u32 AtOnce = 8, Fours = Width / 4; // loads of a thread
  for (u32 cell = threadIndex(); cell < TileQueries * Fours; cell += threadCount()) {
    const u32 query = cell / Fours, dimension = cell % Fours * 4;
    float *out = place(query);
    if (out == nullptr || dimension >= headDim) continue;
    f32x4 sum = {0.0f, 0.0f, 0.0f, 0.0f};
    for (u32 first = 0; first < used; first += AtOnce) {
      u32x4 parts[AtOnce];
      UNROLL for (u32 i = 0; i < AtOnce; ++i)
        parts[i] = loadShared16(partials.sums(minimum(first + i, used - 1), query) + dimension);
      UNROLL for (u32 i = 0; i < AtOnce; ++i)
        if (first + i < used) sum += __builtin_bit_cast(f32x4, parts[i]) * weights[query * used + first + i];
    }
    *(f32x2 *)(out + dimension) = f32x2{sum.x, sum.y};
    *(f32x2 *)(out + dimension + 2) = f32x2{sum.z, sum.w};
  }
}

#endif

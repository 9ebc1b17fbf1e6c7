/*
 * attention_join.h: puts together what the warps of a block have summed, and then what the blocks of a head have. Part of
 * attention_row.cu.
 *
 * All sums are of weights 2^(score - highest), so that parts are joined as sum = sum_i 2^(highest_i - highest) sum_i.
 * Partials: of each tile of heads and each block [splits][AttentionRowQueries] of [headDim] sums, then [splits][AttentionRowQueries] of
 * (highest, total).
 */

/** The sums of a warp. */
template <u32 HeadDim> struct WarpSums {
  float values[AttentionRowQueries][HeadDim];
  float highest[AttentionRowQueries], total[AttentionRowQueries];
};

/** Where the partials of a tile of heads are. */
template <u32 HeadDim> struct Partials {
  float *values;
  f32x2 *heights; // and totals

  DEVICE_MEMBER Partials(const CudaAttentionRow &p, u64 tile) {
    const u64 rows = (u64)p.splits * AttentionRowQueries;
    values = p.partials + tile * rows * (HeadDim + 2);
    heights = (f32x2 *)(values + rows * HeadDim);
  }
};

/** A query's part of a block: 4 dimensions of it, with what they are relative to. */
struct JoinedSums {
  f32x4 values;
  float highest, total;
};

template <u32 HeadDim>
DEVICE JoinedSums joinWarps(const unsigned char *rings, u32 ringBytes, u32 warps, u32 query, u32 dimension) {
  const auto sumsOf = [&](u32 w) -> const WarpSums<HeadDim> & { return *(const WarpSums<HeadDim> *)(rings + w * ringBytes); };
  JoinedSums joined = {{0, 0, 0, 0}, maskedScore, 0.0f};
  float highest[AttentionRowWarps];
  UNROLL for (u32 w = 0; w < AttentionRowWarps; w++) {
    highest[w] = w < warps ? sumsOf(w).highest[query] : maskedScore;
    joined.highest = maximum(joined.highest, highest[w]);
  }
  UNROLL for (u32 w = 0; w < AttentionRowWarps; w++) {
    if (w >= warps) continue;
    const float weight = fastExp2(highest[w] - joined.highest);
    joined.values += weight * as<f32x4>(&sumsOf(w).values[query][dimension]);
    joined.total += weight * sumsOf(w).total[query];
  }
  return joined;
}

/** out = what the blocks of a tile of heads have summed, over their totals. `weights`: [AttentionRowQueries][splits], shared. */
template <u32 HeadDim>
DEVICE void joinBlocks(const CudaAttentionRow &p, u64 tile, u32 used, u32 group, float *out, float *weights) {
  constexpr u32 ahead = 8; // partials that are asked for before the first is used
  const Partials<HeadDim> partials(p, tile);
  const u32 thread = threadIndex(), warp = warpIndex(), lane = laneIndex();
  f32x4 some[ahead];
  const auto load = [&](u32 item, u32 first) {
    const float *from = partials.values + (u64)(item / (HeadDim / 4)) * HeadDim + item % (HeadDim / 4) * 4;
    UNROLL for (u32 i = 0; i < ahead; i++) {
      if (first + i >= used) continue;
      some[i] = __builtin_bit_cast(f32x4, loadShared16(from + (u64)(first + i) * AttentionRowQueries * HeadDim));
    }
  };
  if (thread < group * (HeadDim / 4)) load(thread, 0);

  static_assert(AttentionRowWarps == AttentionRowQueries);
  f32x2 mine[AttentionRowMostSplits / 32];
  float highest = maskedScore, total = 0.0f;
  UNROLL for (u32 i = 0; i < AttentionRowMostSplits / 32; i++) {
    const u32 s = lane + 32 * i;
    mine[i] = f32x2{maskedScore, 0.0f};
    if (32 * i < used && s < used) {
      const float *from = (const float *)&partials.heights[(u64)s * AttentionRowQueries + warp];
      mine[i] = f32x2{loadShared(from), loadShared(from + 1)};
    }
    highest = maximum(highest, mine[i].x);
  }
  highest = reduceMaxWarp(highest);
  UNROLL for (u32 i = 0; i < AttentionRowMostSplits / 32; i++) {
    mine[i].x = fastExp2(mine[i].x - highest);
    total += mine[i].x * mine[i].y;
  }
  const float reciprocal = fastReciprocal(reduceAddWarp(total));
  UNROLL for (u32 i = 0; i < AttentionRowMostSplits / 32; i++) {
    const u32 s = lane + 32 * i;
    if (s < used) weights[warp * AttentionRowMostSplits + s] = mine[i].x * reciprocal;
  }
  syncThreads();

  for (u32 item = thread; item < group * (HeadDim / 4); item += AttentionRowThreads) {
    const u32 query = item / (HeadDim / 4), dimension = item % (HeadDim / 4) * 4;
    const float *of = weights + query * AttentionRowMostSplits;
    f32x4 sum = {0, 0, 0, 0};
    for (u32 first = 0; first < used; first += ahead) {
      if (first > 0 || item != thread) load(item, first);
      UNROLL for (u32 i = 0; i < ahead; i++) {
        if (first + i < used) sum += of[first + i] * some[i];
      }
    }
    as<f32x4>(&out[query * HeadDim + dimension]) = sum;
  }
}

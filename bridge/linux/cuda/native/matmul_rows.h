/*
 * matmul_rows.h: the activations of a product, converted to what tensor cores multiply. Part of matmul.cu.
 *
 * All blocks together convert all rows, each row once: a block claims four rows, converts them, and claims more, until there
 * are no more. Then it waits for those that others have claimed, who are running: so it need not be known how many blocks run at
 * once. Blocks read half as much from then on as x itself would be, as tiles that they copy as they are.
 *
 * Halves have 11 bits, but not the range of floats. A row is multiplied by the power of two that brings the largest finite one
 * of its elements to 2^14 .. 2^15; what is below 2^-28 of that has fewer bits, and an error of 2^-40 of it. For weights in
 * bfloats and floats, x is two bfloats, which have 16 bits together, and the range.
 */

/** The largest power of two that a row is multiplied by: smaller rows than 2^-112 have fewer bits. */
constexpr i32 MostRowExponent = 126;

/** The upper eight bits of a float, and the rest, rounded. */
struct BfloatParts {
  float high, low;
};
DEVICE BfloatParts bfloatParts(float v) {
  const float high = floatOf(bitsOf(v) & 0xffff0000);
  /* Of an infinity the rest is no number. A NaN whose bits are all in the rest stays one. */
  const bool isFinite = (bitsOf(v) & 0x7f800000) != 0x7f800000;
  return {isFinite || v == high ? high : v, isFinite ? v - high : 0.0f};
}

/** Where the tile of a step is that a block copies as it is: the planes of a step follow one another. */
template <u32 planes> DEVICE u8 *convertedTile(const MatmulParameters &p, u32 rowTile, u32 step) {
  return (u8 *)p.partial + ((u64)rowTile * (p.depth / MatmulTileDepth) + step) * (planes * RowTileBytes);
}
/** With one plane: what the sums of a row are multiplied by. */
DEVICE float *rowFactors(const MatmulParameters &p) { return (float *)(p.partial + p.factorsOffset); }

/** Four elements of a row, from `i` on. */
template <u32 planes> DEVICE void storeConverted(const MatmulParameters &p, u32 row, u32 i, f32x4 v, float power) {
  u8 *const to = convertedTile<planes>(p, row / MatmulTileRows, i / MatmulTileDepth) +
                 placeInTile(row % MatmulTileRows, i % MatmulTileDepth / 8) + i % 8 * 2;
  if constexpr (planes == 1) {
    *(u32x2 *)to = u32x2{floatsToHalves(v.x * power, v.y * power), floatsToHalves(v.z * power, v.w * power)};
  } else {
    const BfloatParts a = bfloatParts(v.x), b = bfloatParts(v.y), c = bfloatParts(v.z), d = bfloatParts(v.w);
    *(u32x2 *)to = u32x2{floatsToBfloats(a.high, b.high), floatsToBfloats(c.high, d.high)};
    *(u32x2 *)(to + RowTileBytes) = u32x2{floatsToBfloats(a.low, b.low), floatsToBfloats(c.low, d.low)};
  }
}

/** Elements of a row that its threads hold at a time. */
constexpr u32 HeldElements = 2048;

/** Those of one of the row's `threads`. */
template <u32 threads> struct HeldElementsOfRow {
  static constexpr u32 Vectors = HeldElements / 4 / threads;
  f32x4 vectors[Vectors];
};
template <u32 threads> DEVICE u32 heldIndex(u32 part, u32 vector) {
  return part * HeldElements + 4 * (vector * threads + threadIndex() % threads);
}
/** Zeros past the row's end, at `count`. */
template <u32 threads> DEVICE void loadHeld(HeldElementsOfRow<threads> &held, const float *x, u32 part, u32 count) {
  UNROLL for (u32 j = 0; j < held.Vectors; j++) {
    const u32 i = heldIndex<threads>(part, j);
    held.vectors[j] = i < count ? *(const f32x4 *)(x + i) : f32x4{0, 0, 0, 0};
  }
}
template <u32 threads> DEVICE float largestHeld(const HeldElementsOfRow<threads> &held, float largest) {
  UNROLL for (u32 j = 0; j < held.Vectors; j++) {
    const f32x4 v = held.vectors[j];
    largest = maximum(maximum(largest, maximum(finiteMagnitude(v.x), finiteMagnitude(v.y))),
                      maximum(finiteMagnitude(v.z), finiteMagnitude(v.w)));
  }
  return largest;
}

/** The largest among a row's threads. */
template <u32 threads> DEVICE float largestOfRow(float largest, float *maxima) {
  const u32 warp = warpIndex();
  largest = reduceMaxWarp(largest);
  if (laneIndex() == 0) maxima[warp] = largest;
  syncThreads();
  const u32 firstWarp = threadIndex() / threads * (threads / 32);
  for (u32 i = 0; i < threads / 32; i++) largest = maximum(largest, maxima[firstWarp + i]);
  return largest;
}

/** Claims and converts rows while there are some, and zeros up to the end of the last tile. `control` is shared memory: a word,
 * and one of each warp. */
template <u32 planes, u32 blockThreads> DEVICE_CALLED void convertRows(const MatmulParameters p, u32 rows, u32 *control) {
  constexpr u32 threads = blockThreads / MatmulClaimedRows;
  u32 *const counters = (u32 *)p.counters;
  const u32 thread = threadIndex(), parts = (p.depth + HeldElements - 1) / HeldElements;
  for (;;) {
    if (thread == 0) control[0] = atomicAdd(counters + MatmulClaims, 1);
    syncThreads();
    const u32 first = control[0] * MatmulClaimedRows;
    if (first >= (rows + MatmulTileRows - 1) / MatmulTileRows * MatmulTileRows) break;
    const u32 row = first + thread / threads, count = row < rows ? p.k : 0;
    const float *const x = (const float *)p.x + (u64)row * p.k;
    HeldElementsOfRow<threads> held;
    float power = 1, largest = 0;
    for (u32 part = 0; part < parts; part++) {
      loadHeld(held, x, part, count);
      if (planes == 1) largest = largestHeld(held, largest);
    }
    if (planes == 1) {
      largest = largestOfRow<threads>(largest, (float *)(control + 1));
      /* 2^exponent <= largest < 2^(exponent + 1), but for denormal numbers */
      const i32 exponent = exponentOf(largest), raised = minimum(14 - exponent, MostRowExponent);
      power = powerOfTwo(raised);
      if (thread % threads == 0 && row < rows) rowFactors(p)[row] = powerOfTwo(-raised);
    }
    for (u32 part = parts; part-- > 0;) { /* the last part is held already */
      if (part + 1 < parts) loadHeld(held, x, part, count);
      UNROLL for (u32 j = 0; j < held.Vectors; j++)
        if (heldIndex<threads>(part, j) < p.depth)
          storeConverted<planes>(p, row, heldIndex<threads>(part, j), held.vectors[j], power);
    }
    syncThreads();
    if (thread == 0) {
      fence();
      atomicAdd(counters + MatmulFirstCounter + first / MatmulTileRows, 1);
    }
  }
}

/** Waits until the rows of a tile are converted. */
DEVICE void waitForRows(u32 tile, const u32 *counters) {
  if (threadIndex() == 0)
    while (loadAcquire(counters + MatmulFirstCounter + tile) < MatmulTileRows / MatmulClaimedRows) {}
  syncThreads();
}

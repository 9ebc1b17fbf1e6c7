/*
 * matmul_source.h: how tiles of x and of weights come into shared memory. Part of matmul.cu.
 *
 * A source is what a thread has to know for that. Functions of sources of weights: startWeights(); copyWeights() is called for
 * each step, in order, two steps ahead or more; prepareWeights() for the next step, while one is multiplied; weightsPlace() says
 * where a plane of a step is then. 256 threads do that: all, or those that do not multiply.
 */

/** Whether a kernel's blocks have threads that prepare for those that multiply. */
template <typename Weights> constexpr bool HasPreparers = HasGroupProducts && Weights::IsPrepared;
template <typename Weights> constexpr u32 BlockThreads = HasPreparers<Weights> ? 2 * MatmulThreads : MatmulThreads;
template <typename Weights> constexpr u32 Stages = HasPreparers<Weights> ? MatmulPreparedStages : MatmulStages;

DEVICE u32 workerIndex() { return threadIndex() % MatmulThreads; }

/** What a block works on. */
struct Tile {
  u64 w, out;                /* in memory: a job's */
  u32 n;
  u32 rows;                  /* of all of x */
  u32 firstRow, firstOutput;
  u32 firstStep, steps;      /* of k */
  u8 *rowsStaged, *weightsStaged; /* in shared memory */
};

/* ---- converted x: all planes of a step are one piece of memory --------------------------------------------------- */

template <typename Weights> DEVICE u8 *rowsPlace(const Tile &tile, u32 step) {
  return tile.rowsStaged + step % Stages<Weights> * (Weights::RowPlanes * RowTileBytes);
}
template <typename Weights> DEVICE void copyRows(const MatmulParameters &p, const Tile &tile, u32 step) {
  const u32 rowTile = tile.firstRow / MatmulTileRows, place = 16 * workerIndex();
  const u8 *const from = convertedTile<Weights::RowPlanes>(p, rowTile, tile.firstStep + step) + place;
  u8 *const to = rowsPlace<Weights>(tile, step) + place;
  UNROLL for (u32 i = 0; i < Weights::RowPlanes * RowTileBytes; i += 16 * MatmulThreads) copyAsync16(to + i, from + i);
}

/* ---- matrices of 16-bit elements, as they are -------------------------------------------------------------------- */

/** A thread copies one piece of each 32nd row. */
template <u32 count> struct TileCopy {
  static constexpr u32 RowsApart = MatmulThreads / TilePieces, Copies = count / RowsApart;
  const u8 *from;      /* its piece of step 0 */
  u64 apart;           /* bytes between its rows */
  u32 bytes[Copies];   /* 16, or 0 of rows that there are not: they are zero */
  u32 place;
};

template <u32 count>
DEVICE void startCopy(TileCopy<count> &copy, const u16 *matrix, u32 rowLength, u32 firstRow, u32 rows, u32 firstStep) {
  const u32 row = workerIndex() / TilePieces, piece = workerIndex() % TilePieces;
  copy.from = (const u8 *)(matrix + (u64)(firstRow + row) * rowLength) + firstStep * TileRowBytes + 16 * piece;
  copy.apart = (u64)rowLength * 2 * TileCopy<count>::RowsApart;
  copy.place = placeInTile(row, piece);
  UNROLL for (u32 i = 0; i < TileCopy<count>::Copies; i++)
    copy.bytes[i] = firstRow + row + i * TileCopy<count>::RowsApart < rows ? 16 : 0;
}

/** `mask` is 0 where this thread's piece is behind the rows' end, else ~0. */
template <u32 count> DEVICE void copyTile(const TileCopy<count> &copy, u8 *tile, u32 step, u32 mask = ~0u) {
  const u8 *const from = copy.from + (u64)step * TileRowBytes;
  UNROLL for (u32 i = 0; i < TileCopy<count>::Copies; i++)
    copyAsync16(tile + copy.place + i * (TileCopy<count>::RowsApart * TileRowBytes), from + i * copy.apart, copy.bytes[i] & mask);
}

/* ---- weights that are multiplied as they are --------------------------------------------------------------------- */

template <bool isBfloat> struct CopiedWeights {
  static constexpr bool IsBfloat = isBfloat, IsPrepared = false, HasPower = false;
  static constexpr u32 RowPlanes = isBfloat ? 2 : 1, WeightPlanes = 1;
};

template <typename Weights, u32 outputs> struct WeightSource;

template <bool isBfloat, u32 outputs> struct WeightSource<CopiedWeights<isBfloat>, outputs> {
  TileCopy<outputs> copy;
};
template <bool isBfloat, u32 outputs>
DEVICE void startWeights(WeightSource<CopiedWeights<isBfloat>, outputs> &source, const MatmulParameters &p, const Tile &tile) {
  startCopy(source.copy, (const u16 *)tile.w, p.k, tile.firstOutput, tile.n, tile.firstStep);
}
template <bool isBfloat, u32 outputs>
DEVICE u8 *weightsPlace(const WeightSource<CopiedWeights<isBfloat>, outputs> &, const Tile &tile, u32 step, u32) {
  return tile.weightsStaged + step % MatmulStages * (outputs * TileRowBytes);
}
template <bool isBfloat, u32 outputs>
DEVICE void copyWeights(const WeightSource<CopiedWeights<isBfloat>, outputs> &source, const MatmulParameters &p, const Tile &tile,
                        u32 step) {
  const u32 first = (tile.firstStep + step) * MatmulTileDepth + workerIndex() % TilePieces * 8;
  copyTile(source.copy, weightsPlace(source, tile, step, 0), step, first < p.k ? ~0u : 0);
}
template <bool isBfloat, u32 outputs>
DEVICE void prepareWeights(const WeightSource<CopiedWeights<isBfloat>, outputs> &, const MatmulParameters &, const Tile &, u32,
                           float, float &) {}

/* ---- weights that are converted: in runs of 32, of which a row has two in a step --------------------------------- */

/** Which run is this thread's; of small tiles, half of the threads have one. */
struct RunPlace {
  u32 output, half;
};
template <u32 outputs> DEVICE RunPlace runPlace() { return {workerIndex() % outputs, workerIndex() / outputs}; }
DEVICE bool isRun(const RunPlace &run) { return run.half < 2; }

DEVICE void storeRun(u8 *tile, const RunPlace &run, const u32 (&halves)[16]) {
  UNROLL for (u32 i = 0; i < 4; i++)
    *(u32x4 *)(tile + placeInTile(run.output, 4 * run.half + i)) =
        u32x4{halves[4 * i], halves[4 * i + 1], halves[4 * i + 2], halves[4 * i + 3]};
}

/** Quantised weights, of which there are two tiles of halves, and two segments. */
template <typename Type> struct QuantisedWeights {
  static constexpr bool IsBfloat = false, IsPrepared = true, HasPower = true;
  static constexpr u32 RowPlanes = 1, WeightPlanes = 1;
  static constexpr u32 Pieces = MATMUL_PIECES(Type::SegmentBytes), Pitch = MATMUL_PITCH(Type::SegmentBytes);
  /** Of the threads that copy a row, some have nothing to do, so that none has to divide. */
  static constexpr u32 RowThreads = Pieces <= 8 ? 8 : Pieces <= 16 ? 16 : 32, RowsApart = MatmulThreads / RowThreads;
  static constexpr u32 SegmentSteps = MatmulSegment / MatmulTileDepth;
};

/** Bytes of the tile's rows are counted from `rows` on, a multiple of 16, where the first row is `lead` bytes further. */
template <typename Type, u32 outputs> struct WeightSource<QuantisedWeights<Type>, outputs> {
  const u8 *rows;
  u32 lead;     /* and the bytes of what the steps begin with */
  u32 rowBytes, rowsLeft;
  u32 rowEnd;   /* of the first row */
};
template <typename Type, u32 outputs>
DEVICE void startWeights(WeightSource<QuantisedWeights<Type>, outputs> &source, const MatmulParameters &p, const Tile &tile) {
  const u64 first = tile.w + (u64)tile.firstOutput * p.rowBytes;
  source.rows = (const u8 *)(first & ~(u64)15);
  source.rowEnd = ((u32)first & 15) + p.rowBytes;
  source.lead = ((u32)first & 15) + tile.firstStep / QuantisedWeights<Type>::SegmentSteps * Type::SegmentBytes;
  source.rowBytes = p.rowBytes;
  source.rowsLeft = tile.n - tile.firstOutput;
}
template <typename Type, u32 outputs>
DEVICE u8 *segmentPlace(const WeightSource<QuantisedWeights<Type>, outputs> &, const Tile &tile, u32 segment) {
  return tile.weightsStaged + 2 * outputs * TileRowBytes + segment % 2 * (outputs * QuantisedWeights<Type>::Pitch);
}
template <typename Type, u32 outputs>
DEVICE u8 *weightsPlace(const WeightSource<QuantisedWeights<Type>, outputs> &, const Tile &tile, u32 step, u32) {
  return tile.weightsStaged + step % 2 * (outputs * TileRowBytes);
}

/** A third of the rows of a segment. Bytes past a row's end become zero, which is the weight zero in all types. */
template <typename Type, u32 outputs>
DEVICE void copySegment(const WeightSource<QuantisedWeights<Type>, outputs> &source, const Tile &tile, u32 segment, u32 part) {
  typedef QuantisedWeights<Type> Weights;
  constexpr u32 parts = 3, copies = (outputs + Weights::RowsApart - 1) / Weights::RowsApart, share = (copies + parts - 1) / parts;
  constexpr bool isEven = outputs % Weights::RowsApart == 0 && copies % parts == 0;
  const u32 piece = workerIndex() % Weights::RowThreads;
  if (piece >= Weights::Pieces) return;
  const u32 firstRow = workerIndex() / Weights::RowThreads + part * share * Weights::RowsApart;
  u8 *const to = segmentPlace(source, tile, segment) + firstRow * Weights::Pitch + 16 * piece;
  const u32 lead = source.lead + segment * Type::SegmentBytes;
  if (source.rowBytes % 16 == 0 && source.rowsLeft >= outputs && lead + Type::SegmentBytes + 32 <= source.rowEnd) {
    /* All pieces are there, those that are too many are of the same row, and all rows begin alike. */
    const u8 *const from = source.rows + (lead & ~15u) + 16 * piece + firstRow * source.rowBytes;
    UNROLL for (u32 i = 0; i < share; i++)
      if (isEven || firstRow + i * Weights::RowsApart < outputs)
        copyAsync16(to + i * (Weights::RowsApart * Weights::Pitch), from + i * (Weights::RowsApart * source.rowBytes));
    return;
  }
  ROLLED for (u32 i = 0; i < share; i++) {
    const u32 row = firstRow + i * Weights::RowsApart;
    if (row >= outputs) break;
    const u32 before = row * source.rowBytes, at = ((lead + before) & ~15u) + 16 * piece;
    const i32 left = row < source.rowsLeft ? (i32)(source.rowEnd + before - at) : 0;
    copyAsync16(to + i * (Weights::RowsApart * Weights::Pitch), source.rows + at, (u32)minimum(maximum(left, 0), 16));
  }
}

/**
 * Segment s + 1 goes where s - 1 is, whose last weights are prepared at step 4 s - 1, and has to be there at step 4 s + 4. With
 * step i go copies that are begun two steps before. Threads that multiply, too, prepare a step ahead: that is two steps of
 * multiplying before, behind the barrier of step 4 s - 1. Those that only prepare are at step 4 s then.
 */
template <typename Type, u32 outputs>
DEVICE void copyWeights(const WeightSource<QuantisedWeights<Type>, outputs> &source, const MatmulParameters &, const Tile &tile,
                        u32 step) {
  constexpr u32 segmentSteps = QuantisedWeights<Type>::SegmentSteps, first = HasGroupProducts ? 2 : 1;
  static_assert(HasGroupProducts || MatmulStages == 3, "a segment must not be copied before the last but one is used up");
  const u32 part = (step - first) % segmentSteps, next = (step - first) / segmentSteps + 1;
  if (step == 0) {
    ROLLED for (u32 i = 0; i < 3; i++) copySegment(source, tile, 0, i);
  } else if (step >= first && part < 3 && next * segmentSteps < tile.steps) {
    copySegment(source, tile, next, part);
  }
}

template <typename Type, u32 outputs>
DEVICE void prepareWeights(const WeightSource<QuantisedWeights<Type>, outputs> &source, const MatmulParameters &,
                           const Tile &tile, u32 step, float power, float &largest) {
  typedef QuantisedWeights<Type> Weights;
  const RunPlace place = runPlace<outputs>();
  if (!isRun(place)) return;
  const u32 segment = step / Weights::SegmentSteps;
  const u32 misaligned = (source.lead + segment * Type::SegmentBytes + place.output * source.rowBytes) & 15;
  WeightRun run;
  Type::read(run, segmentPlace(source, tile, segment) + place.output * Weights::Pitch + misaligned,
             step % Weights::SegmentSteps * 2 + place.half);
  u32 halves[16];
  largest = maximum(largest, makeHalves<Type>(halves, run, power));
  storeRun(weightsPlace(source, tile, step, 0), place, halves);
}

/** Weights in floats: two bfloats each, made of what is read from memory when it is needed. */
struct FloatWeights {
  static constexpr bool IsBfloat = true, IsPrepared = true, HasPower = false;
  static constexpr u32 RowPlanes = 2, WeightPlanes = 2;
};
template <u32 outputs> struct WeightSource<FloatWeights, outputs> {};
template <u32 outputs> DEVICE void startWeights(WeightSource<FloatWeights, outputs> &, const MatmulParameters &, const Tile &) {}
template <u32 outputs>
DEVICE void copyWeights(const WeightSource<FloatWeights, outputs> &, const MatmulParameters &, const Tile &, u32) {}
template <u32 outputs>
DEVICE u8 *weightsPlace(const WeightSource<FloatWeights, outputs> &, const Tile &tile, u32 step, u32 plane) {
  return tile.weightsStaged + (step % 2 * 2 + plane) * (outputs * TileRowBytes);
}
template <u32 outputs>
DEVICE void prepareWeights(const WeightSource<FloatWeights, outputs> &source, const MatmulParameters &p, const Tile &tile,
                           u32 step, float, float &) {
  const RunPlace place = runPlace<outputs>();
  if (!isRun(place)) return;
  const u32 row = minimum(tile.firstOutput + place.output, tile.n - 1);
  const u32 first = (tile.firstStep + step) * MatmulTileDepth + 32 * place.half;
  const float *const from = (const float *)tile.w + (u64)row * p.k + first;
  u32 highs[16], lows[16];
  UNROLL for (u32 i = 0; i < 8; i++) {
    const f32x4 v = first + 4 * i < p.k ? *(const f32x4 *)(from + 4 * i) : f32x4{0, 0, 0, 0};
    const BfloatParts a = bfloatParts(v.x), b = bfloatParts(v.y), c = bfloatParts(v.z), d = bfloatParts(v.w);
    highs[2 * i] = floatsToBfloats(a.high, b.high), highs[2 * i + 1] = floatsToBfloats(c.high, d.high);
    lows[2 * i] = floatsToBfloats(a.low, b.low), lows[2 * i + 1] = floatsToBfloats(c.low, d.low);
  }
  storeRun(weightsPlace(source, tile, step, 0), place, highs);
  storeRun(weightsPlace(source, tile, step, 1), place, lows);
}

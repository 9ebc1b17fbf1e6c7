/*
 * matvec.cu: products of one row of activations with matrices: matvec_*, matvec_tiled_*, matvec_experts_* and matvec_fused_*
 * (shaders/matvec.metal, shaders/matvec_fused.metal), and several of them that read the same x. For how the work is shared out see
 * matvec.h.
 *
 * The first units are asked for before x is, or what comes before this launch has ended; x becomes what tensor cores take while
 * they come. No warp waits for another until all have done their parts.
 */
#include "matvec_weights.h"
#include "shader_args.h"
#include "sigmoid.h"

/** The job that a tile is one of: its first tile, and outputs. */
struct MatvecPlace {
  u32 job, first; // row of the tile in its job
};
DEVICE MatvecPlace placeOf(const MatvecParameters &p, u32 tile) {
  MatvecPlace place = {0, tile * MatvecTileRows};
  UNROLL for (u32 i = 1; i < MatvecMaxJobs; i++)
    if (tile >= p.jobs[i - 1].endTile) place = {i, (tile - p.jobs[i - 1].endTile) * MatvecTileRows};
  return place;
}
/** A member of a job: by values, as an index, or a choice between addresses, would copy the parameters into memory. */
template <typename T> DEVICE T choose(u32 i, T a, T b, T c, T d) { return i == 0 ? a : i == 1 ? b : i == 2 ? c : d; }
#define OF_JOB(p, i, member) choose(i, (p).jobs[0].member, (p).jobs[1].member, (p).jobs[2].member, (p).jobs[3].member)

/** A tile of a matrix. */
struct MatvecTile {
  const u8 *rows;
  u32 count;   // of rows, at least 1
  bool isLast; // nothing of the matrix comes behind it
};
DEVICE MatvecTile tileOf(const MatvecParameters &p, u32 rowBytes, u32 expert, u32 tile, bool isSecond) {
  const MatvecPlace place = placeOf(p, tile);
  const u8 *weights = isSecond ? OF_JOB(p, place.job, second) : OF_JOB(p, place.job, weights);
  const u32 n = OF_JOB(p, place.job, n), left = n - place.first;
  return {weights + ((u64)expert * n + place.first) * rowBytes, minimum(left, (u32)MatvecTileRows), left <= MatvecTileRows};
}

/** The sums of a block, and a place in the sequence of their units. A sum is that of a tile, or of a tile and matrix. */
struct MatvecCursor {
  u32 sum, slice;
};
struct MatvecSequence {
  const MatvecParameters &p;
  u32 rowBytes, expert, firstTile, matrices, slices;

  DEVICE_MEMBER MatvecTile tile(u32 sum) const { return tileOf(p, rowBytes, expert, firstTile + sum / matrices, sum % matrices != 0); }
  /** True where another sum begins. */
  DEVICE_MEMBER bool advance(MatvecCursor &cursor) const {
    if (++cursor.slice < slices) return false;
    cursor.slice = 0;
    cursor.sum++;
    return true;
  }
};

/** Copies units, one after the other: in 16-byte chunks, which lanes take in turn. */
template <u32 SliceBytes, bool IsAligned> struct MatvecCopier {
  static constexpr u32 Chunks = MATVEC_CHUNKS(SliceBytes, IsAligned), Stride = 16 * MATVEC_STRIDE(SliceBytes, IsAligned);
  static constexpr u32 All = MatvecTileRows * Chunks, Steps = (All + 31) / 32;
  const MatvecSequence &sequence;
  u32 lane;
  MatvecCursor cursor;
  const u8 *from;      // the first row's part of the slice
  u32 offsets[Steps];  // of what this lane copies: its row, and chunk if rows are aligned
  u32 rows;
  bool isLast;

  DEVICE_MEMBER u32 row(u32 step) const { return (32 * step + lane) / Chunks; }
  DEVICE_MEMBER u32 chunk(u32 step) const { return (32 * step + lane) % Chunks; }
  DEVICE_MEMBER bool has(u32 step) const { return 32 * step + 32 <= All || 32 * step + lane < All; }
  DEVICE_MEMBER u32 place(u32 step) const {
    if (Stride == 16 * Chunks && !(IsAligned && SliceBytes == 256)) return 16 * (32 * step + lane);
    // Of 256 bytes, the halves of each other row change places (rowWords() in matvec_weights.h).
    if (IsAligned && SliceBytes == 256) return 512 * step + 256 * (lane / 16) + 16 * (lane % 16 ^ lane / 16 << 2);
    return row(step) * Stride + 16 * chunk(step);
  }

  DEVICE_MEMBER void enterSum() {
    const MatvecTile tile = sequence.tile(cursor.sum);
    from = tile.rows + (u64)cursor.slice * SliceBytes;
    rows = tile.count;
    isLast = tile.isLast;
    UNROLL for (u32 step = 0; step < Steps; step++)
      offsets[step] = minimum(row(step), rows - 1) * sequence.rowBytes + (IsAligned ? 16 * chunk(step) : 0);
  }
  /** Asks for a unit. Rows behind the last are the last again. */
  DEVICE_MEMBER void copy(u8 *unit) const {
    const u32 left = sequence.rowBytes - cursor.slice * SliceBytes;
    if (left < SliceBytes || (!IsAligned && isLast)) return copyExactly(unit, minimum(left, SliceBytes));
    UNROLL for (u32 step = 0; step < Steps; step++) {
      if (!has(step)) continue;
      if (IsAligned) {
        copyAsync16(unit + place(step), from + offsets[step]);
        continue;
      }
      const u64 begin = (u64)(from + offsets[step]), before = begin % 16;
      if (16 * chunk(step) < before + SliceBytes) copyAsync16(unit + place(step), (const u8 *)(begin - before) + 16 * chunk(step));
    }
  }
  /** Reads nothing behind the slice's bytes of a row: there are zeros. */
  DEVICE_MEMBER void copyExactly(u8 *unit, u32 bytes) const {
    ROLLED for (u32 i = lane; i < All; i += 32) {
      const u8 *begin = from + minimum(i / Chunks, rows - 1) * sequence.rowBytes;
      const i32 before = IsAligned ? 0 : (i32)((u64)begin % 16), offset = (i32)(16 * (i % Chunks)) - before, left = (i32)bytes - offset;
      u32 to = i / Chunks * Stride + 16 * (i % Chunks);
      if (IsAligned && SliceBytes == 256) to ^= (i / Chunks & 1) << 6;
      copyAsync16(unit + to, left > 0 ? begin + offset : begin - before, (u32)maximum(0, minimum(16, left)));
    }
  }
  DEVICE_MEMBER void advance() {
    from += SliceBytes;
    if (sequence.advance(cursor)) enterSum();
  }
};

/** Waits until no more than `stages` - 2 groups of copies are under way. */
DEVICE void waitForStage(u32 stages) {
  if (stages == 4) copyAsyncWait<2>();
  else if (stages == 3) copyAsyncWait<1>();
  else copyAsyncWait<0>();
}

/** Whether rows and slices begin at multiples of 16 bytes, or anywhere: as names of kernels tell. */
constexpr bool aligned = true, any = false;

/** Where the i-th output of a block's tiles goes; NULL behind the last row of a matrix. */
struct MatvecOutput {
  float *to;
  const float *residual; // NULL without
};
DEVICE MatvecOutput outputOf(const MatvecParameters &p, u32 firstTile, u32 i) {
  const MatvecPlace place = placeOf(p, firstTile + i / MatvecTileRows);
  const u32 n = OF_JOB(p, place.job, n), column = place.first + i % MatvecTileRows;
  if (column >= n) return {nullptr, nullptr};
  const u64 at = (u64)blockIndexY() * n + column;
  return {OF_JOB(p, place.job, out) + at, p.ending == EndingAdd ? OF_JOB(p, place.job, residual) + at : nullptr};
}

/** Adds up the four lanes of a row. */
DEVICE float sumOfLanes(const MatvecSums &sums, float unit, u32 lane) {
  float sum = multiplyAdd(sums.products, weightOfPlane(lane % 4) * unit, sums.others);
  sum += shuffleXor(sum, 1);
  return sum + shuffleXor(sum, 2);
}

DEVICE float activate(float gate, u32 ending) { return ending == EndingSilu ? silu(gate) : gelu(gate); }

/** How a block's units are shared out to its warps, of which there are 2^shift. */
struct MatvecShares {
  u32 units, warps, shift;

  DEVICE_MEMBER u32 begin(u32 warp) const { return units * warp >> shift; }
};

/** What the warps have of a sum of `slices` units: the one that begins it in `results` [sums][rows], others in `pieces` [warps][rows]. */
DEVICE float totalOf(const MatvecShares &shares, u32 slices, const float *results, const float *pieces, u32 sum, u32 row) {
  const u32 first = sum * slices;
  float total = results[sum * MatvecTileRows + row];
  u32 begin = shares.begin(1);
  _Pragma("unroll 4") for (u32 warp = 1; warp < shares.warps; warp++) {
    const u32 end = shares.begin(warp + 1);
    if (begin > first && begin < first + slices && begin < end) total += pieces[warp * MatvecTileRows + row];
    begin = end;
  }
  return total;
}

template <typename Weights, bool IsAligned> DEVICE void matvec(const MatvecParameters &p, const MatvecPart &part, u8 *arena) {
  typedef typename Weights::Activations Activations;
  constexpr u32 unitBytes = MATVEC_UNIT(Weights::Bytes, IsAligned);
  const u32 lane = laneIndex(), warp = warpIndex(), g = lane / 4, t = lane % 4;
  const bool isGated = p.ending >= EndingSilu;
  const u32 matrices = isGated ? 2 : 1;

  const u32 slices = (p.k + Activations::Elements - 1) / Activations::Elements;
  const u32 block = blockIndexX() - part.firstBlock, tiles = part.tilesOfBlock + (block < part.blocksWithMore);
  const u32 firstTile = part.firstTile + block * part.tilesOfBlock + minimum(block, part.blocksWithMore);
  const u32 warps = threadCount() / 32;
  const MatvecShares shares = {tiles * matrices * slices, warps, warps == MatvecMostWarps ? 4u : 3u};
  const u32 begin = shares.begin(warp), end = shares.begin(warp + 1);

  if (!p.readsEarly) {
    allowNext();
    waitForPrevious();
  }
  const u32 expert = p.ids ? minimum(p.ids[blockIndexY()], p.experts - 1) : 0;
  const MatvecSequence sequence = {p, part.rowBytes, expert, firstTile, matrices, slices};
  MatvecCursor now = {begin / slices, begin % slices};
  MatvecCopier<Weights::Bytes, IsAligned> copier = {sequence, lane, now, nullptr, {}, 1, false};
  u8 *ring = arena + warp * part.ringBytes;
  u32 copied = begin, freeAt = 0; // unit, and where the next one goes
  if (begin < end) copier.enterSum();
  ROLLED for (u32 i = 0; i + 1 < part.stages; i++) {
    if (copied < end) {
      copier.copy(ring + freeAt);
      if (++copied < end) copier.advance();
    }
    freeAt += unitBytes;
    copyAsyncCommit();
  }
  const u32 outputsOfBlock = tiles * MatvecTileRows, own = threadIndex();
  MatvecOutput output = {nullptr, nullptr};
  if (own < outputsOfBlock) output = outputOf(p, firstTile, own);
  if (p.readsEarly) {
    allowNext();
    waitForPrevious();
  }

  // Asked for now: the end is no time to wait for memory.
  const float residual = output.residual ? *output.residual : 0;
  u8 *records = arena + part.recordsAt;
  float *results = (float *)(arena + part.resultsAt), *pieces = (float *)(arena + part.piecesAt);
  const MatvecInput input = {p.x + (u64)(p.ids ? blockIndexY() / p.share : blockIndexY()) * p.k, p.norm, p.k};
  float squares = 0;
  makeActivations<Activations, !IsAligned>(input, slices, records, warp, warps, lane, squares);
  float *squaresOfWarps = pieces + warps * MatvecTileRows;
  if (p.norm) {
    squares = reduceAddWarp(squares);
    if (lane == 0) squaresOfWarps[warp] = squares;
  }
  syncThreads();

  FixedColumns columns = fixedColumns(lane);
  MatvecSums sums = {0, 0};
  bool isWhole = now.slice == 0; // this warp has the beginning of the sum
  u32 at = 0, rowFrom = 0;       // of the unit in the ring; the lower bits of the row's address
  for (u32 unit = begin; unit < end; unit++) {
    waitForStage(part.stages);
    syncWarp();
    if (copied < end) {
      copier.copy(ring + freeAt);
      if (++copied < end) copier.advance();
    }
    freeAt = freeAt + unitBytes == part.stages * unitBytes ? 0 : freeAt + unitBytes;
    copyAsyncCommit();

    u32 row = (u32)(ring - arena) + at + g * 16 * MATVEC_STRIDE(Weights::Bytes, IsAligned);
    if (!IsAligned) {
      if (unit == begin || now.slice == 0) {
        const MatvecTile tile = sequence.tile(now.sum);
        rowFrom = (u32)(u64)tile.rows + minimum(g, tile.count - 1) * part.rowBytes;
      }
      row += (rowFrom + now.slice * Weights::Bytes) % 16;
    }
    columns.record = records + now.slice * Activations::Record;
    Weights::accumulate(WeightRow<IsAligned>{arena, row, 4 * t}, columns, t, sums);

    at = at + unitBytes == part.stages * unitBytes ? 0 : at + unitBytes;
    if (now.slice + 1 == slices || unit + 1 == end) {
      const float sum = sumOfLanes(sums, Weights::Unit, lane);
      if (t == 0) (isWhole ? results + now.sum * MatvecTileRows : pieces + warp * MatvecTileRows)[g] = sum;
      sums = {0, 0};
      isWhole = true;
    }
    sequence.advance(now);
  }
  syncThreads();

  if (own >= outputsOfBlock) return;
  float scale = 1;
  if (p.norm) {
    float sum = 0;
    ROLLED for (u32 i = 0; i < warps; i += 4) {
      const f32x4 four = *(const f32x4 *)(squaresOfWarps + i);
      sum += four.x + four.y + four.z + four.w;
    }
    scale = fastReciprocalSqrt(sum * p.inverseOfK + p.eps);
  }
  ROLLED for (u32 i = own; i < outputsOfBlock; i += 32 * warps) {
    const u32 sum = i / MatvecTileRows * matrices, row = i % MatvecTileRows;
    if (i != own) output = outputOf(p, firstTile, i);
    if (!output.to) continue;
    float value = scale * totalOf(shares, slices, results, pieces, sum, row);
    if (isGated) value = activate(value, p.ending) * (scale * totalOf(shares, slices, results, pieces, sum + 1, row));
    if (output.residual) value += i == own ? residual : *output.residual;
    *output.to = value;
  }
}

// As many threads of a launch, and of the next one, which begins before it ends, fit into a multiprocessor.
#define MATVEC(name, alignment)                                                                           \
  GLOBAL(MatvecMostThreads, MatvecResident) void matvec_##name##_##alignment(const MatvecParameters p) {  \
    SHARED_ARENA(arena);                                                                                  \
    matvec<Weights_##name, alignment>(p, p.parts[0], arena);                                              \
  }
#define MATVEC_PAIR(first, firstAlignment, second, secondAlignment)                                                           \
  GLOBAL(MatvecMostThreads, MatvecResident)                                                                                   \
  void matvec_##first##_##firstAlignment##_##second##_##secondAlignment(const MatvecParameters p) {                           \
    SHARED_ARENA(arena);                                                                                                      \
    if (blockIndexX() < p.parts[1].firstBlock) matvec<Weights_##first, firstAlignment>(p, p.parts[0], arena);                 \
    else matvec<Weights_##second, secondAlignment>(p, p.parts[1], arena);                                                     \
  }

MATVEC_KERNELS(MATVEC)
MATVEC_PAIRS(MATVEC_PAIR)

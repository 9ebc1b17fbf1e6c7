/*
 * matmul_tile.h: a tile of a matrix product on tensor cores. Part of matmul.cu.
 *
 * Tiles in shared memory are rows of 64 elements of 16 bits, 128 bytes, whose eight pieces of 16 bytes stand in another order in
 * each of eight rows: piece p of row r is at p ^ r % 8. So the eight rows of one 8 x 8 matrix lie in different banks, and so do
 * the eight pieces of a row.
 */

constexpr u32 TileRowBytes = 2 * MatmulTileDepth;
constexpr u32 TilePieces = TileRowBytes / 16;
constexpr u32 RowTileBytes = MatmulTileRows * TileRowBytes; /* of x */

DEVICE u32 placeInTile(u32 row, u32 piece) { return row * TileRowBytes + ((piece ^ row % 8) << 4); }

/**
 * What 8 warps make of MatmulTileRows rows by `outputs`, and each warp's part of it. Where four warps multiply together, each
 * has 16 rows of all outputs; else, 32 outputs.
 */
template <u32 outputs> struct TileShape {
  static constexpr u32 Warps = MatmulThreads / 32;
  static constexpr u32 WarpOutputs = HasGroupProducts ? outputs : 32;
  static constexpr u32 WarpsAcross = outputs / WarpOutputs, WarpsDown = Warps / WarpsAcross;
  static constexpr u32 WarpRows = MatmulTileRows / WarpsDown;
  static constexpr u32 Downs = WarpRows / 16, Acrosses = WarpOutputs / 8; /* matrices of 16 x 8 */
};

/** Sums of a warp: of matrix [down][across], as mma has them. */
template <u32 outputs> struct TileSums {
  float sums[TileShape<outputs>::Downs][TileShape<outputs>::Acrosses][4];
};

/** Where this lane reads matrices: of x, rows of a warp's part; of w, outputs. */
template <u32 outputs> struct TileLane {
  u32 row, rowPiece, output, outputPiece;
};
template <u32 outputs> DEVICE TileLane<outputs> tileLane() {
  typedef TileShape<outputs> Shape;
  const u32 lane = laneIndex(), warp = warpIndex();
  return {warp / Shape::WarpsAcross * Shape::WarpRows + lane % 16, lane / 16,
          warp % Shape::WarpsAcross * Shape::WarpOutputs + lane % 8 + lane / 16 * 8, lane / 8 % 2};
}

/** Begins sums += x w of a step, by four warps together. */
template <bool isBfloat, u32 outputs> DEVICE void multiplyGroup(TileSums<outputs> &sums, const u8 *x, const u8 *w) {
  const u64 a = groupMatrix(x + warpIndex() / 4 * (64 * TileRowBytes)), b = groupMatrix(w);
  UNROLL for (u32 part = 0; part < MatmulTileDepth / 16; part++) {
    if constexpr (isBfloat) groupBF16(sums.sums[0], groupColumns(a, 16 * part), groupColumns(b, 16 * part));
    else groupF16(sums.sums[0], groupColumns(a, 16 * part), groupColumns(b, 16 * part));
  }
}

/** sums += x w, along 16 elements: the `part`-th of a step. */
template <bool isBfloat, u32 outputs>
DEVICE void multiplyTiles(TileSums<outputs> &sums, const TileLane<outputs> &lane, const u8 *x, const u8 *w, u32 part) {
  typedef TileShape<outputs> Shape;
  u32 a[Shape::Downs][4], b[Shape::Acrosses / 2][4];
  UNROLL for (u32 i = 0; i < Shape::Downs; i++) loadMatrix4(a[i], x + placeInTile(lane.row + 16 * i, 2 * part + lane.rowPiece));
  UNROLL for (u32 j = 0; j < Shape::Acrosses / 2; j++)
    loadMatrix4(b[j], w + placeInTile(lane.output + 16 * j, 2 * part + lane.outputPiece));
  UNROLL for (u32 j = 0; j < Shape::Acrosses; j++) {
    const u32 matrix[2] = {b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]};
    UNROLL for (u32 i = 0; i < Shape::Downs; i++) {
      if (isBfloat) mmaBF16(sums.sums[i][j], a[i], matrix);
      else mmaF16(sums.sums[i][j], a[i], matrix);
    }
  }
}

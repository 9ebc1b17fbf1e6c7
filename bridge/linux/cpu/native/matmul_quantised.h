/*
 * matmul_quantised.h: matrix products with quantised weights. Part of matmul.h.
 *
 * Phase 0 quantises rows of activations into shared memory. A piece of phase 1 makes PieceOutputs outputs of a block of rows:
 * for each slice of k, for each of its panels, it expands the weights and multiplies all rows of the block with them; sums
 * stay in the thread's memory, which a core's second cache holds along with the slice of the activations.
 */
enum : uint32_t {
  PiecePanels = NATIVE_LANES == 16 ? 2 : 4,
  PieceOutputs = PiecePanels * PanelRows,
  MostPieceRows = 516, // whole tiles
  EnoughPieces = 32,   // with fewer, blocks of rows are made smaller
  FewestPieceRows = 96,
};

/** How the work is shared out to pieces: each has a block of the outputs and a block of the rows, whole tiles but for the
 *  last one. */
struct ProductPieces {
  uint32_t rowsPerBlock, rowBlocks, outputBlocks;
};

static ProductPieces product_pieces(uint64_t rows, uint32_t n) {
  const uint32_t outputBlocks = (n - 1) / PieceOutputs + 1;
  uint64_t blocks = (rows + MostPieceRows - 1) / MostPieceRows;
  if (blocks * outputBlocks < EnoughPieces) {
    const uint64_t more = (EnoughPieces + outputBlocks - 1) / outputBlocks, most = (rows + FewestPieceRows - 1) / FewestPieceRows;
    blocks = more < most ? more : most;
  }
  const uint64_t length = filled_up((rows + blocks - 1) / blocks);
  return {uint32_t(length), uint32_t((rows + length - 1) / length), outputBlocks};
}

struct PieceMemory {
  Panel panel;
  Floats sums[PiecePanels][MostPieceRows][PanelVectors];
};

/** Where the rows `first` .. of a vector are; the last of `n` stands in for those behind it. */
static LaneRows lane_rows(const uint8_t *w, uint64_t first, uint64_t n, uint64_t rowBytes) {
  LaneRows rows;
  for (uint32_t i = 0; i < Lanes; i++) rows.rows[i] = w + (first + i < n ? first + i : n - 1) * rowBytes;
  return rows;
}

/** The panel of the rows of `rows[v]`, of `blocks` blocks of 32 from byte `at` on. */
template <typename Type> static void expand(const LaneRows *rows, uint64_t at, uint32_t blocks, Panel *panel) {
  for (uint32_t v = 0; v < PanelVectors; v++) {
    for (uint32_t block = 0; block < blocks; block += Type::elements / 32)
      Type::expand(rows[v], at + uint64_t(block) / (Type::elements / 32) * Type::bytes,
                   {&panel->weights[16 * block][v]}, &panel->scales[block][v], &panel->minimums[block][v]);
  }
}

/** All rows of a block. The last tiles are smaller ones, so that at most one row in them is none. */
template <typename Type>
static void multiply_rows(const Panel &panel, SliceRows x, uint32_t rows, uint32_t blocks, bool isFirst,
                          Floats (*sums)[PanelVectors]) {
  const uint32_t tiles = (rows + TileRows - 1) / TileRows, missing = tiles * TileRows - rows;
  const uint32_t small = missing / 2 < tiles ? missing / 2 : tiles;
  for (uint32_t tile = 0; tile < tiles; tile++) {
    const uint32_t count = tile < tiles - small ? TileRows : SmallTileRows;
    if (count == TileRows) multiply<Type, TileRows>(panel, x, blocks, isFirst, sums);
    else multiply<Type, SmallTileRows>(panel, x, blocks, isFirst, sums);
    x = {x.quants + count * SliceLength, x.scales + count * SliceBlocks, x.sums + count * Type::minimums};
    sums += count;
  }
}

/** out[row, first ..] of `rows` rows and a panel's outputs, as far as there are so many. */
static void write_outputs(float *out, uint32_t n, uint64_t first, uint32_t rows, const Floats (*sums)[PanelVectors]) {
  for (uint32_t row = 0; row < rows; row++, out += n)
    for (uint32_t v = 0; v < PanelVectors && first + v * Lanes < n; v++)
      store_f32(out + first + v * Lanes, sums[row][v], uint32_t(n - first - v * Lanes));
}

template <typename Type> static void multiply_piece(const NativeRun *run, const Product &product, uint32_t piece) {
  const ProductPieces pieces = product_pieces(product.rows, product.n);
  const ActivationRows x = activation_rows(run->shared, product.rows, product.k);
  auto *memory = (PieceMemory *)run->thread->memory;
  const uint64_t row = uint64_t(piece % pieces.rowBlocks) * pieces.rowsPerBlock;
  const uint64_t output = uint64_t(piece / pieces.rowBlocks) * PieceOutputs;
  const uint32_t rows = product.rows - row < pieces.rowsPerBlock ? uint32_t(product.rows - row) : pieces.rowsPerBlock;
  const uint64_t rowBytes = uint64_t(product.k) / Type::elements * Type::bytes;
  const uint32_t panels =
      product.n - output < PieceOutputs ? uint32_t((product.n - output - 1) / PanelRows + 1) : uint32_t(PiecePanels);
  LaneRows weights[PiecePanels][PanelVectors];
  for (uint32_t p = 0; p < panels; p++)
    for (uint32_t v = 0; v < PanelVectors; v++)
      weights[p][v] = lane_rows(product.w, output + p * PanelRows + v * Lanes, product.n, rowBytes);

  for (uint64_t slice = 0; slice * SliceLength < product.k; slice++) {
    const uint64_t start = slice * SliceLength, at = slice * x.rows + row;
    const uint32_t blocks = product.k - start < SliceLength ? uint32_t(product.k - start) / 32 : uint32_t(SliceBlocks);
    const SliceRows sliceRows = {x.quants + at * SliceLength, x.scales + at * SliceBlocks, x.sums + at * Type::minimums};
    for (uint32_t p = 0; p < panels; p++) {
      expand<Type>(weights[p], start / Type::elements * Type::bytes, blocks, &memory->panel);
      multiply_rows<Type>(memory->panel, sliceRows, rows, blocks, slice == 0, memory->sums[p]);
    }
  }
  for (uint32_t p = 0; p < panels; p++)
    write_outputs(product.out + row * product.n, product.n, output + p * PanelRows, rows, memory->sums[p]);
}

template <typename Type> static bool plan_quantised(const DriverCommand *command, NativePlan *plan) {
  Product product;
  if (!product_of(command, Type::elements, Type::bytes, &product)) return false;
  const ProductPieces pieces = product_pieces(product.rows, product.n);
  const uint64_t count = uint64_t(pieces.rowBlocks) * pieces.outputBlocks;
  plan->sharedBytes = activation_bytes(product.rows, product.k, Type::minimums);
  plan->threadBytes = sizeof(PieceMemory);
  if (count > UINT32_MAX || plan->sharedBytes > MostSharedBytes) return false;
  plan->phaseCount = 2;
  plan->phases[0] = {uint32_t((product.rows + RowsPerQuantisingPiece - 1) / RowsPerQuantisingPiece),
                     float(product.k) * RowsPerQuantisingPiece * 0.3f};
  plan->phases[1] = {uint32_t(count), float(product.k) * PieceOutputs * (float(pieces.rowsPerBlock) * NanosecondsPerProduct + 0.1f)};
  return true;
}

template <typename Type> static void run_quantised(const NativeRun *run, uint32_t phase, uint32_t from, uint32_t to) {
  const Product product = product_of(run->command);
  const ActivationRows x = activation_rows(run->shared, product.rows, product.k);
  for (uint64_t piece = from; piece < to; piece++) {
    if (phase == 1) {
      multiply_piece<Type>(run, product, uint32_t(piece));
      continue;
    }
    const uint64_t first = piece * RowsPerQuantisingPiece, end = first + RowsPerQuantisingPiece;
    for (uint64_t row = first; row < end && row < product.rows; row++)
      quantise_row<Type::minimums>(product.x + row * product.k, product.k, row, x);
    for (uint64_t row = product.rows; end >= product.rows && row < x.rows; row++) clear_row(product.k, row, Type::minimums, x);
  }
}

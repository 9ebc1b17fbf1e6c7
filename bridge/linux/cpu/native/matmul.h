/*
 * matmul.h: products of many rows with weights of all types: what matmul and matvec_rows of shaders/ give. Part of level.h.
 *
 * Phase 0 puts rows of activations into shared memory, as the weights' type wants them. A piece of phase 1 makes PieceOutputs
 * outputs of a block of rows, or fewer for many threads: for each slice of k, for each of its panels (matmul_panel.h), it
 * expands the weights (with AMX, those of the next one meanwhile) and multiplies all rows of the block with them. Sums stay in the thread's memory, which a core's second
 * cache holds along with the rows' slice.
 */
namespace many_rows {
#include "matmul_panel.h"
#include "matmul_sums.h"

#include "matmul_float.h"
#ifdef NATIVE_AMX
#include "matmul_amx_float.h"
#include "matmul_amx_weights.h"

#include "matmul_amx.h"
#else
#ifdef NATIVE_DOTPROD
#include "matmul_bytes.h"
#endif
#include "matmul_activations.h"
#include "matmul_blocks.h"
#include "matmul_superblocks.h"

#include "matmul_tile.h"
#endif

/** out[rows, n] = x[rows, k] times the transpose of w[n, k]. */
struct Product {
  const uint8_t *w;
  const float *x;
  float *out;
  uint64_t rows;
  uint32_t n, k;
};

enum : uint64_t {
  FewestRows = 8, // of fewer, the weights are better read once and not expanded
  MostSharedBytes = uint64_t(1) << 32,
  StreamedBytes = 1 << 21, // outputs that are as many are not in a second cache when they are read: tiles write them past the caches
};

enum : uint32_t {
  // More would save reading activations again, and cost a second cache's place for sums.
#ifdef NATIVE_AMX
  PieceOutputs = 256,
  EnoughPieces = 8,
  WholeBlockOutputs = PanelRows, // rows stay together down to so many outputs
  FetchesWeights = true,         // which are made fast, and so waited for
#else
  PieceOutputs = 128,
  EnoughPieces = 32,   // with fewer, pieces are made smaller
  WholeBlockOutputs = PieceOutputs / 2, // rows stay together down to so many outputs
  FetchesWeights = false,
#endif
  EnoughPerThread = 4,
  PiecePanels = PieceOutputs / PanelRows,
  FewestPieceRows = 96,
};

/** Of a dispatch whose buffers have been checked. */
static Product product_of(const DriverCommand *command) {
  void *const *buffers = command->dispatch.buffers;
  const auto *args = (const MatrixArgs *)buffers[4];
  const uint64_t rows = *(const uint32_t *)buffers[3];
  return {(const uint8_t *)buffers[0], (const float *)buffers[1], (float *)buffers[2], rows, args->n, args->k};
}

/** The fewest rows that are whole tiles. */
template <typename Kind> INLINE uint64_t filled_up(uint64_t rows) {
  return (rows + Kind::tileRows - 1) / Kind::tileRows * Kind::tileRows;
}

template <typename Kind> INLINE uint64_t slices_of(uint32_t k) { return (uint64_t(k) - 1) / Kind::sliceLength + 1; }

/** How the work is shared out: a piece has a block of the outputs and a block of the rows, whole tiles but for the last. */
struct ProductPieces {
  uint32_t rowsPerBlock, rowBlocks, outputs, outputBlocks;
};

/** Blocks of the outputs with so many in a piece. */
static uint64_t blocks_along(uint32_t n, uint32_t outputs) { return (n - 1) / outputs + 1; }

/** For `width` threads. Fewer outputs are more reading of activations, fewer rows more expanding of weights. */
template <typename Kind> static ProductPieces product_pieces(uint64_t rows, uint32_t n, uint32_t width) {
  const uint64_t forThreads = uint64_t(EnoughPerThread) * width;
  const uint64_t enough = forThreads > EnoughPieces ? forThreads : uint64_t(EnoughPieces);
  uint32_t outputs = PieceOutputs;
  uint64_t blocks = (rows + MostPieceRows - 1) / MostPieceRows;
  while (blocks * blocks_along(n, outputs) < enough && outputs > WholeBlockOutputs) outputs /= 2;
  const uint64_t wanted = (enough - 1) / blocks_along(n, outputs) + 1, most = (rows - 1) / FewestPieceRows + 1;
  if (blocks < wanted && blocks < most) blocks = wanted < most ? wanted : most;
  while (blocks * blocks_along(n, outputs) < enough && outputs > PanelRows) outputs /= 2;
  const uint64_t length = filled_up<Kind>((rows + blocks - 1) / blocks);
  return {uint32_t(length), uint32_t((rows + length - 1) / length), outputs, uint32_t(blocks_along(n, outputs))};
}

template <typename Kind> struct PieceMemory {
  typename Kind::Panel panel;
  typename Kind::Sums sums[PiecePanels];
};

// ---- pieces --------------------------------------------------------------------------------------------------------

/** Where the rows `first` .. of a vector are; the last of `n` stands in for those behind it. */
static LaneRows lane_rows(const uint8_t *w, uint64_t first, uint64_t n, uint64_t rowBytes) {
  LaneRows rows;
  for (uint32_t i = 0; i < Lanes; i++) rows.rows[i] = w + (first + i < n ? first + i : n - 1) * rowBytes;
  return rows;
}

/** Of PanelVectors vectors of rows, `count` elements from `start` on. */
struct PanelPart {
  const LaneRows *rows;
  uint64_t start;
  uint32_t count;
};

/** Memory that is needed soon, and that the third cache may have. */
INLINE void fetch(const char *memory, uint64_t bytes) {
  for (uint64_t line = 0; line < bytes; line += 64) __builtin_prefetch(memory + line, 0, 2);
}

/** What is fetched while a panel is multiplied: equal shares of the activations that follow, and weights that are expanded next. */
struct Following {
  const char *activations = NULL; // of the next slice; NULL: there is none
  uint32_t share = 0, shares;     // of them, which this panel's is
  const LaneRows *weights = NULL; // NULL: they are not fetched
  uint64_t weightsAt = 0;         // in their rows
  uint32_t weightBytes = 0;

  /** Activations of `rows` rows from row `first` on, of `all`, and as large a part of the weights. */
  METHOD void fetch_rows(uint32_t first, uint32_t rows, uint32_t all, uint64_t rowBytes) const {
    for (uint32_t i = weights ? PanelRows * first / all : PanelRows; i < PanelRows && i < PanelRows * (first + rows) / all; i++)
      fetch((const char *)weights[i / Lanes].rows[i % Lanes] + weightsAt, weightBytes);
    if (!activations) return;
    const uint64_t bytes = rows * rowBytes / shares;
    fetch(activations + first * rowBytes + share * bytes, bytes);
  }
};

/** A panel times all rows of a block. The last tiles are smaller ones, so that few of their rows are none. */
template <typename Kind>
static void multiply_rows(typename Kind::Panel &panel, const typename Kind::Slice &x, const Following &next, uint32_t rows,
                          uint32_t count, bool isFirst, typename Kind::Sums &sums) {
  constexpr uint32_t difference = Kind::tileRows - Kind::smallTileRows;
  const uint32_t tiles = (rows + Kind::tileRows - 1) / Kind::tileRows;
  const uint32_t spare = (tiles * Kind::tileRows - rows) / difference, small = spare < tiles ? spare : tiles;
  uint32_t row = 0;
  for (; row < (tiles - small) * Kind::tileRows; row += Kind::tileRows) {
    next.fetch_rows(row, Kind::tileRows, rows, Kind::rowBytes);
    Kind::template multiply<Kind::tileRows>(panel, Kind::from_row(x, row), count, isFirst, sums.from(row));
  }
  for (; row < rows; row += Kind::smallTileRows) {
    next.fetch_rows(row, Kind::smallTileRows, rows, Kind::rowBytes);
    Kind::template multiply<Kind::smallTileRows>(panel, Kind::from_row(x, row), count, isFirst, sums.from(row));
  }
  Kind::finish(panel);
}

/** out[row, first ..] of `rows` rows, as far as there are so many outputs: row after row, each of which is far from the next. */
template <typename Kind>
static void write_outputs(const PieceMemory<Kind> *memory, float *out, uint32_t n, uint64_t first, uint32_t rows, uint32_t panels,
                          bool isStreamed) {
  constexpr uint32_t together = Kind::Sums::writtenRows;
  for (uint32_t row = 0; row < rows; row += together)
    for (uint32_t p = 0; p < panels; p++) {
      const uint64_t output = first + p * PanelRows;
      memory->sums[p].write(row, rows - row, n - output, out + row * uint64_t(n) + output, n, isStreamed);
    }
  Kind::Sums::end();
}

template <typename Kind> static void multiply_piece(const NativeRun *run, const Product &product, uint32_t piece) {
  const uint32_t n = product.n, k = product.k;
  const ProductPieces pieces = product_pieces<Kind>(product.rows, n, run->plan->width);
  [[maybe_unused]] const typename Kind::Registers registers;
  auto *memory = (PieceMemory<Kind> *)scratch(run);
  const uint64_t row = uint64_t(piece % pieces.rowBlocks) * pieces.rowsPerBlock;
  const uint64_t output = uint64_t(piece / pieces.rowBlocks) * pieces.outputs;
  if (row >= product.rows || output >= n) return;
  const uint32_t rows = product.rows - row < pieces.rowsPerBlock ? uint32_t(product.rows - row) : pieces.rowsPerBlock;
  const uint32_t panels = uint32_t(((n - output < pieces.outputs ? n - output : pieces.outputs) - 1) / PanelRows + 1);
  const uint64_t rowBytes = uint64_t(k / Kind::elements) * Kind::bytes;
  LaneRows weights[PiecePanels][PanelVectors];
  for (uint32_t p = 0; p < panels; p++)
    for (uint32_t v = 0; v < PanelVectors; v++)
      weights[p][v] = lane_rows(product.w, output + p * PanelRows + v * Lanes, n, rowBytes);

  const uint64_t parts = slices_of<Kind>(k) * panels;
  const auto part_at = [&](uint64_t i) -> PanelPart {
    const uint64_t start = i / panels * Kind::sliceLength;
    return {weights[i % panels], start, k - start < Kind::sliceLength ? uint32_t(k - start) : uint32_t(Kind::sliceLength)};
  };
  const auto slice_at = [&](uint64_t slice) {
    return Kind::from_row(Kind::slice_at(run->shared, filled_up<Kind>(product.rows), slice), row);
  };
  for (uint64_t i = 0; i < parts; i++) {
    const auto [lanes, start, count] = part_at(i);
    Following next = {.share = uint32_t(i % panels), .shares = panels};
    if (start + count < k) next.activations = Kind::memory_of(slice_at(i / panels + 1));
    if (const uint64_t later = i + 1 + Kind::expandsMeanwhile; FetchesWeights && later < parts) {
      const PanelPart part = part_at(later);
      next.weights = part.rows;
      next.weightsAt = part.start / Kind::elements * Kind::bytes;
      next.weightBytes = part.count / Kind::elements * Kind::bytes;
    }
    if (!Kind::expandsMeanwhile || i == 0) Kind::expand(lanes, start, count, &memory->panel);
    if constexpr (Kind::expandsMeanwhile)
      if (i + 1 < parts) {
        const PanelPart part = part_at(i + 1);
        Kind::expand_meanwhile(part.rows, part.start, part.count, (rows - 1) / Kind::tileRows + 1, &memory->panel);
      }
    multiply_rows<Kind>(memory->panel, slice_at(i / panels), next, rows, count, start == 0, memory->sums[i % panels]);
  }
  const bool isStreamed = product.rows * n * sizeof(float) >= StreamedBytes;
  write_outputs<Kind>(memory, product.out + row * n, n, output, rows, panels, isStreamed);
}

/** Rows of activations for phase 1; the last piece clears what fills them up. */
template <typename Kind> static void prepare_piece(const NativeRun *run, const Product &product, uint64_t piece) {
  const uint64_t first = piece * Kind::preparedRows, filled = filled_up<Kind>(product.rows), left = product.rows - first;
  const auto all = uint32_t(left > Kind::preparedRows ? uint64_t(Kind::preparedRows) : filled - first);
  const uint32_t rows = left < all ? uint32_t(left) : all;
  for (uint64_t start = 0; start < product.k; start += Kind::sliceLength) {
    const auto to = Kind::from_row(Kind::slice_at(run->shared, filled, start / Kind::sliceLength), first);
    const uint32_t count = product.k - start < Kind::sliceLength ? uint32_t(product.k - start) : uint32_t(Kind::sliceLength);
    Kind::prepare(to, product.x + first * product.k + start, product.k, rows, all, count);
  }
}

// ---- kernels -------------------------------------------------------------------------------------------------------

/** False where something that is bound is too short, or the kernels here were not written for it. */
template <typename Kind> static bool read_product(const DriverCommand *command, Product *made) {
  if (!bound(command, 3, sizeof(uint32_t)) || !bound(command, 4, sizeof(MatrixArgs))) return false;
  *made = product_of(command);
  const uint64_t rowBytes = uint64_t(made->k / Kind::elements) * Kind::bytes;
  return made->rows >= FewestRows && made->n > 0 && made->k > 0 && made->k % Kind::elements == 0 &&
         bound(command, 0, product(made->n, rowBytes)) && bound(command, 1, product(made->rows, 4 * uint64_t(made->k))) &&
         bound(command, 2, product(made->rows, 4 * uint64_t(made->n)));
}

template <typename Kind> static uint64_t shared_bytes(const Product &made) {
  return product(slices_of<Kind>(made.k) * filled_up<Kind>(made.rows), Kind::activation_bytes());
}

/** Outputs of a threadgroup: of matmul, which has as many as rows, or of matvec_rows, four to a SIMD group. */
static uint64_t outputs_per_group(const DriverCommand *command, uint32_t groupRows) {
  return groupRows > 4 ? groupRows : (uint64_t(command->dispatch.threadsPerThreadgroup[0]) + 31) / 32 * 4;
}

/** `GroupRows`: rows of a threadgroup of the kernel of that name. */
template <typename Kind, uint32_t GroupRows> static bool plan_product(const DriverCommand *command, NativePlan *plan) {
  Product made;
  if (!read_product<Kind>(command, &made) || made.rows > product(groups_along(command, 1), GroupRows) ||
      made.n > product(groups_along(command, 0), outputs_per_group(command, GroupRows)))
    return false;

  const ProductPieces pieces = product_pieces<Kind>(made.rows, made.n, plan->width);
  const uint64_t count = uint64_t(pieces.rowBlocks) * pieces.outputBlocks;
  const uint64_t sharedBytes = shared_bytes<Kind>(made);
  if (count > UINT32_MAX || sharedBytes > MostSharedBytes) return false;
  plan->sharedBytes = sharedBytes;
  plan->threadBytes = sizeof(PieceMemory<Kind>);
  plan->prepared[0] = uint64_t(made.x);
  plan->prepared[1] = made.rows;
  plan->prepared[2] = made.k;
  plan->phaseCount = 2;
  plan->phases[0] = {uint32_t((made.rows + Kind::preparedRows - 1) / Kind::preparedRows), float(made.k * Kind::preparedRows) * 0.3f};
  plan->phases[1] = {uint32_t(count), float(made.k) * float(pieces.outputs) * (0.1f + float(pieces.rowsPerBlock) * Kind::nanoseconds)};
  return true;
}

template <typename Kind> static void run_product(const NativeRun *run, uint32_t phase, uint32_t from, uint32_t to) {
  // The number of rows is read again: whoever changes it meanwhile gets nonsense, but harms nothing.
  Product product;
  if (!read_product<Kind>(run->command, &product) || shared_bytes<Kind>(product) > run->plan->sharedBytes) return;
  for (uint64_t piece = from; piece < to; piece++) {
    if (phase == 0) prepare_piece<Kind>(run, product, piece);
    else multiply_piece<Kind>(run, product, uint32_t(piece));
  }
}
} // namespace many_rows

#define MATMUL_KERNELS_OF(Kind, W, name)                                                                               \
  {"matvec_rows_" #name, many_rows::plan_product<many_rows::Kind<many_rows::W>, 4>,                                    \
   many_rows::run_product<many_rows::Kind<many_rows::W>>},                                                             \
      {"matmul_" #name, many_rows::plan_product<many_rows::Kind<many_rows::W>, 32>,                                    \
       many_rows::run_product<many_rows::Kind<many_rows::W>>},

#define MATMUL_KERNELS                                                                                                 \
  MATMUL_KERNELS_OF(Unquantised, F32, f32)                                                                             \
  MATMUL_KERNELS_OF(Unquantised, F16, f16)                                                                             \
  MATMUL_KERNELS_OF(Unquantised, BF16, bf16)                                                                           \
  MATMUL_KERNELS_OF(Quantised, Q4_0, q4_0)                                                                             \
  MATMUL_KERNELS_OF(Quantised, Q4_1, q4_1)                                                                             \
  MATMUL_KERNELS_OF(Quantised, Q5_0, q5_0)                                                                             \
  MATMUL_KERNELS_OF(Quantised, Q5_1, q5_1)                                                                             \
  MATMUL_KERNELS_OF(Quantised, Q8_0, q8_0)                                                                             \
  MATMUL_KERNELS_OF(Quantised, Q2_K, q2_k)                                                                             \
  MATMUL_KERNELS_OF(Quantised, Q3_K, q3_k)                                                                             \
  MATMUL_KERNELS_OF(Quantised, Q4_K, q4_k)                                                                             \
  MATMUL_KERNELS_OF(Quantised, Q5_K, q5_k)                                                                             \
  MATMUL_KERNELS_OF(Quantised, Q6_K, q6_k)                                                                             \
  MATMUL_KERNELS_OF(Quantised, IQ4_NL, iq4_nl)                                                                         \
  MATMUL_KERNELS_OF(Quantised, IQ4_XS, iq4_xs)                                                                         \
  MATMUL_KERNELS_OF(Quantised, MXFP4, mxfp4)

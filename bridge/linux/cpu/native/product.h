/*
 * product.h: matvec_*, matvec_tiled_*, matvec_rows_* and matvec_experts_* of shaders/matvec.metal. Part of level.h.
 *
 * The work is cut into pieces of some outputs of some rows of activations: `RowsAtOnce` of these, for which a thread reads
 * the weights once from memory. What it has made of the activations it keeps for the next piece and the next product.
 */
struct MatrixArgs { // shaders/args.h
  uint32_t n;
  uint32_t k;
};
struct ExpertMatrixArgs {
  uint32_t n;
  uint32_t k;
  uint32_t experts;
  uint32_t share;
};

/** What a dispatch binds. */
struct Product {
  const uint8_t *w; // [n, k], or [experts, n, k]
  const float *x;   // [rows, k], or [rows / share, k]
  float *out;       // [rows, n]
  uint64_t rows;
  uint32_t n, k;
  const uint32_t *ids; // [rows], of experts; NULL without
  uint32_t experts, share;
};

/** How it is cut. */
struct Cut {
  uint32_t rows, outputs;       // of a piece
  uint64_t piecesAlong;         // pieces along the outputs
  uint64_t rowBytes;            // of weights
  uint64_t activationGroups;    // of a row
};

enum : uint32_t {
  RowsAtOnce = 8,
  PieceBytes = 32768, // of weights: some microseconds
  MatvecOutputs = 4,  // shaders/tiles.h
  MatvecRows = 4,
  SimdWidth = 32,
  MostThreadBytes = 1u << 26
};

template <typename W> constexpr bool isFloat = W::Elements == 1;

template <typename W> static Cut cut_of(const Product &product) {
  Cut cut;
  cut.rowBytes = uint64_t(product.k / W::Elements) * W::Bytes;
  cut.rows = product.ids || product.rows == 1 ? 1 : product.rows < RowsAtOnce ? uint32_t(product.rows) : uint32_t(RowsAtOnce);
  const uint64_t outputs = PieceBytes / (cut.rowBytes ? cut.rowBytes : 1) & ~uint64_t(1);
  cut.outputs = outputs < 2 ? 2 : outputs > product.n ? product.n : uint32_t(outputs);
  cut.piecesAlong = (product.n + uint64_t(cut.outputs) - 1) / cut.outputs;
  cut.activationGroups = (uint64_t(product.k) + GroupElements - 1) / GroupElements;
  return cut;
}

/** Whether the grid makes all outputs of a row. */
static bool covers(const DriverCommand *command, uint32_t n) {
  const uint64_t threads = command->dispatch.threadsPerThreadgroup[0];
  return product(groups_along(command, 0), (threads + SimdWidth - 1) / SimdWidth * MatvecOutputs) >= n &&
         command->dispatch.threads[0] % threads == 0 && command->dispatch.threadsPerThreadgroup[1] == 1 && command->dispatch.threads[2] == 1;
}

/** Whether all that it reads and writes is there. `argsIndex` is that of its arguments. */
template <typename W> static bool bind(const DriverCommand *command, uint32_t outIndex, uint64_t experts, uint64_t xRows, Product *p) {
  if (p->n == 0 || p->k % W::Elements != 0 || !covers(command, p->n)) return false;
  const uint64_t rowBytes = uint64_t(p->k / W::Elements) * W::Bytes;
  p->w = (const uint8_t *)bound(command, 0, product(experts, product(p->n, rowBytes)));
  p->x = (const float *)bound(command, 1, product(xRows, 4 * uint64_t(p->k)));
  p->out = (float *)bound(command, outIndex, product(p->rows, 4 * uint64_t(p->n)));
  return p->w && p->x && p->out;
}

/** A product without experts. Its rows are those of the grid, or of these as many as buffer 3 says. */
template <typename W> static bool read_product(const DriverCommand *command, bool hasRowCount, Product *p) {
  const auto *args = (const MatrixArgs *)bound(command, hasRowCount ? 4 : 3, sizeof(MatrixArgs));
  const auto *rowCount = hasRowCount ? (const uint32_t *)bound(command, 3, sizeof(uint32_t)) : nullptr;
  if (!args || (hasRowCount && !rowCount)) return false;
  *p = {};
  p->rows = groups_along(command, 1) * (hasRowCount ? MatvecRows : 1);
  if (rowCount && *rowCount < p->rows) p->rows = *rowCount;
  p->n = args->n;
  p->k = args->k;
  return bind<W>(command, 2, 1, p->rows, p);
}

template <typename W> static bool read_expert_product(const DriverCommand *command, Product *p) {
  const auto *args = (const ExpertMatrixArgs *)bound(command, 4, sizeof(ExpertMatrixArgs));
  if (!args || args->experts == 0 || args->share == 0) return false;
  *p = {};
  p->rows = groups_along(command, 1);
  p->n = args->n;
  p->k = args->k;
  p->experts = args->experts;
  p->share = args->share;
  p->ids = (const uint32_t *)bound(command, 2, product(p->rows, sizeof(uint32_t)));
  return p->ids && bind<W>(command, 3, p->experts, (p->rows + p->share - 1) / p->share, p);
}

/** What a piece takes: the longer of reading its weights and multiplying them. */
template <typename W> static float piece_nanoseconds(const Product &p, const Cut &cut) {
  const float bytes = float(cut.outputs) * float(cut.rowBytes), elements = float(cut.outputs) * float(p.k) * float(cut.rows);
  const float reading = bytes / 12, multiplying = elements / (4 * Lanes);
  return reading > multiplying ? reading : multiplying;
}

/** Plans a product that read_*() has read. */
template <typename W> static bool plan_product(const Product &p, NativePlan *plan) {
  const Cut cut = cut_of<W>(p);
  const uint64_t pieces = product((p.rows + cut.rows - 1) / cut.rows, cut.piecesAlong);
  const uint64_t threadBytes = isFloat<W> ? 0 : cut.rows * cut.activationGroups * sizeof(ActivationGroup);
  if (pieces > UINT32_MAX || threadBytes > MostThreadBytes) return false;
  plan->phaseCount = 1;
  plan->phases[0] = {uint32_t(pieces), 50 + piece_nanoseconds<W>(p, cut)};
  plan->threadBytes = threadBytes;
  return true;
}

/** Rows of activations as multiply<W>() takes them; the thread remembers what it has of the quantised ones. */
template <typename W> static const float *activations_of(const NativeRun *, const Cut &, const float *x, uint32_t, uint32_t)
  requires isFloat<W>
{
  return x;
}
template <typename W>
static const ActivationGroup *activations_of(const NativeRun *run, const Cut &cut, const float *x, uint32_t rows, uint32_t k)
  requires(!isFloat<W>)
{
  constexpr uint64_t kind = 0x73746361; // "acts"
  NativeThread *thread = run->thread;
  auto *groups = (ActivationGroup *)thread->memory;
  const uint64_t content[4] = {run->group, uint64_t(x), k | uint64_t(rows) << 32, kind};
  if (__builtin_memcmp(content, thread->content, sizeof content) != 0) {
    for (uint32_t i = 0; i < rows; i++) make_activations(x + uint64_t(i) * k, k, groups + i * cut.activationGroups);
    __builtin_memcpy(thread->content, content, sizeof content);
  }
  return groups;
}

/** M rows of activations, `xStride` apart, with each of `count` rows of weights from `w` on. */
template <typename W, uint32_t M, typename X>
static void multiply_rows(const uint8_t *w, uint64_t rowBytes, uint64_t count, const X *x, uint64_t xStride, uint32_t rows,
                          uint32_t k, float *out, uint64_t outStride) {
  // What is not there of R or M is the last row once more, and its output goes nowhere.
  constexpr uint32_t R = M == 1 ? 2 : 1;
  float nowhere;
  const X *activations[M];
  for (uint32_t m = 0; m < M; m++) activations[m] = x + (m < rows ? m : rows - 1) * xStride;
  for (uint64_t o = 0; o < count; o += R) {
    const uint8_t *weights[R];
    float *places[R][M];
    for (uint32_t r = 0; r < R; r++) {
      weights[r] = w + (o + r < count ? o + r : o) * rowBytes;
      for (uint32_t m = 0; m < M; m++) places[r][m] = o + r < count && m < rows ? out + m * outStride + o + r : &nowhere;
    }
    multiply<W, R, M>(weights, activations, k, places);
  }
}

/** Runs pieces of a product with few rows. */
template <typename W> static void run_product(const Product &p, const NativeRun *run, uint32_t from, uint32_t to) {
  const Cut cut = cut_of<W>(p);
  for (uint64_t piece = from; piece < to; piece++) {
    const uint64_t row = piece / cut.piecesAlong * cut.rows, output = piece % cut.piecesAlong * cut.outputs;
    const uint32_t rows = p.rows - row < cut.rows ? uint32_t(p.rows - row) : cut.rows;
    const uint32_t outputs = p.n - output < cut.outputs ? uint32_t(p.n - output) : cut.outputs;
    const uint64_t expert = !p.ids ? 0 : p.ids[row] < p.experts ? p.ids[row] : p.experts - 1;
    const uint8_t *w = p.w + (expert * p.n + output) * cut.rowBytes;
    const auto *x = activations_of<W>(run, cut, p.x + (p.ids ? row / p.share : row) * p.k, rows, p.k);
    const uint64_t xStride = isFloat<W> ? p.k : cut.activationGroups;
    float *out = p.out + row * p.n + output;
    for (uint32_t r = 0; r < rows; r += 4) {
      const uint32_t left = rows - r;
      const auto *first = x + r * xStride;
      float *place = out + uint64_t(r) * p.n;
      if (left == 1) multiply_rows<W, 1>(w, cut.rowBytes, outputs, first, xStride, left, p.k, place, p.n);
      else if (left == 2) multiply_rows<W, 2>(w, cut.rowBytes, outputs, first, xStride, left, p.k, place, p.n);
      else multiply_rows<W, 4>(w, cut.rowBytes, outputs, first, xStride, left, p.k, place, p.n);
    }
  }
}

// ---- kernels -------------------------------------------------------------------------------------------------------

template <typename W, bool hasRowCount> static bool plan_matvec(const DriverCommand *command, NativePlan *plan) {
  Product p;
  return read_product<W>(command, hasRowCount, &p) && plan_product<W>(p, plan);
}
template <typename W, bool hasRowCount> static void run_matvec(const NativeRun *run, uint32_t, uint32_t from, uint32_t to) {
  Product p;
  if (read_product<W>(run->command, hasRowCount, &p)) run_product<W>(p, run, from, to);
}

template <typename W> static bool plan_matvec_experts(const DriverCommand *command, NativePlan *plan) {
  Product p;
  return read_expert_product<W>(command, &p) && plan_product<W>(p, plan);
}
template <typename W> static void run_matvec_experts(const NativeRun *run, uint32_t, uint32_t from, uint32_t to) {
  Product p;
  if (read_expert_product<W>(run->command, &p)) run_product<W>(p, run, from, to);
}

#define PRODUCT_KERNELS_OF(W, name)                                                                                    \
  {"matvec_" #name, plan_matvec<W, false>, run_matvec<W, false>},                                                      \
      {"matvec_tiled_" #name, plan_matvec<W, false>, run_matvec<W, false>},                                            \
      {"matvec_rows_" #name, plan_matvec<W, true>, run_matvec<W, true>},                                               \
      {"matvec_experts_" #name, plan_matvec_experts<W>, run_matvec_experts<W>},

#define PRODUCT_KERNELS                                                                                                \
  PRODUCT_KERNELS_OF(F32, f32)                                                                                         \
  PRODUCT_KERNELS_OF(F16, f16)                                                                                         \
  PRODUCT_KERNELS_OF(BF16, bf16)                                                                                       \
  PRODUCT_KERNELS_OF(Q4_0, q4_0)                                                                                       \
  PRODUCT_KERNELS_OF(Q4_1, q4_1)                                                                                       \
  PRODUCT_KERNELS_OF(Q5_0, q5_0)                                                                                       \
  PRODUCT_KERNELS_OF(Q5_1, q5_1)                                                                                       \
  PRODUCT_KERNELS_OF(Q8_0, q8_0)                                                                                       \
  PRODUCT_KERNELS_OF(Q2_K, q2_k)                                                                                       \
  PRODUCT_KERNELS_OF(Q3_K, q3_k)                                                                                       \
  PRODUCT_KERNELS_OF(Q4_K, q4_k)                                                                                       \
  PRODUCT_KERNELS_OF(Q5_K, q5_k)                                                                                       \
  PRODUCT_KERNELS_OF(Q6_K, q6_k)                                                                                       \
  PRODUCT_KERNELS_OF(IQ4_NL, iq4_nl)                                                                                   \
  PRODUCT_KERNELS_OF(IQ4_XS, iq4_xs)                                                                                   \
  PRODUCT_KERNELS_OF(MXFP4, mxfp4)

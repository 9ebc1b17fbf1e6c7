/*
 * product_kernels.h: matvec_*, matvec_tiled_*, matvec_rows_* and matvec_experts_* of shaders/matvec.metal, and
 * matvec_fused_* of matvec_fused.metal. Part of level.h.
 */

/** Whether the grid makes all outputs of a row (shaders/tiles.h: four in each SIMD group). */
static bool covers(const DriverCommand *command, uint32_t n) {
  const uint64_t threads = command->dispatch.threadsPerThreadgroup[0];
  return product(groups_along(command, 0), (threads + 31) / 32 * 4) >= n && command->dispatch.threads[0] % threads == 0 &&
         command->dispatch.threadsPerThreadgroup[1] == 1 && command->dispatch.threads[2] == 1;
}

/** Binds a matrix, where the product has n and k. */
template <typename W> static const uint8_t *bound_weights(const DriverCommand *command, uint32_t index, uint64_t experts, const Product &p) {
  const uint64_t rowBytes = uint64_t(p.k / W::Elements) * W::Bytes;
  return (const uint8_t *)bound(command, index, product(experts, product(p.n, rowBytes)));
}
static const float *bound_rows(const DriverCommand *command, uint32_t index, uint64_t rows, uint32_t length) {
  return (const float *)bound(command, index, product(rows, 4 * uint64_t(length)));
}

/** Starts a product of that shape, if there can be one. */
template <typename W> static bool start_product(const DriverCommand *command, uint32_t n, uint32_t k, Product *p) {
  *p = {};
  p->rows = groups_along(command, 1);
  p->n = n;
  p->k = k;
  return n > 0 && k % W::Elements == 0 && covers(command, n);
}

template <typename W> struct Matvec {
  static bool read(const DriverCommand *command, Product *p) {
    const auto *args = (const MatrixArgs *)bound(command, 3, sizeof(MatrixArgs));
    if (!args || !start_product<W>(command, args->n, args->k, p)) return false;
    p->w = bound_weights<W>(command, 0, 1, *p);
    p->x = bound_rows(command, 1, p->rows, p->k);
    p->out = (float *)bound_rows(command, 2, p->rows, p->n);
    return p->w && p->x && p->out;
  }
};

/** Of the rows of the grid, in fours, there are as many as buffer 3 says. */
template <typename W> struct MatvecRows {
  static bool read(const DriverCommand *command, Product *p) {
    const auto *count = (const uint32_t *)bound(command, 3, sizeof(uint32_t));
    const auto *args = (const MatrixArgs *)bound(command, 4, sizeof(MatrixArgs));
    if (!args || !count || !start_product<W>(command, args->n, args->k, p)) return false;
    p->rows = product(p->rows, 4) < *count ? product(p->rows, 4) : *count;
    p->w = bound_weights<W>(command, 0, 1, *p);
    p->x = bound_rows(command, 1, p->rows, p->k);
    p->out = (float *)bound_rows(command, 2, p->rows, p->n);
    return p->rows > 0 && p->w && p->x && p->out;
  }
};

template <typename W> struct MatvecExperts {
  static bool read(const DriverCommand *command, Product *p) {
    const auto *args = (const ExpertMatrixArgs *)bound(command, 4, sizeof(ExpertMatrixArgs));
    if (!args || !start_product<W>(command, args->n, args->k, p) || args->experts == 0 || args->share == 0) return false;
    p->experts = args->experts;
    p->share = args->share;
    p->w = bound_weights<W>(command, 0, p->experts, *p);
    p->x = bound_rows(command, 1, (p->rows + p->share - 1) / p->share, p->k);
    p->ids = (const uint32_t *)bound_rows(command, 2, p->rows, 1);
    p->out = (float *)bound_rows(command, 3, p->rows, p->n);
    return p->w && p->x && p->ids && p->out;
  }
};

template <typename W> struct MatvecFused {
  static bool read(const DriverCommand *command, Product *p) {
    const auto *args = (const FusedMatrixArgs *)bound(command, 6, sizeof(FusedMatrixArgs));
    if (!args || !start_product<W>(command, args->n, args->k, p) || args->ending > EndingGelu) return false;
    const bool isGated = args->ending >= EndingSilu, adds = args->ending == EndingAdd;
    p->eps = args->eps;
    p->isGelu = args->ending == EndingGelu;
    p->w = bound_weights<W>(command, 0, 1, *p);
    p->second = isGated ? bound_weights<W>(command, 1, 1, *p) : nullptr;
    p->x = bound_rows(command, 2, p->rows, p->k);
    p->norm = args->normalises ? bound_rows(command, 3, 1, p->k) : nullptr;
    p->residual = adds ? bound_rows(command, 4, p->rows, p->n) : nullptr;
    p->out = (float *)bound_rows(command, 5, p->rows, p->n);
    return p->w && p->x && p->out && !(isGated && !p->second) && !(args->normalises && !p->norm) && !(adds && !p->residual);
  }
};

template <template <typename> typename Family, typename W> static bool plan_of(const DriverCommand *command, NativePlan *plan) {
  Product p;
  return Family<W>::read(command, &p) && plan_product<W>(p, plan);
}
template <template <typename> typename Family, typename W>
static void run_of(const NativeRun *run, uint32_t, uint32_t from, uint32_t to) {
  Product p;
  if (Family<W>::read(run->command, &p)) run_product<W>(p, run, from, to);
}

#define PRODUCT_KERNELS_OF(W, name)                                                                                    \
  {"matvec_" #name, plan_of<Matvec, W>, run_of<Matvec, W>},                                                            \
      {"matvec_tiled_" #name, plan_of<Matvec, W>, run_of<Matvec, W>},                                                  \
      {"matvec_rows_" #name, plan_of<MatvecRows, W>, run_of<MatvecRows, W>},                                           \
      {"matvec_experts_" #name, plan_of<MatvecExperts, W>, run_of<MatvecExperts, W>},                                  \
      {"matvec_fused_" #name, plan_of<MatvecFused, W>, run_of<MatvecFused, W>},

/** Those of matmul.h come before them, and take the dispatches with many rows. */
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

/*
 * matvec_fused.h: matvec_fused_* of shaders/matvec_fused.metal: a product with the norm before it, and the residual or the
 * gate behind. Part of level.h.
 *
 * A thread normalises the row for itself: that is less than it takes to wait for another one.
 */
struct FusedMatrixArgs { // shaders/args.h
  uint32_t n;
  uint32_t k;
  uint32_t normalises;
  float eps;
  uint32_t ending;
};
enum : uint32_t { EndingAdd = 1, EndingSilu = 2, EndingGelu = 3 };

/** What a dispatch binds besides its product. */
struct Fusion {
  const uint8_t *second;  // [n, k]; NULL without
  const float *norm;      // [k]; NULL without
  const float *residual;  // [rows, n]; NULL without
  float eps;
  uint32_t ending;
};

template <typename W> static bool read_fused(const DriverCommand *command, Product *p, Fusion *fusion) {
  const auto *args = (const FusedMatrixArgs *)bound(command, 6, sizeof(FusedMatrixArgs));
  if (!args || args->ending > EndingGelu) return false;
  *p = {};
  p->rows = groups_along(command, 1);
  p->n = args->n;
  p->k = args->k;
  if (p->n == 0 || p->k % W::Elements != 0 || !covers(command, p->n)) return false;
  const uint64_t weightBytes = product(p->n, uint64_t(p->k / W::Elements) * W::Bytes), rowBytes = 4 * uint64_t(p->k);
  const uint64_t outBytes = product(p->rows, 4 * uint64_t(p->n));
  p->w = (const uint8_t *)bound(command, 0, weightBytes);
  p->x = (const float *)bound(command, 2, product(p->rows, rowBytes));
  p->out = (float *)bound(command, 5, outBytes);
  *fusion = {};
  fusion->eps = args->eps;
  fusion->ending = args->ending;
  if (args->ending >= EndingSilu) fusion->second = (const uint8_t *)bound(command, 1, weightBytes);
  if (args->normalises) fusion->norm = (const float *)bound(command, 3, rowBytes);
  if (args->ending == EndingAdd) fusion->residual = (const float *)bound(command, 4, outBytes);
  return p->w && p->x && p->out && (args->ending < EndingSilu || fusion->second) && (!args->normalises || fusion->norm) &&
         (args->ending != EndingAdd || fusion->residual);
}

/** A thread's memory: the activations, the normalised row, and the sums of a piece with both matrices. */
template <typename W> struct FusedMemory {
  uint64_t row, sums, factors, bytes; // offsets
};
template <typename W> static FusedMemory<W> fused_memory(const Cut &cut, uint32_t k) {
  const uint64_t rowBytes = (4 * uint64_t(k) + 63) / 64 * 64, sumBytes = (4 * uint64_t(cut.outputs) + 63) / 64 * 64;
  FusedMemory<W> memory;
  memory.row = isFloat<W> ? 0 : cut.activationGroups * sizeof(ActivationGroup);
  memory.sums = memory.row + rowBytes;
  memory.factors = memory.sums + sumBytes;
  memory.bytes = memory.factors + sumBytes;
  return memory;
}

/** The row as it goes into the product: x, or its norm. */
static const float *normalised(const float *x, const Fusion &fusion, uint32_t k, float *row) {
  if (!fusion.norm) return x;
  const RmsNormArgs args = {k, fusion.eps};
  normalise(x, nullptr, fusion.norm, (float *)x, row, &args);
  return row;
}

/** The same as multiply<W>() takes it. The thread remembers what it has made. */
template <typename W>
static const float *fused_activations(const NativeRun *run, const Fusion &fusion, const Cut &, const float *x, uint32_t k)
  requires isFloat<W>
{
  constexpr uint64_t kind = 0x6d726f6e; // "norm"
  NativeThread *thread = run->thread;
  auto *row = (float *)thread->memory;
  const uint64_t content[4] = {run->group, uint64_t(x), uint64_t(fusion.norm), kind};
  if (!fusion.norm || __builtin_memcmp(content, thread->content, sizeof content) == 0) return fusion.norm ? row : x;
  __builtin_memcpy(thread->content, content, sizeof content);
  return normalised(x, fusion, k, row);
}
template <typename W>
static const ActivationGroup *fused_activations(const NativeRun *run, const Fusion &fusion, const Cut &cut, const float *x, uint32_t k)
  requires(!isFloat<W>)
{
  constexpr uint64_t kind = 0x6d726f6e; // "norm"
  NativeThread *thread = run->thread;
  auto *groups = (ActivationGroup *)thread->memory;
  const uint64_t content[4] = {run->group, uint64_t(x), uint64_t(fusion.norm), kind};
  if (__builtin_memcmp(content, thread->content, sizeof content) == 0) return groups;
  float *row = (float *)((char *)thread->memory + fused_memory<W>(cut, k).row);
  make_activations(normalised(x, fusion, k, row), k, groups);
  __builtin_memcpy(thread->content, content, sizeof content);
  return groups;
}

/** Writes the outputs of a piece. */
static void end_product(const Fusion &fusion, const float *sums, const float *factors, const float *residual, float *out, uint32_t count) {
  for (uint32_t i = 0; i < count; i += Lanes) {
    const uint32_t left = count - i;
    Floats v = load_f32(sums + i, left);
    if (fusion.ending == EndingAdd) v += load_f32(residual + i, left);
    if (fusion.ending == EndingSilu) v = times_sigmoid(v, v) * load_f32(factors + i, left);
    if (fusion.ending == EndingGelu) v = gelu(v) * load_f32(factors + i, left);
    store_f32(out + i, v, left);
  }
}

template <typename W> static bool plan_matvec_fused(const DriverCommand *command, NativePlan *plan) {
  Product p;
  Fusion fusion;
  if (!read_fused<W>(command, &p, &fusion)) return false;
  const Cut cut = cut_of<W>(p);
  const uint64_t pieces = product(p.rows, cut.piecesAlong), threadBytes = fused_memory<W>(cut, p.k).bytes;
  if (pieces > UINT32_MAX || threadBytes > MostThreadBytes) return false;
  const uint32_t matrices = fusion.second ? 2 : 1;
  plan->phaseCount = 1;
  plan->phases[0] = {uint32_t(pieces), 50 + float(matrices) * piece_nanoseconds<W>(p, cut)};
  plan->threadBytes = threadBytes;
  return true;
}

template <typename W> static void run_matvec_fused(const NativeRun *run, uint32_t, uint32_t from, uint32_t to) {
  Product p;
  Fusion fusion;
  if (!read_fused<W>(run->command, &p, &fusion)) return;
  const Cut cut = cut_of<W>(p);
  const FusedMemory<W> memory = fused_memory<W>(cut, p.k);
  float *sums = (float *)((char *)run->thread->memory + memory.sums), *factors = (float *)((char *)run->thread->memory + memory.factors);
  for (uint64_t piece = from; piece < to; piece++) {
    const uint64_t row = piece / cut.piecesAlong, output = piece % cut.piecesAlong * cut.outputs, at = row * p.n + output;
    const uint32_t outputs = p.n - output < cut.outputs ? uint32_t(p.n - output) : cut.outputs;
    const auto *x = fused_activations<W>(run, fusion, cut, p.x + row * p.k, p.k);
    multiply_rows<W, 1>(p.w + output * cut.rowBytes, cut.rowBytes, outputs, x, 0, 1, p.k, sums, 0);
    if (fusion.second)
      multiply_rows<W, 1>(fusion.second + output * cut.rowBytes, cut.rowBytes, outputs, x, 0, 1, p.k, factors, 0);
    end_product(fusion, sums, factors, fusion.residual ? fusion.residual + at : nullptr, p.out + at, outputs);
  }
}

#define FUSED_KERNEL(W, name) {"matvec_fused_" #name, plan_matvec_fused<W>, run_matvec_fused<W>},
#define FUSED_KERNELS                                                                                                  \
  FUSED_KERNEL(F32, f32)                                                                                               \
  FUSED_KERNEL(F16, f16)                                                                                               \
  FUSED_KERNEL(BF16, bf16)                                                                                             \
  FUSED_KERNEL(Q4_0, q4_0)                                                                                             \
  FUSED_KERNEL(Q4_1, q4_1)                                                                                             \
  FUSED_KERNEL(Q5_0, q5_0)                                                                                             \
  FUSED_KERNEL(Q5_1, q5_1)                                                                                             \
  FUSED_KERNEL(Q8_0, q8_0)                                                                                             \
  FUSED_KERNEL(Q2_K, q2_k)                                                                                             \
  FUSED_KERNEL(Q3_K, q3_k)                                                                                             \
  FUSED_KERNEL(Q4_K, q4_k)                                                                                             \
  FUSED_KERNEL(Q5_K, q5_k)                                                                                             \
  FUSED_KERNEL(Q6_K, q6_k)                                                                                             \
  FUSED_KERNEL(IQ4_NL, iq4_nl)                                                                                         \
  FUSED_KERNEL(IQ4_XS, iq4_xs)                                                                                         \
  FUSED_KERNEL(MXFP4, mxfp4)

/*
 * rows.h: kernels that make or reduce whole rows: shaders/softmax.metal, gather.metal, sample.metal, experts.metal.
 * Part of level.h.
 */

/** The first `count` lanes, and `otherwise` in the others. */
INLINE Floats load_or(const float *x, uint32_t count, float otherwise) {
  if (count >= Lanes) return load_f32(x);
  Floats v = splat(otherwise);
  __builtin_memcpy(&v, x, count * sizeof *x);
  return v;
}

static bool plan_softmax(const DriverCommand *command, NativePlan *plan) {
  const auto *args = (const SoftmaxArgs *)bound(command, 2, sizeof(SoftmaxArgs));
  const uint64_t rows = groups_along(command, 1);
  if (!args || groups_along(command, 0) != 1 || rows > UINT32_MAX) return false;
  const uint64_t bytes = product(product(rows, args->n), 4);
  if (!bound(command, 0, bytes) || !bound(command, 1, bytes)) return false;
  plan->phaseCount = 1;
  plan->phases[0] = {uint32_t(rows), 50.0f + float(args->n) * 10.0f / float(uint32_t(Lanes))};
  return true;
}

static void run_softmax(const NativeRun *run, uint32_t, uint32_t from, uint32_t to) {
  void *const *buffers = run->command->dispatch.buffers;
  const auto *args = (const SoftmaxArgs *)buffers[2];
  const uint32_t n = args->n;
  const Floats scale = splat(args->scale);
  for (uint64_t row = from; row < to; row++) {
    const float *x = (const float *)buffers[0] + row * n;
    float *out = (float *)buffers[1] + row * n;
    Floats largest = splat(-__FLT_MAX__), sum = {};
    for (uint32_t i = 0; i < n; i += Lanes) largest = maximum(largest, scale * load_or(x + i, n - i, x[i]));
    largest = splat(maximum_of(largest));
    for (uint32_t i = 0; i < n; i += Lanes) {
      const Floats e = exponential(scale * load_or(x + i, n - i, x[i]) - largest);
      store_f32(out + i, e, n - i);
      sum += n - i >= Lanes ? e : load_f32(out + i, n - i);
    }
    const Floats factor = splat(1.0f / sum_of(sum));
    for (uint32_t i = 0; i < n; i += Lanes) store_f32(out + i, load_f32(out + i, n - i) * factor, n - i);
  }
}

static bool plan_gather_rows(const DriverCommand *command, NativePlan *plan) {
  const auto *args = (const RowArgs *)bound(command, 3, sizeof(RowArgs));
  const uint64_t rows = command->dispatch.threads[1];
  if (!args || command->dispatch.threads[0] < args->n || rows > UINT32_MAX) return false;
  if (!bound(command, 1, 4 * rows) || !bound(command, 2, product(product(rows, args->n), 4))) return false;
  const auto *indices = (const uint32_t *)command->dispatch.buffers[1];
  for (uint64_t row = 0; row < rows; row++)
    if (!bound(command, 0, product((uint64_t(indices[row]) + 1) * args->n, 4))) return false;
  plan->phaseCount = 1;
  plan->phases[0] = {uint32_t(rows), 20.0f + float(args->n) * 0.1f};
  return true;
}

static void run_gather_rows(const NativeRun *run, uint32_t, uint32_t from, uint32_t to) {
  void *const *buffers = run->command->dispatch.buffers;
  const uint32_t n = ((const RowArgs *)buffers[3])->n;
  for (uint64_t row = from; row < to; row++)
    __builtin_memmove((float *)buffers[2] + row * n,
                      (const float *)buffers[0] + uint64_t(((const uint32_t *)buffers[1])[row]) * n, 4ull * n);
}

static bool plan_argmax(const DriverCommand *command, NativePlan *plan) {
  const auto *args = (const RowArgs *)bound(command, 2, sizeof(RowArgs));
  const uint64_t rows = groups_along(command, 1);
  if (!args || args->n > INT32_MAX || groups_along(command, 0) != 1 || rows > UINT32_MAX) return false;
  if (!bound(command, 0, product(product(rows, args->n), 4)) || !bound(command, 1, 4 * rows)) return false;
  plan->phaseCount = 1;
  plan->phases[0] = {uint32_t(rows), 50.0f + float(args->n) * 0.35f};
  return true;
}

/** The lowest index of the largest: each lane keeps the first of its own, and of lanes with the same value the lowest counts. */
static void run_argmax(const NativeRun *run, uint32_t, uint32_t from, uint32_t to) {
  void *const *buffers = run->command->dispatch.buffers;
  const uint32_t n = ((const RowArgs *)buffers[2])->n;
  for (uint64_t row = from; row < to; row++) {
    const float *x = (const float *)buffers[0] + row * n;
    Floats best = splat(-__builtin_inff());
    Ints bestIndex = splat(int32_t(-1)), index;
    for (uint32_t i = 0; i < Lanes; i++) index[i] = int32_t(i);
    for (uint32_t i = 0; i < n; i += Lanes, index += int32_t(Lanes)) {
      const Floats v = load_or(x + i, n - i, __builtin_nanf(""));
      const Ints isBetter = (v > best) | ((v == best) & (bestIndex < 0));
      best = isBetter ? v : best;
      bestIndex = isBetter ? index : bestIndex;
    }
    int32_t winner = -1;
    for (uint32_t i = 0; i < Lanes; i++) {
      if (bestIndex[i] < 0) continue;
      if (winner < 0 || best[i] > x[winner] || (best[i] == x[winner] && bestIndex[i] < winner)) winner = bestIndex[i];
    }
    ((uint32_t *)buffers[1])[row] = winner < 0 ? 0 : uint32_t(winner);
  }
}

static bool plan_mix_experts(const DriverCommand *command, NativePlan *plan) {
  const auto *args = (const MixArgs *)bound(command, 3, sizeof(MixArgs));
  const uint64_t rows = command->dispatch.threads[1];
  if (!args || command->dispatch.threads[0] < args->n || rows > UINT32_MAX) return false;
  const uint64_t outputs = product(rows, args->used);
  if (!bound(command, 0, product(product(outputs, args->n), 4)) || !bound(command, 1, product(outputs, 4)) ||
      !bound(command, 2, product(product(rows, args->n), 4)))
    return false;
  plan->phaseCount = 1;
  plan->phases[0] = {uint32_t(rows), 20.0f + float(args->n) * float(args->used) * 0.1f};
  return true;
}

static void run_mix_experts(const NativeRun *run, uint32_t, uint32_t from, uint32_t to) {
  void *const *buffers = run->command->dispatch.buffers;
  const auto *args = (const MixArgs *)buffers[3];
  const uint32_t n = args->n, used = args->used;
  for (uint64_t row = from; row < to; row++) {
    const float *x = (const float *)buffers[0] + row * used * n, *weights = (const float *)buffers[1] + row * used;
    float *out = (float *)buffers[2] + row * n;
    for (uint32_t i = 0; i < n; i += Lanes) {
      Floats sum = {};
      for (uint32_t j = 0; j < used; j++) sum = fma(splat(weights[j]), load_f32(x + uint64_t(j) * n + i, n - i), sum);
      store_f32(out + i, sum, n - i);
    }
  }
}

#define ROW_KERNELS                                                                                                    \
  {"softmax_f32", plan_softmax, run_softmax},                                                                          \
  {"gather_rows_f32", plan_gather_rows, run_gather_rows},                                                              \
  {"argmax_f32", plan_argmax, run_argmax},                                                                             \
  {"mix_experts_f32", plan_mix_experts, run_mix_experts},

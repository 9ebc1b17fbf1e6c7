/*
 * norm.h: rmsnorm and add_rmsnorm of shaders/norm.metal. Part of level.h.
 */

/** Rows and their length, of a kernel whose arguments start with `n`. */
static bool plan_rows(const DriverCommand *command, NativePlan *plan, uint32_t argsIndex, uint32_t rowBuffers, uint32_t vector) {
  const auto *args = (const RmsNormArgs *)bound(command, argsIndex, sizeof(RmsNormArgs));
  const uint64_t rows = groups_along(command, 1);
  if (!args || groups_along(command, 0) != 1 || rows > UINT32_MAX) return false;
  const uint64_t rowBytes = 4 * uint64_t(args->n);
  for (uint32_t i = 0; i < argsIndex; i++)
    if (!bound(command, i, i == vector ? rowBytes : product(rows, rowBytes))) return false;
  plan->phaseCount = 1;
  plan->phases[0] = {uint32_t(rows), 20.0f + float(args->n) * float(rowBuffers) * 0.1f};
  return true;
}

/** x / sqrt(mean(x^2) + eps) * weight, of one row; `sum` receives a + b before, where there is a b. */
static void normalise(const float *a, const float *b, const float *weight, float *sum, float *out, const RmsNormArgs *args) {
  const uint32_t n = args->n;
  Floats squares[2] = {};
  for (uint32_t i = 0; i < n; i += 2 * Lanes)
    for (uint32_t j = 0; j < 2 && i + j * Lanes < n; j++) {
      const uint32_t at = i + j * Lanes, count = n - at;
      Floats x = load_f32(a + at, count);
      if (b) store_f32(sum + at, x += load_f32(b + at, count), count);
      squares[j] = fma(x, x, squares[j]);
    }
  const float scale = 1.0f / __builtin_sqrtf(sum_of(squares[0] + squares[1]) / float(n) + args->eps);
  for (uint32_t i = 0; i < n; i += Lanes)
    store_f32(out + i, load_f32(sum + i, n - i) * splat(scale) * load_f32(weight + i, n - i), n - i);
}

static bool plan_rmsnorm(const DriverCommand *command, NativePlan *plan) { return plan_rows(command, plan, 3, 2, 1); }

static void run_rmsnorm(const NativeRun *run, uint32_t, uint32_t from, uint32_t to) {
  void *const *buffers = run->command->dispatch.buffers;
  const auto *args = (const RmsNormArgs *)buffers[3];
  for (uint64_t row = from; row < to; row++) {
    float *x = (float *)buffers[0] + row * args->n;
    normalise(x, nullptr, (const float *)buffers[1], x, (float *)buffers[2] + row * args->n, args);
  }
}

static bool plan_add_rmsnorm(const DriverCommand *command, NativePlan *plan) { return plan_rows(command, plan, 5, 4, 2); }

static void run_add_rmsnorm(const NativeRun *run, uint32_t, uint32_t from, uint32_t to) {
  void *const *buffers = run->command->dispatch.buffers;
  const auto *args = (const RmsNormArgs *)buffers[5];
  for (uint64_t row = from; row < to; row++) {
    const uint64_t at = row * args->n;
    normalise((const float *)buffers[0] + at, (const float *)buffers[1] + at, (const float *)buffers[2],
              (float *)buffers[3] + at, (float *)buffers[4] + at, args);
  }
}

#define NORM_KERNELS                                                                                                   \
  {"rmsnorm_f32", plan_rmsnorm, run_rmsnorm}, {"add_rmsnorm_f32", plan_add_rmsnorm, run_add_rmsnorm},

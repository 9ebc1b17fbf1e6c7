/*
 * elementwise.h: shaders/elementwise.metal. Part of level.h.
 *
 * Results may take the place of an input: each is made of the elements at its own place.
 */

/** One vector of results, of inputs a and b (where there is one) and the factor (where there is one). */
struct Add {
  enum : uint32_t { inputs = 2, hasFactor = false, nanoseconds = 1 }; // roughly, for 16 elements
  static Floats of(Floats a, Floats b, float) { return a + b; }
};
struct Multiply {
  enum : uint32_t { inputs = 2, hasFactor = false, nanoseconds = 1 };
  static Floats of(Floats a, Floats b, float) { return a * b; }
};
struct Silu {
  enum : uint32_t { inputs = 1, hasFactor = false, nanoseconds = 10 };
  static Floats of(Floats a, Floats, float) { return times_sigmoid(a, a); }
};
struct SiluMultiply {
  enum : uint32_t { inputs = 2, hasFactor = false, nanoseconds = 10 };
  static Floats of(Floats a, Floats b, float) { return times_sigmoid(a, a) * b; }
};
struct Gelu {
  enum : uint32_t { inputs = 1, hasFactor = false, nanoseconds = 12 };
  static Floats of(Floats a, Floats, float) { return gelu(a); }
};
struct GeluMultiply {
  enum : uint32_t { inputs = 2, hasFactor = false, nanoseconds = 12 };
  static Floats of(Floats a, Floats b, float) { return gelu(a) * b; }
};
struct Scale {
  enum : uint32_t { inputs = 1, hasFactor = true, nanoseconds = 1 };
  static Floats of(Floats a, Floats, float factor) { return splat(factor) * a; }
};
struct SoftCap {
  enum : uint32_t { inputs = 1, hasFactor = true, nanoseconds = 20 };
  static Floats of(Floats a, Floats, float factor) { return soft_cap(a, factor); }
};

enum : uint32_t { ElementsPerPiece = 4096 };

template <typename F> static bool plan_elementwise(const DriverCommand *command, NativePlan *plan) {
  const auto *args = (const RowArgs *)bound(command, F::inputs + 1, F::hasFactor ? sizeof(ScaleArgs) : sizeof(RowArgs));
  if (!args || command->dispatch.threads[0] < args->n) return false;
  const uint64_t elements = product(command->dispatch.threads[1], args->n), bytes = product(elements, 4);
  for (uint32_t i = 0; i <= F::inputs; i++)
    if (!bound(command, i, bytes)) return false;
  const uint64_t pieces = (elements + ElementsPerPiece - 1) / ElementsPerPiece;
  if (pieces > UINT32_MAX) return false;
  const uint64_t each = elements < ElementsPerPiece ? elements : uint64_t(ElementsPerPiece);
  plan->phaseCount = 1;
  plan->phases[0] = {uint32_t(pieces), 20.0f + float(each) * float(uint32_t(F::nanoseconds)) / float(uint32_t(Lanes))};
  return true;
}

template <typename F> static void run_elementwise(const NativeRun *run, uint32_t, uint32_t from, uint32_t to) {
  void *const *buffers = run->command->dispatch.buffers;
  const auto *args = (const ScaleArgs *)buffers[F::inputs + 1];
  const float *a = (const float *)buffers[0], *b = (const float *)buffers[F::inputs - 1];
  float *out = (float *)buffers[F::inputs];
  const float factor = F::hasFactor ? args->factor : 0.0f;
  const uint64_t elements = run->command->dispatch.threads[1] * args->n, last = uint64_t(to) * ElementsPerPiece;
  const uint64_t end = last < elements ? last : elements;
  uint64_t i = uint64_t(from) * ElementsPerPiece;
  for (; i + Lanes <= end; i += Lanes) store(out + i, F::of(load_f32(a + i), load_f32(b + i), factor));
  if (i < end) {
    const uint32_t left = uint32_t(end - i);
    store_f32(out + i, F::of(load_f32(a + i, left), load_f32(b + i, left), factor), left);
  }
}

static bool plan_add_bias(const DriverCommand *command, NativePlan *plan) {
  const auto *args = (const RowArgs *)bound(command, 3, sizeof(RowArgs));
  if (!args || command->dispatch.threads[0] < args->n || command->dispatch.threads[1] > UINT32_MAX) return false;
  const uint64_t bytes = product(product(command->dispatch.threads[1], args->n), 4);
  if (!bound(command, 0, bytes) || !bound(command, 1, 4ull * args->n) || !bound(command, 2, bytes)) return false;
  plan->phaseCount = 1;
  plan->phases[0] = {uint32_t(command->dispatch.threads[1]), 20.0f + float(args->n) * 0.1f};
  return true;
}

static void run_add_bias(const NativeRun *run, uint32_t, uint32_t from, uint32_t to) {
  void *const *buffers = run->command->dispatch.buffers;
  const uint32_t n = ((const RowArgs *)buffers[3])->n;
  const float *bias = (const float *)buffers[1];
  for (uint64_t row = from; row < to; row++) {
    const float *x = (const float *)buffers[0] + row * n;
    float *out = (float *)buffers[2] + row * n;
    for (uint32_t i = 0; i < n; i += Lanes) store_f32(out + i, load_f32(x + i, n - i) + load_f32(bias + i, n - i), n - i);
  }
}

#define ELEMENTWISE_KERNEL(name, F) {name "_f32", plan_elementwise<F>, run_elementwise<F>},
#define ELEMENTWISE_KERNELS                                                                                            \
  ELEMENTWISE_KERNEL("add", Add)                                                                                       \
  ELEMENTWISE_KERNEL("mul", Multiply)                                                                                  \
  ELEMENTWISE_KERNEL("silu", Silu)                                                                                     \
  ELEMENTWISE_KERNEL("silu_mul", SiluMultiply)                                                                         \
  ELEMENTWISE_KERNEL("gelu", Gelu)                                                                                     \
  ELEMENTWISE_KERNEL("gelu_mul", GeluMultiply)                                                                         \
  ELEMENTWISE_KERNEL("scale", Scale)                                                                                   \
  ELEMENTWISE_KERNEL("softcap", SoftCap)                                                                               \
  {"add_bias_f32", plan_add_bias, run_add_bias},

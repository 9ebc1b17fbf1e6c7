/*
 * kv.h: shaders/kv.metal. Part of level.h.
 */
/** As F16, rounded to the nearest, to the even one of two. */
INLINE HalfUshorts to_f16(Floats v) {
#if defined(NATIVE_AVX2) || defined(NATIVE_NEON)
  return (HalfUshorts)__builtin_convertvector(v, Halves);
#else
  const Ints bits = (Ints)v, size = bits & 0x7fffffff;
  const Ints normal = (size + ((size >> 13) & 1) + int32_t(0xc8000fff)) >> 13; // the exponent's bias is 112 less
  const Ints subnormal = (Ints)((Floats)size + 0.5f) - 0x3f000000;             // the sum has the right last place
  const Ints beyond = size > 0x7f800000 ? splat(int32_t(0x7e00)) : splat(int32_t(0x7c00));
  const Ints half = size < 0x38800000 ? subnormal : size >= 0x477ff000 ? beyond : normal;
  return __builtin_convertvector(half | ((bits >> 16) & 0x8000), HalfUshorts);
#endif
}

/** store_row: `n` elements as a cache has them. */
struct StoreF32 : CacheF32 {
  static void store_row(const float *x, uint8_t *out, uint32_t n) { __builtin_memcpy(out, x, 4ull * n); }
};

struct StoreF16 : CacheF16 {
  static void store_row(const float *x, uint8_t *out, uint32_t n) {
    uint32_t i = 0;
    for (; i + Lanes <= n; i += Lanes) store(out + 2 * i, to_f16(load_f32(x + i)));
    if (i == n) return;
    const HalfUshorts last = to_f16(load_f32(x + i, n - i));
    __builtin_memcpy(out + 2 * i, &last, 2 * (n - i));
  }
};

struct StoreQ8_0 : CacheQ8_0 {
  static void store_row(const float *x, uint8_t *out, uint32_t n) {
    for (uint32_t block = 0; block < n / elements; block++, x += elements, out += bytes) {
      Floats most = {};
      for (uint32_t i = 0; i < elements; i += Lanes) most = maximum(magnitude(load_f32(x + i)), most); // not NaN
      const float largest = maximum_of(most), inverse = largest > 0.0f ? 127.0f / largest : 0.0f;
      store(out, to_f16(splat(largest / 127.0f))[0]);
      for (uint32_t i = 0; i < elements; i += Lanes) {
        const Floats whole = __builtin_elementwise_rint(load_f32(x + i) * splat(inverse));
        store(out + 2 + i, __builtin_convertvector(__builtin_convertvector(whole, Ints), QuarterBytes));
      }
    }
  }
};

template <typename Store> static bool plan_kv_store(const DriverCommand *command, NativePlan *plan) {
  const auto *args = (const RowArgs *)bound(command, 5, sizeof(RowArgs));
  const uint64_t rows = command->dispatch.threads[1];
  if (!args || args->n % Store::elements != 0 || command->dispatch.threads[0] < args->n / Store::elements) return false;
  const uint64_t bytes = product(product(rows, args->n), 4), rowBytes = uint64_t(args->n) / Store::elements * Store::bytes;
  if (rows > UINT32_MAX || !bound(command, 0, bytes) || !bound(command, 1, bytes) || !bound(command, 2, 4 * rows)) return false;
  const auto *slots = (const uint32_t *)command->dispatch.buffers[2];
  for (uint64_t row = 0; row < rows; row++) {
    const uint64_t end = (uint64_t(slots[row]) + 1) * rowBytes;
    if (slots[row] != SkippedSlot && (!bound(command, 3, end) || !bound(command, 4, end))) return false;
  }
  plan->phaseCount = 1;
  plan->phases[0] = {uint32_t(rows), 20.0f + 2.0f * float(args->n) / float(uint32_t(Lanes)) * (Store::elements > 1 ? 6.0f : 1.0f)};
  return true;
}

template <typename Store> static void run_kv_store(const NativeRun *run, uint32_t, uint32_t from, uint32_t to) {
  void *const *buffers = run->command->dispatch.buffers;
  const uint32_t n = ((const RowArgs *)buffers[5])->n;
  const uint64_t rowBytes = uint64_t(n) / Store::elements * Store::bytes;
  for (uint64_t row = from; row < to; row++) {
    const uint32_t slot = ((const uint32_t *)buffers[2])[row];
    if (slot == SkippedSlot) continue;
    Store::store_row((const float *)buffers[0] + row * n, (uint8_t *)buffers[3] + slot * rowBytes, n);
    Store::store_row((const float *)buffers[1] + row * n, (uint8_t *)buffers[4] + slot * rowBytes, n);
  }
}

#define KV_KERNEL(name, Store) {"kv_store_" name, plan_kv_store<Store>, run_kv_store<Store>},
#define KV_KERNELS KV_KERNEL("f32", StoreF32) KV_KERNEL("f16", StoreF16) KV_KERNEL("q8_0", StoreQ8_0)

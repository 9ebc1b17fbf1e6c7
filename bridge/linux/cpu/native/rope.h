/*
 * rope.h: shaders/rope.metal. Part of level.h.
 *
 * The heads of a row have the same angles, so that sines and cosines are made once for all of them.
 */

typedef double Doubles __attribute__((vector_size(8 * NATIVE_LANES)));

/**
 * Sines and cosines. With q the whole number nearest to x / (pi / 2), they are those of x - q pi / 2, |.| <= pi / 4, in an
 * order and with signs that the lowest bits of q tell. The difference is made in float64: angles grow to many thousands.
 */
INLINE void sines_and_cosines(Floats angles, Floats *sines, Floats *cosines) {
  const Doubles x = __builtin_convertvector(angles, Doubles);
  const Doubles q = __builtin_elementwise_rint(x * 0.63661977236758134);
  const Floats r = __builtin_convertvector((x - q * 1.5707963267948966) - q * 6.123233995736766e-17, Floats);
  const Ints quadrant = __builtin_convertvector(q - 4.0 * __builtin_elementwise_floor(q * 0.25), Ints);
  const Floats square = r * r;
  Floats s = fma(splat(-1.95172346e-4f), square, 8.33217769e-3f);
  s = fma(s, square, -1.66666549e-1f);
  s = fma(s * square, r, r);
  Floats c = fma(splat(2.44383794e-5f), square, -1.38873669e-3f);
  c = fma(c, square, 4.16666469e-2f);
  c = fma(c * square, square, fma(square, -0.5f, splat(1.0f)));
  const Ints isOdd = (quadrant & 1) != 0;
  *sines = (Floats)((Ints)(isOdd ? c : s) ^ (quadrant & 2) << 30);
  *cosines = (Floats)((Ints)(isOdd ? s : c) ^ ((quadrant + 1) & 2) << 30);
}

enum : uint32_t { RopePairs = 512 }; // of a head, at most

static bool plan_rope(const DriverCommand *command, NativePlan *plan) {
  const auto *args = (const RopeArgs *)bound(command, 4, sizeof(RopeArgs));
  const uint64_t rows = command->dispatch.threads[1];
  if (!args || args->headDim % 2 != 0 || args->rotaryDims % 2 != 0 || args->rotaryDims > args->headDim) return false;
  if (args->rotaryDims > 2 * RopePairs || rows > UINT32_MAX) return false;
  const uint64_t rowElements = uint64_t(args->heads) * args->headDim, bytes = product(product(rows, rowElements), 4);
  if (command->dispatch.threads[0] < rowElements / 2 || !bound(command, 0, bytes) || !bound(command, 1, 4 * rows) ||
      !bound(command, 2, 2ull * args->rotaryDims) || !bound(command, 3, bytes))
    return false;
  plan->phaseCount = 1;
  plan->phases[0] = {uint32_t(rows), 50.0f + float(args->rotaryDims) * 2.0f + float(rowElements) * 2.0f / float(uint32_t(Lanes))};
  return true;
}

template <int... i> INLINE Floats swap_neighbours(Floats v, Sequence<int, i...>) {
  return __builtin_shufflevector(v, v, (i ^ 1)...);
}

/** Pairs 2p and 2p + 1 of one head; tables have a factor for each dimension, the sine of the first one of a pair negated. */
static void rotate_interleaved(const float *x, float *out, const float *cosines, const float *sines, uint32_t dims) {
  uint32_t d = 0;
  for (; d + Lanes <= dims; d += Lanes) {
    const Floats v = load_f32(x + d);
    store(out + d, v * load_f32(cosines + d) + swap_neighbours(v, LaneSequence()) * load_f32(sines + d));
  }
  for (; d < dims; d += 2) {
    const float a = x[d], b = x[d + 1];
    out[d] = a * cosines[d] + b * sines[d];
    out[d + 1] = b * cosines[d + 1] + a * sines[d + 1];
  }
}

/** Pairs p and p + dims / 2 of one head; tables have a factor for each pair. */
static void rotate_halves(const float *x, float *out, const float *cosines, const float *sines, uint32_t dims) {
  const uint32_t half = dims / 2;
  for (uint32_t d = 0; d < half; d += Lanes) {
    const uint32_t left = half - d;
    const Floats a = load_f32(x + d, left), b = load_f32(x + half + d, left);
    const Floats c = load_f32(cosines + d), s = load_f32(sines + d);
    store_f32(out + d, a * c - b * s, left);
    store_f32(out + half + d, a * s + b * c, left);
  }
}

template <bool IsInterleaved> static void run_rope(const NativeRun *run, uint32_t, uint32_t from, uint32_t to) {
  void *const *buffers = run->command->dispatch.buffers;
  const auto *args = (const RopeArgs *)buffers[4];
  const auto *positions = (const uint32_t *)buffers[1];
  const auto *frequencies = (const float *)buffers[2];
  const uint32_t pairs = args->rotaryDims / 2, headDim = args->headDim;
  float cosines[2 * RopePairs + Lanes], sines[2 * RopePairs + Lanes];
  for (uint64_t row = from; row < to; row++) {
    for (uint32_t p = 0; p < pairs; p += Lanes) {
      Floats s, c;
      sines_and_cosines(splat(float(positions[row])) * load_f32(frequencies + p, pairs - p), &s, &c);
      s *= splat(args->magnitude);
      c *= splat(args->magnitude);
      if constexpr (!IsInterleaved) {
        store(sines + p, s);
        store(cosines + p, c);
      } else {
        for (uint32_t i = 0; i < Lanes && p + i < pairs; i++) {
          cosines[2 * (p + i)] = cosines[2 * (p + i) + 1] = c[i];
          sines[2 * (p + i) + 1] = s[i];
          sines[2 * (p + i)] = -s[i];
        }
      }
    }
    const float *x = (const float *)buffers[0] + row * args->heads * headDim;
    float *out = (float *)buffers[3] + row * args->heads * headDim;
    for (uint32_t h = 0; h < args->heads; h++, x += headDim, out += headDim) {
      if constexpr (IsInterleaved) rotate_interleaved(x, out, cosines, sines, args->rotaryDims);
      else rotate_halves(x, out, cosines, sines, args->rotaryDims);
      if (x != out) __builtin_memmove(out + args->rotaryDims, x + args->rotaryDims, 4ull * (headDim - args->rotaryDims));
    }
  }
}

#define ROPE_KERNELS                                                                                                   \
  {"rope_interleaved_f32", plan_rope, run_rope<true>}, {"rope_half_f32", plan_rope, run_rope<false>},

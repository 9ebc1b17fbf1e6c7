/*
 * matmul_tile.h: a panel of quantised weights times a few rows of activations. Part of matmul.h.
 */
enum : uint32_t {
#if defined(NATIVE_DOTPROD)
  QuantisedTileRows = 6, // times PanelVectors: sums in registers, of 32, beside as many floats
#elif NATIVE_LANES == 16 || defined(NATIVE_NEON)
  QuantisedTileRows = 8, // and without them
#else
  QuantisedTileRows = 4, // of 16
#endif
};

#ifndef NATIVE_DOTPROD
/** Two consecutive activations for all lanes, and the sum of each lane's two products with them added to `sum`. */
#ifdef __x86_64__
typedef Ints ActivationPair;
INLINE ActivationPair pair_at(const int16_t *x) { return splat(load<int32_t>(x)); }
INLINE Ints dot(Shorts weights, ActivationPair x, Ints sum) {
#if defined(NATIVE_AVX512VNNI)
  // Of the intrinsic clang 19 makes a product and a sum where it takes the sums for a critical path.
  __asm__("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(weights), "v"(x));
  return sum;
#elif defined(NATIVE_AVX2)
  return sum + (Ints)_mm256_madd_epi16((__m256i)weights, (__m256i)x);
#else
  return sum + (Ints)_mm_madd_epi16((__m128i)weights, (__m128i)x);
#endif
}
#else
struct ActivationPair {
  int16_t first, second;
};
INLINE ActivationPair pair_at(const int16_t *x) { return load<ActivationPair>(x); }
template <int... I> INLINE Ints dot_halves(Shorts weights, ActivationPair x, Ints sum, Sequence<int, I...>) {
  const HalfShorts low = __builtin_shufflevector(weights, weights, I...);
  const HalfShorts high = __builtin_shufflevector(weights, weights, (I + NATIVE_LANES)...);
  sum += __builtin_convertvector(low, Ints) * __builtin_convertvector(HalfShorts{} + x.first, Ints);
  return sum + __builtin_convertvector(high, Ints) * __builtin_convertvector(HalfShorts{} + x.second, Ints);
}
INLINE Ints dot(Shorts weights, ActivationPair x, Ints sum) { return dot_halves(weights, x, sum, Indices<Lanes>{}); }
#endif

/** wholes[row] = weights * x[row] of Rows rows and Step elements. */
template <uint32_t Step, uint32_t Rows>
INLINE void multiply_step(const Shorts (*weights)[PanelVectors], const int16_t *x, Ints (&wholes)[Rows][PanelVectors]) {
#pragma clang loop unroll_count(4)
  for (uint32_t i = 0; i < Step / 2; i++) {
#pragma clang loop unroll(full)
    for (uint32_t r = 0; r < Rows; r++) {
      const ActivationPair pair = pair_at(x + r * SliceLength + 2 * i);
#pragma clang loop unroll(full)
      for (uint32_t v = 0; v < PanelVectors; v++) wholes[r][v] = dot(weights[i][v], pair, wholes[r][v]);
    }
  }
}
INLINE const int16_t *quants_from(const int16_t *x, uint32_t element) { return x + element; }
#endif

/**
 * sums[row] += panel * x[row], or = where `isFirst`, for Rows rows; the slice has `blocks` blocks of 32.
 *
 * All Rows * PanelVectors sums of whole numbers stay in registers, each vector of weights is loaded once for all rows, each
 * activation once for both vectors. At the end of each step the sums become floats, times the scales of x.
 */
template <typename Shape, uint32_t Rows>
__attribute__((noinline)) static void multiply_quantised(const Panel &panel, const QuantisedSlice &x, uint32_t blocks, bool isFirst,
                               Floats (*sums)[PanelVectors]) {
  Floats floats[Rows][PanelVectors] = {};
  const PanelVector (*weights)[PanelVectors] = panel.weights;
  for (uint32_t step = 0; step < blocks * 32 / Shape::step; step++, weights += Shape::step / VectorElements) {
    Ints wholes[Rows][PanelVectors] = {};
    multiply_step<Shape::step>(weights, quants_from(x.quants, step * Shape::step), wholes);
    const uint32_t block = step * Shape::step / ActivationBlock;
#pragma clang loop unroll(full)
    for (uint32_t r = 0; r < Rows; r++) {
      const Floats scale = splat(x.scales[r * SliceBlocks + block]);
#pragma clang loop unroll(full)
      for (uint32_t v = 0; v < PanelVectors; v++)
        floats[r][v] = fma(floats_of(wholes[r][v]), Shape::hasStepScales ? scale * panel.scales[step][v] : scale, floats[r][v]);
    }
  }
#pragma clang loop unroll(full)
  for (uint32_t r = 0; r < Rows; r++) {
#pragma clang loop unroll(full)
    for (uint32_t v = 0; v < PanelVectors; v++) {
      const Floats before = isFirst ? Floats{} : sums[r][v];
      floats[r][v] = Shape::hasStepScales ? before + floats[r][v] : fma(floats[r][v], panel.scales[0][v], before);
    }
  }
  for (uint32_t m = 0; m < Shape::minimums * blocks / SliceBlocks; m++) {
#pragma clang loop unroll(full)
    for (uint32_t r = 0; r < Rows; r++) {
      const Floats sum = splat(x.sums[r * Shape::minimums + m]);
#pragma clang loop unroll(full)
      for (uint32_t v = 0; v < PanelVectors; v++) floats[r][v] = fma(panel.minimums[m][v], sum, floats[r][v]);
    }
  }
#pragma clang loop unroll(full)
  for (uint32_t r = 0; r < Rows; r++) {
#pragma clang loop unroll(full)
    for (uint32_t v = 0; v < PanelVectors; v++) sums[r][v] = floats[r][v];
  }
}

/** What matmul.h has to know about products with quantised weights of a type. */
template <typename Type> struct Quantised : RowByRow<Quantised<Type>> {
  typedef QuantisedSlice Slice;
  typedef many_rows::Panel Panel;
  typedef OrdinaryRegisters Registers;
  enum : uint32_t {
    elements = Type::elements,
    bytes = Type::bytes,
    sliceLength = SliceLength,
    tileRows = QuantisedTileRows,
    smallTileRows = QuantisedTileRows - 2,
    rowBytes = SliceLength * 2, // of what is next to each other
  };
#if defined(NATIVE_I8MM)
  static constexpr float nanoseconds = 0.012f;
#elif defined(NATIVE_DOTPROD)
  static constexpr float nanoseconds = 0.02f;
#else
  static constexpr float nanoseconds = 0.16f / NATIVE_LANES;
#endif

  INLINE uint64_t activation_bytes() { return Slice::bytes_of_row(Type::minimums); }
  INLINE Slice slice_at(void *memory, uint64_t rows, uint64_t slice) { return Slice::at(memory, rows, slice, Type::minimums); }
  INLINE Slice from_row(const Slice &slice, uint64_t row) { return slice.from(row, Type::minimums); }
  INLINE const char *memory_of(const Slice &slice) { return (const char *)slice.quants; }
  INLINE void put(const Slice &to, const float *x, uint32_t count) { to.template put<Type::minimums>(x, count); }
  INLINE void clear(const Slice &to) { to.clear(Type::minimums); }

  __attribute__((noinline)) static void expand(const LaneRows *rows, uint64_t start, uint32_t count, Panel *panel) {
    fill_panel<Type>(rows, start, count, panel);
#ifdef NATIVE_DOTPROD
    pair_rows(panel, count);
#endif
  }
  template <uint32_t Rows>
  INLINE void multiply(const Panel &panel, const Slice &x, uint32_t count, bool isFirst, Floats (*sums)[PanelVectors]) {
    multiply_quantised<typename Type::Shape, Rows>(panel, x, count / 32, isFirst, sums);
  }
};

/*
 * matmul_float.h: a panel of float weights times a few rows of activations, neither of them rounded. Part of matmul.h.
 */
enum : uint32_t {
  FloatSliceLength = 128,
#if NATIVE_LANES == 16 || defined(NATIVE_NEON)
  FloatTileRows = 12,
  SmallFloatTileRows = 8,
#else
  FloatTileRows = 6,
  SmallFloatTileRows = 4,
#endif
};

/** Weights of PanelRows rows, one element of each after the other. */
struct FloatPanel {
  Floats weights[FloatSliceLength][PanelVectors];
};

/*
 * Types: `units` elements in 16 bytes, of words of which panel vectors are made; and one element of each row.
 */
struct F32 {
  enum : uint32_t { bytes = 4 };
  INLINE void expand(const Ints *words, Floats (*to)[PanelVectors]) {
    for (uint32_t i = 0; i < 4; i++) to[i][0] = (Floats)words[i];
  }
  INLINE Floats element(const LaneRows &rows, uint64_t at) { return (Floats)load_word(rows, at); }
};
struct F16 {
  enum : uint32_t { bytes = 2, bf16Parts = 2 }; // as many BF16 are an F16
  INLINE void expand(const Ints *words, Floats (*to)[PanelVectors]) {
    for (uint32_t i = 0; i < 4; i++) {
      to[2 * i][0] = half_of(words[i], 0);
      to[2 * i + 1][0] = half_of(words[i], 16);
    }
  }
  INLINE Floats element(const LaneRows &rows, uint64_t at) { return load_half(rows, at); }
};
struct BF16 {
  enum : uint32_t { bytes = 2, bf16Parts = 1 };
  INLINE void expand(const Ints *words, Floats (*to)[PanelVectors]) {
    for (uint32_t i = 0; i < 4; i++) {
      to[2 * i][0] = (Floats)(words[i] << 16);
      to[2 * i + 1][0] = (Floats)(words[i] & int32_t(0xffff0000));
    }
  }
  INLINE Floats element(const LaneRows &rows, uint64_t at) {
    const HalfUshorts bits = load_each<uint16_t, HalfUshorts>(rows, at);
    return load_bf16(&bits);
  }
};

/** sums[row] += panel * x[row], or = where `isFirst`, for Rows rows of FloatSliceLength, of which `count` elements are there. */
template <uint32_t Rows>
__attribute__((noinline)) static void multiply_floats(const FloatPanel &panel, const float *x, uint32_t count, bool isFirst,
                                                      Floats (*sums)[PanelVectors]) {
  Floats parts[Rows][PanelVectors] = {};
#pragma clang loop unroll_count(4)
  for (uint32_t i = 0; i < count; i++) {
#pragma clang loop unroll(full)
    for (uint32_t r = 0; r < Rows; r++) {
      const Floats activation = splat(x[r * FloatSliceLength + i]);
#pragma clang loop unroll(full)
      for (uint32_t v = 0; v < PanelVectors; v++) parts[r][v] = fma(panel.weights[i][v], activation, parts[r][v]);
    }
  }
#pragma clang loop unroll(full)
  for (uint32_t r = 0; r < Rows; r++) {
#pragma clang loop unroll(full)
    for (uint32_t v = 0; v < PanelVectors; v++) sums[r][v] = isFirst ? parts[r][v] : sums[r][v] + parts[r][v];
  }
}

/** What matmul.h has to know about products with float weights of a type. */
template <typename Type> struct Unquantised : RowByRow<Unquantised<Type>> {
  typedef float *Slice; // [rows, FloatSliceLength]
  typedef FloatPanel Panel;
  typedef OrdinaryRegisters Registers;
  enum : uint32_t {
    elements = 1,
    bytes = Type::bytes,
    sliceLength = FloatSliceLength,
    tileRows = FloatTileRows,
    smallTileRows = SmallFloatTileRows,
    rowBytes = FloatSliceLength * 4,
  };
  static constexpr float nanoseconds = 0.16f / NATIVE_LANES;

  INLINE uint64_t activation_bytes() { return rowBytes; }
  INLINE Slice slice_at(void *memory, uint64_t rows, uint64_t slice) { return (float *)memory + slice * rows * FloatSliceLength; }
  INLINE Slice from_row(Slice slice, uint64_t row) { return slice + row * FloatSliceLength; }
  INLINE const char *memory_of(Slice slice) { return (const char *)slice; }
  INLINE void put(Slice to, const float *x, uint32_t count) { __builtin_memcpy(to, x, count * sizeof *x); }
  INLINE void clear(Slice to) { __builtin_memset(to, 0, FloatSliceLength * sizeof *to); }

  __attribute__((noinline)) static void expand(const LaneRows *rows, uint64_t start, uint32_t count, Panel *panel) {
    constexpr uint32_t unit = 16 / bytes;
    for (uint32_t v = 0; v < PanelVectors; v++) {
      uint32_t i = 0;
      for (; i + unit <= count; i += unit) {
        Ints words[4];
        load_words(rows[v], (start + i) * bytes, words);
        Type::expand(words, (Floats (*)[PanelVectors])&panel->weights[i][v]);
      }
      for (; i < count; i++) panel->weights[i][v] = Type::element(rows[v], (start + i) * bytes);
    }
  }
  template <uint32_t Rows>
  INLINE void multiply(const Panel &panel, Slice x, uint32_t count, bool isFirst, Floats (*sums)[PanelVectors]) {
    multiply_floats<Rows>(panel, x, count, isFirst, sums);
  }
};

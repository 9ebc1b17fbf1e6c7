/*
 * matmul_amx_float.h: a panel of BF16 weights times tiles of rows of activations, by AMX. Part of matmul.h.
 *
 * All 24 bits of an activation are in three BF16, x1 + x2 + x3, and all sums are floats. F16 and F32 weights are not multiplied
 * so: they would be two and three BF16, and five or six products take longer than a float's one.
 *
 * An activation that is no finite number is x3, the others 0: it meets a weight once, and gives the infinity or NaN that it
 * should. An infinite weight gives NaNs; parts below 2^-126, those of weights or of activations, are nothing.
 */
enum : uint32_t { ActivationParts = 3, FloatSliceElements = uint32_t(ActivationParts) * uint32_t(FloatSliceLength) };
constexpr uint64_t FloatSliceStride = FloatSliceElements * sizeof(int16_t);

/** As in TilePanel; 0 behind the last element as far as a tile goes. */
struct FloatTilePanel {
  Shorts weights[FloatSliceLength / 2][PanelVectors];

  /** Two elements of each of `Lanes` rows. */
  METHOD void put(uint32_t pair, uint32_t v, Floats even, Floats odd) {
    weights[pair][v] = upper_halves((Ints)even, (Ints)odd);
  }
};

/** sums[row] += panel * x[row], or = where `isFirst`, for Rows rows and `blocks` blocks of 32 elements. */
template <uint32_t Rows>
__attribute__((noinline)) static void multiply_float_tiles(const FloatTilePanel &panel, const int16_t *x, uint32_t blocks,
                                                           bool isFirst, Floats (*sums)[PanelVectors]) {
  const int16_t *second = x + uint32_t(TileRows) * FloatSliceElements;
  clear_sums<Rows>();
  for (uint32_t block = 0; block < blocks; block++, x += 32, second += 32) {
    load_weights(&panel.weights[block * 16]);
#pragma clang loop unroll(full)
    for (uint32_t part = 0; part < ActivationParts; part++) {
      add_rows<0>(x + part * FloatSliceLength, FloatSliceStride);
      if (Rows > TileRows) add_rows<1>(second + part * FloatSliceLength, FloatSliceStride);
    }
  }
  Floats products[PanelVectors][Rows];
  store_sums(products);
#pragma clang loop unroll_count(4)
  for (uint32_t r = 0; r < Rows; r++)
    for (uint32_t v = 0; v < PanelVectors; v++) sums[r][v] = isFirst ? products[v][r] : sums[r][v] + products[v][r];
}

/** What matmul.h has to know about products with BF16 weights. */
template <> struct Unquantised<BF16> {
  typedef int16_t *Slice; // [rows, ActivationParts, FloatSliceLength]
  typedef FloatTilePanel Panel;
  typedef ConfiguredTiles Registers;
  enum : uint32_t {
    elements = 1,
    bytes = BF16::bytes,
    sliceLength = FloatSliceLength,
    tileRows = 2 * TileRows,
    smallTileRows = TileRows,
  };
  static constexpr float nanoseconds = 0.008f;

  INLINE uint64_t activation_bytes() { return FloatSliceStride; }
  INLINE Slice slice_at(void *memory, uint64_t rows, uint64_t slice) { return from_row((Slice)memory, slice * rows); }
  INLINE Slice from_row(Slice slice, uint64_t row) { return slice + row * FloatSliceElements; }
  INLINE void clear(Slice to) { __builtin_memset(to, 0, FloatSliceStride); }
  INLINE void put(Slice to, const float *x, uint32_t count) {
    for (uint32_t i = 0; i < FloatSliceLength; i += Lanes) {
      const Floats v = i < count ? load_f32(x + i, count - i) : Floats{};
      const Ints first = nearest_bf16(v);
      const Floats rest = v - (Floats)first;
      const Ints second = nearest_bf16(rest), third = (Ints)(rest - (Floats)second);
      const Ints isFinite = (first & 0x7fffffff) < 0x7f800000;
      store(to + i, __builtin_convertvector((first & isFinite) >> 16, HalfShorts));
      store(to + FloatSliceLength + i, __builtin_convertvector((second & isFinite) >> 16, HalfShorts));
      store(to + 2 * FloatSliceLength + i, __builtin_convertvector((isFinite ? third : first) >> 16, HalfShorts));
    }
  }

  __attribute__((noinline)) static void expand(const LaneRows *rows, uint64_t start, uint32_t count, Panel *panel) {
    constexpr uint32_t unit = 16 / bytes;
    for (uint32_t v = 0; v < PanelVectors; v++) {
      uint32_t i = 0;
      for (; i + unit <= count; i += unit) {
        Ints words[4];
        Floats weights[unit][PanelVectors];
        load_words(rows[v], (start + i) * bytes, words);
        BF16::expand(words, weights);
        for (uint32_t j = 0; j < unit; j += 2) panel->put((i + j) / 2, v, weights[j][0], weights[j + 1][0]);
      }
      for (; i < count; i += 2) {
        const Floats even = BF16::element(rows[v], (start + i) * bytes);
        panel->put(i / 2, v, even, i + 1 < count ? BF16::element(rows[v], (start + i + 1) * bytes) : Floats{});
      }
      for (; i % 32 != 0; i += 2) panel->put(i / 2, v, Floats{}, Floats{});
    }
  }
  template <uint32_t Rows>
  INLINE void multiply(const Panel &panel, Slice x, uint32_t count, bool isFirst, Floats (*sums)[PanelVectors]) {
    multiply_float_tiles<Rows>(panel, x, (count + 31) / 32, isFirst, sums);
  }
};

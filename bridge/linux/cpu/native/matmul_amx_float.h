/*
 * matmul_amx_float.h: a panel of weights of 16 bits that are floats times tiles of rows of activations, by AMX. Part of
 * matmul.h.
 *
 * All 24 bits of an activation are in three BF16, x1 + x2 + x3, a half float is w1 + w2, and all sums are floats. Of the
 * products w2 x3 is left out, at most 2^-24 of the product. F32 weights are not multiplied so: their third parts may be too
 * small for instructions that take numbers below 2^-126 for nothing.
 *
 * An activation that is no finite number is x3, the others 0: it meets a weight once, and gives the infinity or NaN that it
 * should. An infinite weight gives NaNs; parts below 2^-126, those of weights or of activations, are nothing.
 */
enum : uint32_t { ActivationParts = 3, FloatSliceElements = uint32_t(ActivationParts) * uint32_t(FloatSliceLength) };
constexpr uint64_t FloatSliceStride = FloatSliceElements * sizeof(int16_t);

/** As in TilePanel; 0 behind the last element as far as a tile goes. */
template <uint32_t Parts> struct FloatTilePanel {
  Shorts weights[Parts][FloatSliceLength / 2][PanelVectors];

  /** Two elements of each of `Lanes` rows. */
  METHOD void put(uint32_t pair, uint32_t v, Floats even, Floats odd) {
    const Ints highEven = nearest_bf16(even), highOdd = nearest_bf16(odd); // changes nothing that is a BF16 already
    weights[0][pair][v] = upper_halves(highEven, highOdd);
    if (Parts == 1) return;
    const Floats lowEven = even - (Floats)highEven, lowOdd = odd - (Floats)highOdd;
    weights[Parts - 1][pair][v] = upper_halves((Ints)lowEven, (Ints)lowOdd);
  }
};

/** sums[row] += panel * x[row], or = where `isFirst`, for Rows rows and `blocks` blocks of 32 elements. */
template <uint32_t Rows, uint32_t Parts>
__attribute__((noinline)) static void multiply_float_tiles(const FloatTilePanel<Parts> &panel, const int16_t *x, uint32_t blocks,
                                                           bool isFirst, Floats (*sums)[PanelVectors]) {
  const int16_t *second = x + uint32_t(TileRows) * FloatSliceElements;
  clear_sums<Rows>();
  for (uint32_t block = 0; block < blocks; block++, x += 32, second += 32) {
#pragma clang loop unroll(full)
    for (uint32_t w = 0; w < Parts; w++) {
      load_weights(&panel.weights[w][block * 16]);
#pragma clang loop unroll(full)
      for (uint32_t part = 0; part < ActivationParts - w; part++) {
        add_rows<0>(x + part * FloatSliceLength, FloatSliceStride);
        if (Rows > TileRows) add_rows<1>(second + part * FloatSliceLength, FloatSliceStride);
      }
    }
  }
  Floats products[PanelVectors][Rows];
  store_sums(products);
#pragma clang loop unroll_count(4)
  for (uint32_t r = 0; r < Rows; r++)
    for (uint32_t v = 0; v < PanelVectors; v++) sums[r][v] = isFirst ? products[v][r] : sums[r][v] + products[v][r];
}

/** What matmul.h has to know about products with weights of a type, whose weights are so many BF16 each. */
template <typename Type, uint32_t Parts> struct FloatTiles {
  typedef int16_t *Slice; // [rows, ActivationParts, FloatSliceLength]
  typedef FloatTilePanel<Parts> Panel;
  typedef ConfiguredTiles Registers;
  enum : uint32_t {
    elements = 1,
    bytes = Type::bytes,
    sliceLength = FloatSliceLength,
    tileRows = 2 * TileRows,
    smallTileRows = TileRows,
  };
  static constexpr float nanoseconds = 0.003f * Parts;

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
        Type::expand(words, weights);
        for (uint32_t j = 0; j < unit; j += 2) panel->put((i + j) / 2, v, weights[j][0], weights[j + 1][0]);
      }
      for (; i < count; i += 2) {
        const Floats even = Type::element(rows[v], (start + i) * bytes);
        panel->put(i / 2, v, even, i + 1 < count ? Type::element(rows[v], (start + i + 1) * bytes) : Floats{});
      }
      for (; i % 32 != 0; i += 2) panel->put(i / 2, v, Floats{}, Floats{});
    }
  }
  template <uint32_t Rows>
  INLINE void multiply(const Panel &panel, Slice x, uint32_t count, bool isFirst, Floats (*sums)[PanelVectors]) {
    multiply_float_tiles<Rows, Parts>(panel, x, (count + 31) / 32, isFirst, sums);
  }
};

template <> struct Unquantised<F16> : FloatTiles<F16, 2> {};
template <> struct Unquantised<BF16> : FloatTiles<BF16, 1> {};

/*
 * matmul_amx_float.h: a panel of BF16 or F16 weights times tiles of rows of activations, by AMX. Part of matmul.h.
 *
 * All 24 bits of an activation are in three BF16, all 11 of an F16 in two, and all sums are floats. F32 weights are not multiplied
 * so: they would be three BF16.
 *
 * An activation that is no finite number is the smallest part, the others 0: it meets a weight once, and gives the infinity or NaN
 * that it should. An infinite weight gives NaNs; parts below 2^-126, those of weights or of activations, are nothing.
 */
template <typename Type> struct UnquantisedTiles {
  enum : uint32_t {
    elements = 1,
    bytes = Type::bytes,
    sliceLength = FloatSliceLength,
    tileRows = 2 * TileRows,
    smallTileRows = TileRows,
    weightParts = Type::bf16Parts,
    activationParts = 3,
    blocks = sliceLength / TileElements,
    rowBytes = blocks * activationParts * TileRowBytes,
  };
  typedef TileSlice<blocks, activationParts> Slice;
  typedef TileWeights<blocks, weightParts> Panel; // 0 behind the last element as far as a tile goes
  typedef ConfiguredTiles Registers;
  static constexpr float nanoseconds = 0.002f * (activationParts + 2 * (weightParts - 1));

  INLINE uint64_t activation_bytes() { return rowBytes; }
  INLINE Slice slice_at(void *memory, uint64_t rows, uint64_t slice) { return Slice::at(memory, rows, slice); }
  INLINE Slice from_row(Slice slice, uint64_t row) { return slice.from(row); }
  INLINE const char *memory_of(const Slice &slice) { return (const char *)slice.tiles; }
  INLINE void clear(Slice to) { to.clear(); }

  INLINE void put(Slice to, const float *x, uint32_t count) {
    for (uint32_t block = 0; block < blocks; block++) {
      Floats v[2], rest[2]; // of what is finite, and the others
      for (uint32_t half = 0; half < 2; half++) {
        const uint32_t i = block * TileElements + half * Lanes;
        const Floats all = i < count ? load_f32(x + i, count - i) : Floats{};
        const Ints isFinite = ((Ints)all & 0x7fffffff) < 0x7f800000;
        v[half] = (Floats)((Ints)all & isFinite);
        rest[half] = (Floats)((Ints)all & ~isFinite);
      }
      for (uint32_t part = 0; part < activationParts; part++) {
        const Shorts nearest = nearest_bf16(v[0], v[1]);
        subtract_bf16(nearest, &v[0], &v[1]);
        store(to.tile(block, part), part + 1 < activationParts ? nearest : nearest | nearest_bf16(rest[0], rest[1]));
      }
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
      for (; i % TileElements != 0; i += 2) panel->put(i / 2, v, Floats{}, Floats{});
    }
  }
  template <uint32_t Rows>
  INLINE void multiply(const Panel &panel, const Slice &x, uint32_t count, bool isFirst, Floats (*sums)[PanelVectors]) {
    multiply_tiles<Rows>(panel, x, (count + TileElements - 1) / TileElements, isFirst, sums);
  }
};
template <> struct Unquantised<BF16> : UnquantisedTiles<BF16> {};
template <> struct Unquantised<F16> : UnquantisedTiles<F16> {};

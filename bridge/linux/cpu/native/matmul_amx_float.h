/*
 * matmul_amx_float.h: a panel of BF16 or F16 weights times tiles of rows of activations, by AMX. Part of matmul.h.
 *
 * A BF16 has 8 bits, and so a float is one to three of them: high + low + lowest. All 24 bits of an activation are in three, all 11
 * of an F16 in two. One instruction sums the products of 16 rows, 16 outputs and 32 elements, exact ones, as floats. Of the parts of
 * a weight and of an activation all those products are summed that together are as large as the smallest of an activation's parts
 * times the largest of a weight's. F32 weights are not multiplied so: they would be three BF16.
 *
 * An activation that is no finite number is the smallest part, the others 0: it meets a weight once, and gives the infinity or NaN
 * that it should. An infinite weight gives NaNs; parts below 2^-126, those of weights or of activations, are nothing.
 *
 * Tiles are kilobytes in a row, in the order in which they are multiplied: from the second cache they come as fast as they are.
 */

/** The nearest BF16 of two vectors of floats, one after the other. */
INLINE Shorts nearest_bf16(Floats first, Floats second) {
#ifdef NATIVE_AMX_EMULATED
  HalfUshorts halves[2];
  for (uint32_t i = 0; i < 2; i++) {
    const Floats v = i == 0 ? first : second;
    const Ints bits = (Ints)v, rounded = bits + 0x7fff + (bits >> 16 & 1);
    halves[i] = __builtin_convertvector((v == v ? rounded : bits | 0x400000) >> 16, HalfUshorts); // rounding could make a number of a NaN
  }
  return load<Shorts>(halves);
#else
  return (Shorts)_mm512_cvtne2ps_pbh((__m512)second, (__m512)first);
#endif
}

/** The floats that nearest_bf16() made BF16 of, less those. */
INLINE void subtract_bf16(Shorts bf16, Floats *first, Floats *second) {
  HalfUshorts halves[2];
  store(halves, bf16);
  *first -= load_bf16(&halves[0]);
  *second -= load_bf16(&halves[1]);
}

/** The upper halves of floats, for elements in turn. */
INLINE Shorts upper_halves(Ints even, Ints odd) { return (Shorts)((even >> 16 & 0xffff) | (odd & int32_t(0xffff0000))); }

/** Weights of PanelRows rows: tiles, each of 16 pairs of elements of `Lanes` rows. */
template <uint32_t Blocks, uint32_t Parts> struct TileWeights {
  Shorts tiles[Blocks][Parts][PanelVectors][TileRows];

  /**
   * Elements of each of `Lanes` rows: of pair `pair` of the slice. Upper halves of floats are the nearest BF16 towards 0; the
   * last part of two is the nearest one. A NaN that is the result of arithmetic stays one in its upper half.
   */
  METHOD void put(uint32_t pair, uint32_t v, Floats even, Floats odd) {
    auto &block = tiles[pair / TileRows];
    block[0][v][pair % TileRows] = upper_halves((Ints)even, (Ints)odd);
    if (Parts == 1) return;
    const Floats lowEven = even - (Floats)((Ints)even & int32_t(0xffff0000)), lowOdd = odd - (Floats)((Ints)odd & int32_t(0xffff0000));
    block[Parts - 1][v][pair % TileRows] = upper_halves((Ints)lowEven + 0x8000, (Ints)lowOdd + 0x8000);
  }
};

/** Activations of one slice: for each 32 rows and 32 elements two tiles of each part. */
template <uint32_t Blocks, uint32_t Parts> struct TileSlice {
  static constexpr uint32_t rowsTogether = 2 * TileRows;
  int16_t *tiles; // [rows / 32, Blocks, Parts, 32, 32]

  INLINE uint64_t bytes_of_row() { return uint64_t(Blocks) * Parts * TileRowBytes; }
  INLINE TileSlice at(void *memory, uint64_t rows, uint64_t slice) {
    return {(int16_t *)((char *)memory + slice * rows * bytes_of_row())};
  }
  METHOD TileSlice from(uint64_t row) const {
    return {tiles + row / rowsTogether * (uint64_t(rowsTogether) * Blocks * Parts * TileElements) + row % rowsTogether * TileElements};
  }
  METHOD int16_t *tile(uint32_t block, uint32_t part) const { return tiles + (block * Parts + part) * (rowsTogether * TileElements); }

  METHOD void clear() const {
    for (uint32_t block = 0; block < Blocks; block++)
      for (uint32_t part = 0; part < Parts; part++) __builtin_memset(tile(block, part), 0, TileRowBytes);
  }
};

/** Adds the products of the tiles of weights in 4 and 5 with those of 16 or 32 rows in 6 and 7. */
template <uint32_t Rows> INLINE void add_all_products() {
  add_products<0, 6, 4>();
  add_products<1, 6, 5>();
  if (Rows == TileRows) return;
  add_products<2, 7, 4>();
  add_products<3, 7, 5>();
}
template <uint32_t Rows> INLINE void load_activations(const int16_t *tile) {
  load_tile<6>(tile, TileRowBytes);
  if (Rows > TileRows) load_tile<7>(tile + TileRows * TileElements, TileRowBytes);
}
INLINE void load_weights(const Shorts (*tiles)[TileRows]) {
  load_tile<4>(tiles[0], TileRowBytes);
  load_tile<5>(tiles[1], TileRowBytes);
}

/** sums[row] += panel * x[row], or = where `isFirst`, for Rows rows and the first `blocks` blocks of 32 elements. */
template <uint32_t Rows, uint32_t Blocks, uint32_t WeightParts, uint32_t ActivationParts>
__attribute__((noinline)) static void multiply_tiles(const TileWeights<Blocks, WeightParts> &weights,
                                                     const TileSlice<Blocks, ActivationParts> &x, uint32_t blocks, bool isFirst,
                                                     Floats (*sums)[PanelVectors]) {
  static_assert(PanelVectors == 2 && (Rows == TileRows || Rows == 2 * TileRows));
  constexpr uint64_t sumsStride = sizeof *sums;
  if (isFirst) {
    clear_tile<0>();
    clear_tile<1>();
    if (Rows > TileRows) clear_tile<2>();
    if (Rows > TileRows) clear_tile<3>();
  } else {
    load_tile<0>(&sums[0][0], sumsStride);
    load_tile<1>(&sums[0][1], sumsStride);
    if (Rows > TileRows) load_tile<2>(&sums[TileRows][0], sumsStride);
    if (Rows > TileRows) load_tile<3>(&sums[TileRows][1], sumsStride);
  }
  for (uint32_t block = 0; block < blocks; block++) {
    // The next rows' sums are needed soon.
    for (uint32_t r = 0; r < Rows / Blocks; r++)
      for (uint32_t v = 0; v < PanelVectors; v++) __builtin_prefetch(&sums[Rows + block * (Rows / Blocks) + r][v], 1, 3);
    // The activations' largest part comes last, and so meets the weights' next part without being loaded again.
    load_weights(weights.tiles[block][0]);
#pragma clang loop unroll(full)
    for (uint32_t part = ActivationParts; part-- > 0;) {
      load_activations<Rows>(x.tile(block, part));
      add_all_products<Rows>();
    }
    if (WeightParts == 1) continue;
    load_weights(weights.tiles[block][WeightParts - 1]);
    add_all_products<Rows>();
#pragma clang loop unroll(full)
    for (uint32_t part = 1; part + 1 < ActivationParts; part++) {
      load_activations<Rows>(x.tile(block, part));
      add_all_products<Rows>();
    }
  }
  store_tile<0>(&sums[0][0], sumsStride);
  store_tile<1>(&sums[0][1], sumsStride);
  if (Rows == TileRows) return;
  store_tile<2>(&sums[TileRows][0], sumsStride);
  store_tile<3>(&sums[TileRows][1], sumsStride);
}

template <typename Type> struct UnquantisedTiles : RowByRow<UnquantisedTiles<Type>> {
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

/*
 * matmul_amx.h: a panel of quantised weights times tiles of rows of activations, by AMX. Part of matmul.h, in place of
 * matmul_tile.h.
 *
 * A BF16 has 8 bits, and so the whole numbers that weights are made of (matmul_panel.h) are one of them, or two where they have
 * more bits; an activation is high + low, two of them, with an error of at most 2^-17 of it: less than that of whole numbers of
 * 16 bits (activations.h). Their products are exact, and are summed as floats: by one instruction 16 rows, 16 outputs, 32 elements.
 * Products of bytes would be twice as fast, but would need scales after half as many elements, a scale for each block of
 * activations, and two sums, which costs more than is gained. Scaling would cost as much as the products if it took more than
 * one instruction for 16 sums: as it is, a product's tile of sums is stored, loaded again, and added with the scales.
 *
 * Of weights of two parts (high + low)(high + low) is summed but for low * low, at most 2^-16 of the product: both low ones are
 * at most 2^-8 of their numbers.
 *
 * Activations should be less than 2^128 / 2^17, as sums have no scales at first; others may give infinities. A row with an
 * infinity or a NaN gives NaNs, as its low parts are NaNs.
 */

/** The nearest BF16, as the upper half of a float. */
INLINE Ints nearest_bf16(Floats v) {
  const Ints bits = (Ints)v, rounded = bits + 0x7fff + (bits >> 16 & 1);
  return (v == v ? rounded : bits | 0x400000) & int32_t(0xffff0000); // rounding could make a number of a NaN
}

/** The upper halves of floats, for elements in turn. */
INLINE Shorts upper_halves(Ints even, Ints odd) { return (Shorts)((even >> 16 & 0xffff) | (odd & int32_t(0xffff0000))); }

/** Weights are one BF16 each, or two: |scale * quant| is at most 256, or not (matmul_superblocks.h). */
template <typename Type> constexpr uint32_t weightParts = 1;
template <> constexpr uint32_t weightParts<Q4_K> = 2;
template <> constexpr uint32_t weightParts<Q5_K> = 2;
template <> constexpr uint32_t weightParts<Q6_K> = 2;

/** A panel whose weights are the high parts. Sixteen vectors of weights, each of two elements of 16 rows, are a tile. */
struct TilePanel : Panel {
  Shorts low[SliceLength / 2][PanelVectors];
};
enum : uint64_t { PanelStride = sizeof(Shorts) * PanelVectors };

template <uint32_t Parts> INLINE void make_bf16(TilePanel *panel, uint32_t count) {
  for (uint32_t i = 0; i < count / 2; i++) {
    for (uint32_t v = 0; v < PanelVectors; v++) {
      const Ints pair = (Ints)panel->weights[i][v];
      const Floats even = floats_of(pair << 16 >> 16), odd = floats_of(pair >> 16);
      const Ints highEven = Parts == 1 ? (Ints)even : nearest_bf16(even), highOdd = Parts == 1 ? (Ints)odd : nearest_bf16(odd);
      panel->weights[i][v] = upper_halves(highEven, highOdd);
      if (Parts == 2) panel->low[i][v] = upper_halves((Ints)(even - (Floats)highEven), (Ints)(odd - (Floats)highOdd));
    }
  }
}

/** Of rows of activations as two BF16 each: one slice. */
struct TileSlice {
  int16_t *quants; // [rows, 2, SliceLength]: high and low parts
  float *sums;     // [rows, minimums]: of a block of 32 or 16

  INLINE uint64_t bytes_of_row(uint32_t minimums) { return 2 * SliceLength * sizeof(int16_t) + minimums * sizeof(float); }
  INLINE TileSlice at(void *memory, uint64_t rows, uint64_t slice, uint32_t minimums) {
    auto *quants = (int16_t *)((char *)memory + slice * rows * bytes_of_row(minimums));
    return {quants, (float *)(quants + rows * 2 * SliceLength)};
  }
  METHOD TileSlice from(uint64_t row, uint32_t minimums) const { return {quants + row * 2 * SliceLength, sums + row * minimums}; }

  /** `count` elements of the first row. */
  template <uint32_t Minimums> METHOD void put(const float *x, uint32_t count) const {
    constexpr uint32_t perSum = Minimums > SliceBlocks ? 16 : 32;
    for (uint32_t i = 0; i < count; i += 2 * Lanes) {
      HalfUshorts high[2], low[2];
      for (uint32_t half = 0; half < 2; half++) {
        const Floats v = load_f32(x + i + half * Lanes);
        const Ints upper = nearest_bf16(v);
        high[half] = __builtin_convertvector(upper >> 16, HalfUshorts);
        low[half] = __builtin_convertvector(nearest_bf16(v - (Floats)upper) >> 16, HalfUshorts);
      }
      store(quants + i, reordered(load<Shorts>(high), Indices<2 * Lanes>{}));
      store(quants + SliceLength + i, reordered(load<Shorts>(low), Indices<2 * Lanes>{}));
    }
    for (uint32_t i = 0; Minimums > 0 && i < count; i += perSum) {
      Floats sum = load_f32(x + i);
      if (perSum > Lanes) sum += load_f32(x + i + Lanes);
      sums[i / perSum] = sum_of(sum);
    }
  }

  /** A row behind the last one, of which nothing is used. */
  METHOD void clear(uint32_t minimums) const {
    __builtin_memset(quants, 0, 2 * SliceLength * sizeof *quants);
    __builtin_memset(sums, 0, minimums * sizeof *sums);
  }
};
enum : uint64_t { SliceStride = 2 * SliceLength * sizeof(int16_t) };

/** The sums of 16 rows, of one block of 32. Tiles: Sums, and 4 to 6. */
template <int Sums> INLINE void multiply_block(const Shorts *weights, const int16_t *x, Floats *sums) {
  load_tile<4>(weights, PanelStride);
  load_tile<5>(x, SliceStride);
  load_tile<6>(x + SliceLength, SliceStride);
  clear_tile<Sums>();
  add_products<Sums, 5, 4>();
  add_products<Sums, 6, 4>();
  store_tile<Sums>(sums, sizeof *sums);
}

/**
 * floats[row] = panel * x[row] of 16 rows and one vector of outputs, with scales of blocks. All floats stay in registers. Four
 * blocks go through four tiles, so that the latencies of one are those of all.
 */
INLINE void multiply_scaled(const Panel &panel, uint32_t v, const int16_t *x, uint32_t blocks, Floats *floats) {
  constexpr uint32_t pairs = ActivationBlock / 2;
  Floats sums[4][TileRows];
  uint32_t block = 0;
  for (; block + 4 <= blocks; block += 4) {
    multiply_block<0>(&panel.weights[block * pairs][v], x + block * ActivationBlock, sums[0]);
    multiply_block<1>(&panel.weights[(block + 1) * pairs][v], x + (block + 1) * ActivationBlock, sums[1]);
    multiply_block<2>(&panel.weights[(block + 2) * pairs][v], x + (block + 2) * ActivationBlock, sums[2]);
    multiply_block<3>(&panel.weights[(block + 3) * pairs][v], x + (block + 3) * ActivationBlock, sums[3]);
#pragma clang loop unroll(full)
    for (uint32_t i = 0; i < 4; i++) {
#pragma clang loop unroll(full)
      for (uint32_t r = 0; r < TileRows; r++) floats[r] = fma(sums[i][r], panel.scales[block + i][v], floats[r]);
    }
  }
  for (; block < blocks; block++) {
    multiply_block<0>(&panel.weights[block * pairs][v], x + block * ActivationBlock, sums[0]);
#pragma clang loop unroll(full)
    for (uint32_t r = 0; r < TileRows; r++) floats[r] = fma(sums[0][r], panel.scales[block][v], floats[r]);
  }
}

// ---- tiles of sums: 2 i + v of the 16 rows of number i and of vector v of the outputs -------------------------------------

template <uint32_t Rows> INLINE void clear_sums() {
  static_assert(PanelVectors == 2 && (Rows == TileRows || Rows == 2 * TileRows));
  clear_tile<0>();
  clear_tile<1>();
  if (Rows == TileRows) return;
  clear_tile<2>();
  clear_tile<3>();
}

/** Of both vectors of outputs, a block of 32 elements. */
INLINE void load_weights(const Shorts (*weights)[PanelVectors]) {
  load_tile<4>(&weights[0][0], PanelStride);
  load_tile<5>(&weights[0][1], PanelStride);
}

/** Adds the products of 16 rows with the loaded weights. */
template <int Number> INLINE void add_rows(const int16_t *x, uint64_t stride) {
  load_tile<6>(x, stride);
  add_products<2 * Number, 6, 4>();
  add_products<2 * Number + 1, 6, 5>();
}

template <uint32_t Rows> INLINE void store_sums(Floats (&sums)[PanelVectors][Rows]) {
  store_tile<0>(sums[0], sizeof(Floats));
  store_tile<1>(sums[1], sizeof(Floats));
  if (Rows == TileRows) return;
  store_tile<2>(sums[0] + TileRows, sizeof(Floats));
  store_tile<3>(sums[1] + TileRows, sizeof(Floats));
}

/** sums[v][row] = panel * x[row] of Rows rows, without scales: all blocks go through the same tiles. */
template <uint32_t Rows, uint32_t Parts>
INLINE void multiply_unscaled(const TilePanel &panel, const int16_t *x, uint32_t blocks, Floats (&sums)[PanelVectors][Rows]) {
  const int16_t *second = x + TileRows * 2 * SliceLength;
  clear_sums<Rows>();
  for (uint32_t block = 0; block < blocks; block++, x += ActivationBlock, second += ActivationBlock) {
    load_weights(&panel.weights[block * ActivationBlock / 2]);
    add_rows<0>(x, SliceStride);
    if (Rows > TileRows) add_rows<1>(second, SliceStride);
    add_rows<0>(x + SliceLength, SliceStride);
    if (Rows > TileRows) add_rows<1>(second + SliceLength, SliceStride);
    if (Parts == 1) continue;
    load_weights(&panel.low[block * ActivationBlock / 2]);
    add_rows<0>(x, SliceStride);
    if (Rows > TileRows) add_rows<1>(second, SliceStride);
  }
  store_sums(sums);
}

/** The same, in place of or added to sums[row][v] of 16 rows; `products` are those of multiply_unscaled(), where there are any. */
template <typename Type>
INLINE void add_up(const TilePanel &panel, uint32_t v, const TileSlice &x, uint32_t blocks, const Floats *products, bool isFirst,
                   Floats *sums) {
  typedef typename Type::Shape Shape;
  Floats floats[TileRows] = {};
#pragma clang loop unroll(full)
  for (uint32_t r = 0; !isFirst && r < TileRows; r++) floats[r] = sums[r * PanelVectors];
  if (Shape::hasBlockScales) multiply_scaled(panel, v, x.quants, blocks, floats);
  else {
#pragma clang loop unroll(full)
    for (uint32_t r = 0; r < TileRows; r++) floats[r] = fma(products[r], panel.scales[0][v], floats[r]);
  }
  for (uint32_t m = 0; m < Shape::minimums * blocks / SliceBlocks; m++) {
#pragma clang loop unroll(full)
    for (uint32_t r = 0; r < TileRows; r++)
      floats[r] = fma(panel.minimums[m][v], splat(x.sums[r * Shape::minimums + m]), floats[r]);
  }
#pragma clang loop unroll(full)
  for (uint32_t r = 0; r < TileRows; r++) sums[r * PanelVectors] = floats[r];
}

/** sums[row] += panel * x[row], or = where `isFirst`, for Rows rows; the slice has `blocks` blocks of 32. */
template <typename Type, uint32_t Rows>
__attribute__((noinline)) static void multiply_tiles(const TilePanel &panel, const TileSlice &x, uint32_t blocks, bool isFirst,
                                                     Floats (*sums)[PanelVectors]) {
  Floats products[PanelVectors][Rows];
  if (!Type::Shape::hasBlockScales) multiply_unscaled<Rows, weightParts<Type>>(panel, x.quants, blocks, products);
#pragma clang loop unroll(disable)
  for (uint32_t first = 0; first < Rows; first += TileRows)
    for (uint32_t v = 0; v < PanelVectors; v++)
      add_up<Type>(panel, v, x.from(first, Type::minimums), blocks, products[v] + first, isFirst, &sums[first][v]);
}

/** What matmul.h has to know about products with quantised weights of a type. */
template <typename Type> struct Quantised : QuantisedRows<Type, TileSlice> {
  typedef TileSlice Slice;
  typedef TilePanel Panel;
  typedef ConfiguredTiles Registers;
  enum : uint32_t {
    elements = Type::elements,
    bytes = Type::bytes,
    sliceLength = SliceLength,
    tileRows = 2 * TileRows,
    smallTileRows = TileRows,
  };
  static constexpr float nanoseconds = 0.006f;

  __attribute__((noinline)) static void expand(const LaneRows *rows, uint64_t start, uint32_t count, Panel *panel) {
    QuantisedRows<Type, Slice>::fill(rows, start, count, panel);
    make_bf16<weightParts<Type>>(panel, count);
  }
  template <uint32_t Rows>
  INLINE void multiply(const Panel &panel, const Slice &x, uint32_t count, bool isFirst, Floats (*sums)[PanelVectors]) {
    multiply_tiles<Type, Rows>(panel, x, count / 32, isFirst, sums);
  }
};

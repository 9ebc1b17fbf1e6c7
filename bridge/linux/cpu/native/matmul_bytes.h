/*
 * matmul_bytes.h: products of panels of bytes with rows of activations, by SDOT and SMMLA. Part of matmul.h.
 *
 * An activation is 256 high + low (activations.h): a step sums the products with the high halves, makes 256 times as much of
 * that, and adds the products with the low ones. Of 32 elements that is less than 2^5 2^7 2^15 = 2^27.
 *
 * SDOT adds to a lane, which is a weight row, the products of four bytes with four of one row of activations. SMMLA
 * multiplies eight bytes of each of two weight rows with eight of each of two rows of activations: pairs of rows have these
 * side by side.
 */
typedef int8_t SliceQuant;
#ifdef NATIVE_I8MM
constexpr uint32_t RowsTogether = 2, UnitElements = 8;
#else
constexpr uint32_t RowsTogether = 1, UnitElements = ActivationBlock; // of a row, side by side
#endif
constexpr uint32_t TogetherBytes = RowsTogether * 2 * SliceLength; // of rows, one slice
constexpr uint32_t HalvesBytes = RowsTogether * ActivationBlock;   // of the high halves of a block; the low ones are behind them

/** Where a row, and where in it an element is. */
INLINE SliceQuant *quants_of(SliceQuant *quants, uint64_t row) {
  return quants + row / RowsTogether * TogetherBytes + row % RowsTogether * UnitElements;
}
INLINE const SliceQuant *quants_from(const SliceQuant *quants, uint32_t element) {
  return quants + element / ActivationBlock * 2 * HalvesBytes + element % ActivationBlock * RowsTogether;
}
/** Puts a row where it belongs. */
INLINE void put_quants(const int16_t *quants, uint32_t count, SliceQuant *to) {
  for (uint32_t i = 0; i < count; i += 8) {
    const Shorts q = load<Shorts>(quants + i);
    auto *place = const_cast<SliceQuant *>(quants_from(to, i));
    store(place, high_halves(q));
    store(place + HalvesBytes, low_halves(q));
  }
}

#ifdef NATIVE_I8MM
/** Of panels whose vectors have four elements of four rows: vectors of eight elements of two rows. */
INLINE void pair_rows(Panel *panel, uint32_t count) {
  for (uint32_t i = 0; i < count / 4; i += 2)
    for (uint32_t v = 0; v < PanelVectors; v++) {
      const Ints a = (Ints)panel->weights[i][v], b = (Ints)panel->weights[i + 1][v];
      panel->weights[i][v] = (Bytes)__builtin_shufflevector(a, b, 0, 4, 1, 5);
      panel->weights[i + 1][v] = (Bytes)__builtin_shufflevector(a, b, 2, 6, 3, 7);
    }
}

/** Sums of Rows rows, of products with the high or the low halves: each of two rows with two weight rows, (0, 0) (0, 1) (1, 0)
 *  (1, 1). */
template <uint32_t Rows> struct StepSums {
  Ints sums[Rows / 2][2 * PanelVectors];

  template <uint32_t Step> METHOD void add(const Bytes (*weights)[PanelVectors], const SliceQuant *x) {
#pragma clang loop unroll(full)
    for (uint32_t i = 0; i < Step / 8; i++) {
      int8x16_t pairs[Rows / 2];
#pragma clang loop unroll(full)
      for (uint32_t p = 0; p < Rows / 2; p++) pairs[p] = load<int8x16_t>(x + p * TogetherBytes + 16 * i);
#pragma clang loop unroll(full)
      for (uint32_t j = 0; j < 2 * PanelVectors; j++) {
        const int8x16_t w = (int8x16_t)weights[2 * i + j % 2][j / 2];
#pragma clang loop unroll(full)
        for (uint32_t p = 0; p < Rows / 2; p++) sums[p][j] = (Ints)vmmlaq_s32((int32x4_t)sums[p][j], pairs[p], w);
      }
    }
  }
  METHOD void times_256() {
#pragma clang loop unroll(full)
    for (uint32_t p = 0; p < Rows / 2; p++) {
#pragma clang loop unroll(full)
      for (uint32_t j = 0; j < 2 * PanelVectors; j++) sums[p][j] <<= 8;
    }
  }
  METHOD Ints of(uint32_t row, uint32_t v) const {
    const Ints a = sums[row / 2][2 * v], b = sums[row / 2][2 * v + 1];
    return row % 2 ? __builtin_shufflevector(a, b, 2, 3, 6, 7) : __builtin_shufflevector(a, b, 0, 1, 4, 5);
  }
};
#else
INLINE void pair_rows(Panel *, uint32_t) {}

/** Sums of Rows rows, of products with the high or the low halves: each of a row with the weight rows of a vector. */
template <uint32_t Rows> struct StepSums {
  Ints sums[Rows][PanelVectors];

  template <uint32_t Step> METHOD void add(const Bytes (*weights)[PanelVectors], const SliceQuant *x) {
#pragma clang loop unroll(full)
    for (uint32_t i = 0; i < Step / 16; i++) {
      Ints fours[Rows];
#pragma clang loop unroll(full)
      for (uint32_t r = 0; r < Rows; r++) fours[r] = load<Ints>(x + r * TogetherBytes + 16 * i);
#pragma clang loop unroll(full)
      for (uint32_t j = 0; j < 4 * PanelVectors; j++) {
        const uint32_t four = j / PanelVectors, v = j % PanelVectors;
        const int8x16_t w = (int8x16_t)weights[4 * i + four][v];
#pragma clang loop unroll(full)
        for (uint32_t r = 0; r < Rows; r++)
          sums[r][v] = (Ints)vdotq_s32((int32x4_t)sums[r][v], w, (int8x16_t)splat(fours[r][four]));
      }
    }
  }
  METHOD void times_256() {
#pragma clang loop unroll(full)
    for (uint32_t r = 0; r < Rows; r++) {
#pragma clang loop unroll(full)
      for (uint32_t v = 0; v < PanelVectors; v++) sums[r][v] <<= 8;
    }
  }
  METHOD Ints of(uint32_t row, uint32_t v) const { return sums[row][v]; }
};
#endif

/** wholes[row] = weights * x[row] of Rows rows and Step elements. */
template <uint32_t Step, uint32_t Rows>
INLINE void multiply_step(const Bytes (*weights)[PanelVectors], const SliceQuant *x, Ints (&wholes)[Rows][PanelVectors]) {
  StepSums<Rows> sums = {};
  sums.template add<Step>(weights, x);
  sums.times_256();
  // Kept in registers, the weights would leave too few for sums: they are loaded again.
  __asm__("" : "+r"(weights));
  sums.template add<Step>(weights, x + HalvesBytes);
#pragma clang loop unroll(full)
  for (uint32_t r = 0; r < Rows; r++) {
#pragma clang loop unroll(full)
    for (uint32_t v = 0; v < PanelVectors; v++) wholes[r][v] = sums.of(r, v);
  }
}

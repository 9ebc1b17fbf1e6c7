/*
 * matmul_activations.h: rows of activations in the order in which panels of weights meet them. Part of matmul.h.
 *
 * All rows have the same slice of k next to each other, so that the rows of a slice stay in the cache while panel after
 * panel is multiplied with them, and so that they do not fall into the same few places of it. Rows are filled up with zeros
 * to whole tiles of rows.
 */

#ifndef NATIVE_DOTPROD
/** (0, 1, 2, 3) becomes (0, 2, 1, 3), of each four. */
template <int... I> INLINE Shorts reordered(Shorts v, Sequence<int, I...>) {
  return __builtin_shufflevector(v, v, ((I & ~3) + (I % 4 == 1 ? 2 : I % 4 == 2 ? 1 : I % 4))...);
}

/** The quants of a row, one slice. */
typedef int16_t SliceQuant;
INLINE SliceQuant *quants_of(SliceQuant *quants, uint64_t row) { return quants + row * SliceLength; }
INLINE void put_quants(const int16_t *quants, uint32_t count, SliceQuant *to) {
  for (uint32_t i = 0; i < count; i += 2 * Lanes) store(to + i, reordered(load<Shorts>(quants + i), Indices<2 * Lanes>{}));
}
#endif

/** Of rows as whole numbers: one slice. */
struct QuantisedSlice {
  SliceQuant *quants; // [rows, SliceLength]
  float *scales;      // [rows, SliceBlocks]
  float *sums;        // [rows, minimums]: of a block of 32 or 16, times its scale

  INLINE uint64_t bytes_of_row(uint32_t minimums) {
    return SliceLength * sizeof(int16_t) + (SliceBlocks + minimums) * sizeof(float);
  }
  INLINE QuantisedSlice at(void *memory, uint64_t rows, uint64_t slice, uint32_t minimums) {
    auto *quants = (int16_t *)((char *)memory + slice * rows * bytes_of_row(minimums));
    auto *scales = (float *)(quants + rows * SliceLength);
    return {(SliceQuant *)quants, scales, scales + rows * SliceBlocks};
  }
  METHOD QuantisedSlice from(uint64_t row, uint32_t minimums) const {
    return {quants_of(quants, row), scales + row * SliceBlocks, sums + row * minimums};
  }

  /** `count` elements of the first row. */
  template <uint32_t Minimums> METHOD void put(const float *x, uint32_t count) const {
    constexpr uint32_t perSum = Minimums > SliceBlocks ? 16 : 32;
    int16_t row[SliceLength];
    quantise(x, count, row, scales);
    for (uint32_t i = 0; Minimums > 0 && i < count; i += perSum) {
      int32_t sum = 0;
      for (uint32_t j = 0; j < perSum; j++) sum += row[i + j];
      sums[i / perSum] = float(sum) * scales[i / ActivationBlock];
    }
    put_quants(row, count, quants);
  }

  /** A row behind the last one, of which nothing is used. */
  METHOD void clear(uint32_t minimums) const {
    const int16_t row[SliceLength] = {};
    put_quants(row, SliceLength, quants);
    __builtin_memset(scales, 0, SliceBlocks * sizeof *scales);
    __builtin_memset(sums, 0, minimums * sizeof *sums);
  }
};

/*
 * matmul_sums.h: sums of a panel's outputs with rows of activations, and how a block of rows is prepared and multiplied where
 * rows are apart. Part of matmul.h.
 */
enum : uint32_t {
#ifdef NATIVE_AMX
  MostPieceRows = 512, // the second cache is large
#else
  MostPieceRows = 264, // whole tiles of all kinds
#endif
};

/** Of each row, its outputs side by side. */
struct RowSums {
  enum : uint32_t { writtenRows = 1 };
  Floats sums[MostPieceRows][PanelVectors];

  METHOD Floats (*from(uint32_t row))[PanelVectors] { return sums + row; }
  /** Writes the first of `outputs` outputs of `writtenRows` rows, or of `rows` if there are fewer, `stride` floats apart; past
   * the caches where `isStreamed`, and a kind can. */
  METHOD void write(uint32_t row, [[maybe_unused]] uint32_t rows, uint64_t outputs, float *out, [[maybe_unused]] uint64_t stride,
                    [[maybe_unused]] bool isStreamed) const {
    for (uint32_t v = 0; v < PanelVectors && v * Lanes < outputs; v++)
      store_f32(out + v * Lanes, sums[row][v], uint32_t(outputs - v * Lanes));
  }
  /** When all are written. */
  INLINE void end() {}
};

/** What kinds of products have in common that take rows one by one. */
template <typename Kind> struct RowByRow {
  typedef RowSums Sums;
  enum : uint32_t { preparedRows = 4 }; // at once
  enum : bool { expandsMeanwhile = false };

  /** Puts `count` elements of `rows` rows, `stride` floats apart, and clears those behind them, `all` in all. */
  template <typename Slice>
  static void prepare(const Slice &to, const float *x, uint64_t stride, uint32_t rows, uint32_t all, uint32_t count) {
    for (uint32_t row = 0; row < all; row++)
      if (row < rows) Kind::put(Kind::from_row(to, row), x + row * stride, count);
      else Kind::clear(Kind::from_row(to, row));
  }
  template <typename Panel> INLINE void finish(Panel &) {}
};

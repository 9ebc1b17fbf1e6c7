/*
 * matmul_amx.h: a panel of quantised weights times tiles of rows of activations, by AMX. Part of matmul.h, in place of
 * matmul_tile.h.
 *
 * Of a slice of k, the weights of a row and a row of activations each are whole numbers of 16 bits times one scale. They are
 * 256 high + low, bytes with signs, and one instruction sums the products of 16 weight rows, 16 rows of activations and 64 elements.
 * The sum over a slice is 256 * (256 high * high + (high * low + low * high)) + low * low: the last product, of at most 2^-16 of the
 * largest ones and of any sign, is left out, and what is in the outer brackets is less than 2^22 * 256 + 2^23 for 256 elements, a
 * number of 32 bits. It is joined to the outputs' sums, which are floats, between the instructions for the next tiles, and so are rows
 * of the next panel expanded.
 *
 * A weight is rounded to 2^-15 of the largest of its row's slice (matmul_amx_weights.h), an activation to 2^-16. Products of BF16,
 * of which there are as many for a number of 16 bits, would be half as fast.
 *
 * Tiles of weights are those with rows in a row, so that a row of weights is expanded where its bytes are: so a row of a tile of sums
 * is that of an output, with 16 rows of activations.
 */
constexpr uint32_t ByteTile = TileRows * uint32_t(TileRowBytes), TileBlocks = SliceLength / uint32_t(TileRowBytes);

/** Activations of one slice: for each 16 rows tiles of high and of low bytes, each of 16 times four elements of all rows. */
struct ByteSlice {
  int8_t *tiles; // [rows / 16, 2, TileBlocks, 16, 16, 4]
  float *scales; // [rows]
  enum : uint32_t { rowBytes = 2 * SliceLength };

  INLINE ByteSlice at(void *memory, uint64_t rows, uint64_t slice) {
    auto *tiles = (int8_t *)memory + slice * rows * (rowBytes + sizeof(float));
    return {tiles, (float *)(tiles + rows * rowBytes)};
  }
  METHOD ByteSlice from(uint64_t row) const { return {tiles + row * rowBytes, scales + row}; }
  METHOD int8_t *tile(uint32_t rows, uint32_t part, uint32_t block) const {
    return tiles + ((rows * 2 + part) * TileBlocks + block) * ByteTile;
  }
};

/** The bytes of a row, as whole numbers of what is returned: NaN where not all are finite. */
INLINE float put_activations(const float *x, uint32_t count, int8_t *high, int8_t *low) {
  Ints most = {};
  for (uint32_t i = 0; i < count; i += Lanes) {
    const Ints bits = (Ints)magnitude(load_f32(x + i));
    most = bits > most ? bits : most;
  }
  const int32_t bits = __builtin_reduce_max(most);
  const float largest = __builtin_bit_cast(float, bits), inverse = largest > 1e-30f ? LargestActivation / largest : 0;
  for (uint32_t i = 0; i < count; i += Lanes) {
    const auto whole = (Ints)_mm512_cvtps_epi32((__m512)(load_f32(x + i) * inverse));
    store(high + i, (QuarterBytes)_mm512_cvtepi32_epi8((__m512i)((whole + 128) >> 8)));
    store(low + i, (QuarterBytes)_mm512_cvtepi32_epi8((__m512i)whole));
  }
  return bits < 0x7f800000 ? largest / LargestActivation : __builtin_nanf("");
}

/** `isStreamed`: past the caches, if it is a whole line of theirs. */
INLINE void put_f32(float *x, Floats v, uint32_t count, bool isStreamed) {
  if (isStreamed && count >= Lanes && uint64_t(x) % sizeof v == 0) _mm512_stream_ps(x, (__m512)v);
  else store_f32(x, v, count);
}

/** Sums of a panel's outputs: of 16 rows of activations together, one output after the other. */
struct OutputSums {
  enum : uint32_t { writtenRows = 4 };
  Floats sums[MostPieceRows / uint32_t(TileRows)][PanelRows];

  METHOD Floats (*from(uint32_t row))[PanelRows] { return sums + row / TileRows; }
  METHOD void write(uint32_t row, uint32_t rows, uint64_t outputs, float *out, uint64_t stride, bool isStreamed) const {
    for (uint32_t v = 0; v < PanelVectors && v * Lanes < outputs; v++) {
      LaneRows lanes;
      Ints words[4];
      for (uint32_t i = 0; i < Lanes; i++) lanes.rows[i] = (const uint8_t *)&sums[row / TileRows][v * Lanes + i];
      load_words(lanes, row % TileRows * sizeof(float), words);
      for (uint32_t r = 0; r < writtenRows && r < rows; r++)
        put_f32(out + r * stride + v * Lanes, (Floats)words[r], uint32_t(outputs - v * Lanes), isStreamed);
    }
  }
  /** What was streamed is there for other threads. */
  INLINE void end() { _mm_sfence(); }
};

/** Sums of tiles that are to be joined to those of outputs: of which rows of activations, and how far that has come. */
struct Joining {
  const float *scales; // of rows
  Floats (*sums)[PanelRows];
  uint32_t vectors, next; // rows / 16; outputs that are done
  bool isFirst;
};

struct alignas(64) PanelWeights {
  int8_t tiles[TileBlocks][2][PanelVectors][TileRows][TileRowBytes]; // [., high and low, ...]
  float scales[PanelRows];
};

/** Rows of weights that are being expanded. */
struct Expansion {
  void (*expand)(Expansion &expansion, uint32_t end, PanelWeights &to); // the next rows, before row `end`
  const LaneRows *rows;
  uint64_t at;         // in each row
  uint32_t bytes;      // of each row
  uint32_t next, each; // rows that are done, and those of each multiply()
};

struct BytePanel {
  PanelWeights weights[2]; // in use, and the next ones
  uint32_t current;
  Expansion expansion; // of the next ones
  Ints highs[2][PanelRows], others[2][PanelRows]; // sums of tiles: of 16 and 16 rows of activations
  Joining joining;

  METHOD const int8_t *tile(uint32_t block, uint32_t part, uint32_t v) const { return &weights[current].tiles[block][part][v][0][0]; }
};

template <typename Type> static void expand_rows(Expansion &expansion, uint32_t end, PanelWeights &to) {
  constexpr uint32_t blockBytes = sizeof to.tiles[0], lowBytes = sizeof to.tiles[0][0];
  for (; expansion.next < end; expansion.next++) {
    const uint32_t row = expansion.next;
    const uint8_t *group = expansion.rows[row / Lanes].rows[row % Lanes] + expansion.at;
    alignas(64) uint8_t copy[Type::groupBytes];
    if (__builtin_expect(expansion.bytes < Type::groupBytes, false)) {
      __builtin_memset(copy, 0, sizeof copy);
      __builtin_memcpy(copy, group, expansion.bytes);
      group = copy;
    }
    to.scales[row] = expand_group<Type, blockBytes, lowBytes>(group, to.tiles[0][0][row / TileRows][row % TileRows]);
  }
}

template <uint32_t vector> INLINE void join_output(const BytePanel &panel, const Joining &joining, uint32_t output) {
  const Ints whole = (panel.highs[vector][output] << 8) + panel.others[vector][output];
  const Floats scale = splat(panel.weights[panel.current].scales[output]) * load_f32(joining.scales + vector * TileRows);
  Floats *sum = &joining.sums[vector][output];
  const auto before = (Floats)_mm512_maskz_loadu_ps(joining.isFirst ? 0 : 0xffff, sum);
  *sum = fma(floats_of(whole), scale, before);
}

/** Joins the next `Count` outputs, if there are any. */
template <uint32_t Count> INLINE void join_outputs(const BytePanel &panel, Joining &joining) {
  if (joining.next >= PanelRows) return;
#pragma clang loop unroll(full)
  for (uint32_t i = 0; i < Count; i++) join_output<0>(panel, joining, joining.next + i);
  if (joining.vectors > 1) {
#pragma clang loop unroll(full)
    for (uint32_t i = 0; i < Count; i++) join_output<1>(panel, joining, joining.next + i);
  }
  joining.next += Count;
}
enum : uint32_t { JoinedAtOnce = PanelRows / (2 * TileBlocks) };
INLINE void join_all(const BytePanel &panel, Joining &joining) {
  while (joining.next < PanelRows) join_outputs<JoinedAtOnce>(panel, joining);
}

/** Sums of tiles that are done: where they go, of how many times 16 rows of activations. */
struct DoneSums {
  Ints (*to)[PanelRows];
  uint32_t vectors;
};

/** Tile 0 is of the first 16 weight rows and the first 16 rows of activations, 1 of the next of the latter, 2 and 3 of other weights. */
template <int Tile> INLINE void begin_sums(const DoneSums &before) {
  constexpr uint32_t vector = Tile % 2, weights = Tile / 2 * TileRows;
  if (before.vectors > vector) store_tile<Tile>(before.to[vector] + weights, TileRowBytes);
  clear_tile<Tile>();
}
INLINE void store_sums(const DoneSums &done) {
  begin_sums<0>(done);
  begin_sums<2>(done);
  begin_sums<1>(done);
  begin_sums<3>(done);
}

/**
 * Adds the products of 32 weight rows with 16 or 32 rows of activations, of 64 elements. With `Begins` they are the first ones, and the
 * tiles of the sums before them are stored just before each is needed: all at once would be more than can wait for the last products.
 */
template <uint32_t Rows, bool Begins = false>
INLINE void add_block(const BytePanel &panel, const ByteSlice &x, uint32_t block, uint32_t weightPart, uint32_t xPart,
                      [[maybe_unused]] const DoneSums &before = {}) {
  load_tile<4>(panel.tile(block, weightPart, 0), TileRowBytes);
  load_tile<6>(x.tile(0, xPart, block), TileRowBytes);
  if constexpr (Begins) begin_sums<0>(before);
  add_byte_products<0, 4, 6>();
  load_tile<5>(panel.tile(block, weightPart, 1), TileRowBytes);
  if constexpr (Begins) begin_sums<2>(before);
  add_byte_products<2, 5, 6>();
  if (Rows > TileRows) load_tile<7>(x.tile(1, xPart, block), TileRowBytes);
  if constexpr (Begins) begin_sums<1>(before);
  if (Rows > TileRows) add_byte_products<1, 4, 7>();
  if constexpr (Begins) begin_sums<3>(before);
  if (Rows > TileRows) add_byte_products<3, 5, 7>();
}

/** The high sums of the last rows, until others begin. */
INLINE DoneSums left_in_tiles(BytePanel &panel) { return {panel.highs, panel.joining.next == 0 ? panel.joining.vectors : 0}; }

/**
 * Multiplies the panel with Rows rows, while the sums of the rows before them are stored and joined, and rows of the next panel are
 * expanded.
 */
template <uint32_t Rows>
__attribute__((noinline)) static void multiply_bytes(BytePanel &panel, const ByteSlice &x, uint32_t blocks, bool isFirst,
                                                     Floats (*sums)[PanelRows]) {
  static_assert(PanelVectors == 2 && (Rows == TileRows || Rows == 2 * TileRows));
  enum : uint32_t { High, Low };
  Joining joining = panel.joining;
  add_block<Rows, true>(panel, x, 0, High, Low, left_in_tiles(panel));
  for (uint32_t block = 0;;) {
    add_block<Rows>(panel, x, block, Low, High);
    join_outputs<JoinedAtOnce>(panel, joining);
    if (++block == blocks) break;
    add_block<Rows>(panel, x, block, High, Low);
    join_outputs<JoinedAtOnce>(panel, joining);
  }
  join_all(panel, joining);
  Expansion expansion = panel.expansion;
  const uint32_t done = expansion.next;
  add_block<Rows, true>(panel, x, 0, High, High, {panel.others, Rows / TileRows});
  for (uint32_t block = 0;;) {
    const uint32_t end = done + expansion.each * (block + 1) / blocks;
    if (expansion.next < PanelRows) expansion.expand(expansion, end < PanelRows ? end : uint32_t(PanelRows), panel.weights[!panel.current]);
    if (++block == blocks) break;
    add_block<Rows>(panel, x, block, High, High);
  }
  panel.expansion = expansion;
  panel.joining = {x.scales, sums, Rows / TileRows, 0, isFirst};
}

/** What matmul.h has to know about products with quantised weights of a type. */
template <typename Type> struct Quantised {
  enum : uint32_t {
    elements = Type::elements,
    bytes = Type::bytes,
    sliceLength = SliceLength,
    tileRows = 2 * TileRows,
    smallTileRows = TileRows,
    rowBytes = ByteSlice::rowBytes,
    preparedRows = TileRows,
  };
  enum : bool { expandsMeanwhile = true };
  typedef ByteSlice Slice;
  typedef BytePanel Panel;
  typedef OutputSums Sums;
  typedef ConfiguredTiles Registers;
  static constexpr float nanoseconds = 0.0015f;

  INLINE uint64_t activation_bytes() { return rowBytes + sizeof(float); }
  INLINE Slice slice_at(void *memory, uint64_t rows, uint64_t slice) { return Slice::at(memory, rows, slice); }
  INLINE Slice from_row(const Slice &slice, uint64_t row) { return slice.from(row); }
  INLINE const char *memory_of(const Slice &slice) { return (const char *)slice.tiles; }

  static void prepare(const Slice &to, const float *x, uint64_t stride, uint32_t rows, uint32_t all, uint32_t count) {
    alignas(64) int8_t bytes[2][TileRows][SliceLength + uint32_t(TileRowBytes)]; // not all rows in the same few places of a cache
    for (uint32_t first = 0; first < all; first += TileRows) {
      const Slice tiles = to.from(first);
      for (uint32_t r = 0; r < TileRows; r++) {
        const bool isThere = first + r < rows;
        if (!isThere || count < SliceLength)
          for (auto &part : bytes) __builtin_memset(part[r], 0, SliceLength);
        tiles.scales[r] = isThere ? put_activations(x + (first + r) * stride, count, bytes[0][r], bytes[1][r]) : 0;
      }
      for (uint32_t part = 0; part < 2; part++) {
        LaneRows lanes;
        for (uint32_t r = 0; r < TileRows; r++) lanes.rows[r] = (const uint8_t *)bytes[part][r];
        for (uint32_t i = 0; i < SliceLength; i += 16) load_words(lanes, i, (Ints *)(tiles.tile(0, part, 0) + i * TileRows));
      }
    }
  }

  INLINE Expansion expansion_of(const LaneRows *rows, uint64_t start, uint32_t count, uint32_t each) {
    const uint32_t groupBytes = count < SliceLength ? count / elements * bytes : uint32_t(Type::groupBytes);
    return {expand_rows<Type>, rows, start / elements * bytes, groupBytes, 0, each};
  }
  INLINE void expand(const LaneRows *rows, uint64_t start, uint32_t count, Panel *panel) {
    panel->current = 0;
    panel->expansion = expansion_of(rows, start, count, 0);
    expand_rows<Type>(panel->expansion, PanelRows, panel->weights[0]);
    panel->joining.next = PanelRows;
  }
  /** From now on the next `times` multiply() expand the next panel. */
  INLINE void expand_meanwhile(const LaneRows *rows, uint64_t start, uint32_t count, uint32_t times, Panel *panel) {
    panel->expansion = expansion_of(rows, start, count, (PanelRows + times - 1) / times);
  }
  template <uint32_t Rows>
  INLINE void multiply(Panel &panel, const Slice &x, uint32_t count, bool isFirst, Floats (*sums)[PanelRows]) {
    multiply_bytes<Rows>(panel, x, (count + TileRowBytes - 1) / TileRowBytes, isFirst, sums);
  }
  INLINE void finish(Panel &panel) {
    store_sums(left_in_tiles(panel));
    join_all(panel, panel.joining);
    panel.current = !panel.current;
  }
};

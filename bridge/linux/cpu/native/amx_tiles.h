/*
 * amx_tiles.h: the tile registers of AMX: eight of TileRows rows of 64 bytes. Part of level.h, of the level amx.
 *
 * With NATIVE_AMX_EMULATED tiles are memory and their instructions plain C++, as Intel's manual describes them, so that the
 * kernels can be tested where there are none; a use that a processor would refuse is a trap.
 */
enum : uint32_t { TileRows = 16, TileRowBytes = 64, TileElements = 32 /* of two bytes, in a row */ };

#ifdef NATIVE_AMX_EMULATED
struct EmulatedTiles {
  bool isConfigured;
  uint8_t tiles[8][TileRows][TileRowBytes];
};
static _Thread_local EmulatedTiles emulated;

/** A whole tile, of a program that has configured tiles. */
static uint8_t (*tile_of(int tile))[TileRowBytes] {
  if (!emulated.isConfigured) __builtin_trap();
  return emulated.tiles[tile];
}

/** Numbers that are smaller than the normal ones are nothing. */
static float flushed(float x) { return __builtin_fabsf(x) < 0x1p-126f ? __builtin_copysignf(0.0f, x) : x; }
static float element_of(const uint8_t *row, uint32_t i) {
  uint16_t upper;
  __builtin_memcpy(&upper, row + 2 * i, sizeof upper);
  return flushed(__builtin_bit_cast(float, uint32_t(upper) << 16));
}
#endif

/** While it lives, the thread has tiles. A thread that leaves them configured makes each switch to another one dearer. */
struct ConfiguredTiles {
#ifdef NATIVE_AMX_EMULATED
  ConfiguredTiles() {
    if (emulated.isConfigured) __builtin_trap(); // who had them last has left them so
    emulated.isConfigured = true;
  }
  ~ConfiguredTiles() { emulated.isConfigured = false; }
#else
  ConfiguredTiles() {
    struct alignas(64) {
      uint8_t palette, startRow, reserved[14];
      uint16_t rowBytes[16]; // the last eight are of no tile
      uint8_t rows[16];
    } configuration = {};
    static_assert(sizeof configuration == 64);
    configuration.palette = 1;
    for (uint32_t tile = 0; tile < 8; tile++) {
      configuration.rowBytes[tile] = TileRowBytes;
      configuration.rows[tile] = TileRows;
    }
    _tile_loadconfig(&configuration);
  }
  ~ConfiguredTiles() { _tile_release(); }
#endif
  ConfiguredTiles(const ConfiguredTiles &) = delete;
};

template <int Tile> INLINE void clear_tile() {
#ifdef NATIVE_AMX_EMULATED
  __builtin_memset(tile_of(Tile), 0, TileRows * TileRowBytes);
#else
  _tile_zero(Tile);
#endif
}

/** Rows are `stride` bytes apart. */
template <int Tile> INLINE void load_tile(const void *memory, uint64_t stride) {
#ifdef NATIVE_AMX_EMULATED
  for (uint32_t r = 0; r < TileRows; r++) __builtin_memcpy(tile_of(Tile)[r], (const char *)memory + r * stride, TileRowBytes);
#else
  _tile_loadd(Tile, memory, stride);
#endif
}
template <int Tile> INLINE void store_tile(void *memory, uint64_t stride) {
#ifdef NATIVE_AMX_EMULATED
  for (uint32_t r = 0; r < TileRows; r++) __builtin_memcpy((char *)memory + r * stride, tile_of(Tile)[r], TileRowBytes);
#else
  _tile_stored(Tile, memory, stride);
#endif
}

/**
 * Sums[m][n] += sum over k < 32 of X[m][k] W[k][n]: floats += BF16 * BF16. A row of the tile X is one of the matrix; a row j of
 * the tile W has the elements k = 2 j and 2 j + 1 of each column n side by side. The sums of even and of odd k are apart until
 * the end.
 */
template <int Sums, int X, int W> INLINE void add_products() {
#ifdef NATIVE_AMX_EMULATED
  const uint8_t (*x)[TileRowBytes] = tile_of(X), (*w)[TileRowBytes] = tile_of(W);
  for (uint32_t m = 0; m < TileRows; m++) {
    float *sums = (float *)tile_of(Sums)[m];
    for (uint32_t n = 0; n < 16; n++) {
      float even = 0, odd = 0;
      for (uint32_t j = 0; j < 16; j++) {
        even = flushed(__builtin_fmaf(element_of(x[m], 2 * j), element_of(w[j], 2 * n), even));
        odd = flushed(__builtin_fmaf(element_of(x[m], 2 * j + 1), element_of(w[j], 2 * n + 1), odd));
      }
      sums[n] = flushed(flushed(sums[n]) + flushed(even + odd));
    }
  }
#else
  _tile_dpbf16ps(Sums, X, W);
#endif
}

/**
 * Sums[m][n] += sum over k < 64 of X[m][k] W[k][n]: whole numbers of 32 bits += bytes * bytes, all with signs. A row of the tile X is
 * one of the matrix; a row j of the tile W has the elements k = 4 j .. 4 j + 3 of each column n side by side.
 */
template <int Sums, int X, int W> INLINE void add_byte_products() {
#ifdef NATIVE_AMX_EMULATED
  const auto *x = (const int8_t (*)[TileRowBytes])tile_of(X), *w = (const int8_t (*)[TileRowBytes])tile_of(W);
  for (uint32_t m = 0; m < TileRows; m++) {
    auto *sums = (uint32_t *)tile_of(Sums)[m]; // which may overflow
    for (uint32_t j = 0; j < TileRows; j++)
      for (uint32_t n = 0; n < 16; n++)
        for (uint32_t i = 0; i < 4; i++) sums[n] += uint32_t(x[m][4 * j + i] * w[j][4 * n + i]);
  }
#else
  _tile_dpbssd(Sums, X, W);
#endif
}

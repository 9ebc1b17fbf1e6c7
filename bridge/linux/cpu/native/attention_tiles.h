/*
 * attention_tiles.h: attention of many rows at once, as in FlashAttention (Dao et al. 2022). Part of level.h.
 *
 * A query is one head of one row; those of the rows in order, and in each row the heads that share a key head, are the
 * queries of that key head. Lanes are queries: scores are kept as [key, query] and sums as [dimension, query], so that
 * maxima, weights and corrections are operations of lanes, and both products take a number of the unpacked tile of keys or
 * of values for all lanes, and a vector of queries or of weights.
 *
 * Queries lie in panels of up to PanelVectors vectors, which the products with a tile have in registers.
 */
enum : uint32_t {
  PanelVectors = 3,
  TileQueries = 192, // of a piece, at most; half of it is whole panels, too, at all levels
  TileKeys = 64,
  ProductDepth = 32, // products that are summed one after the other: the shorter, the less is lost by rounding
  MaxPanels = TileQueries / (PanelVectors * Lanes),
#if NATIVE_LANES == 16 || defined(__aarch64__)
  ProductRows = 8 // of 32 registers: 24 of sums
#else
  ProductRows = 4 // of 16: 12
#endif
};

struct Panel {
  uint32_t vectors, firstQuery;
  uint32_t begin, end; // positions that any of its queries sees
  float *queries;      // [headDim, width], scaled
  float *sums;         // [stride, width]
  float *scores;       // [TileKeys, width]
  Floats maxima[PanelVectors], totals[PanelVectors];
  Ints begins[PanelVectors], ends[PanelVectors];
  uint32_t latestBegin[PanelVectors], earliestEnd[PanelVectors]; // what all lanes see lies between
};

/** Rows of a product that are made at a time: enough sums to keep the multipliers busy. */
constexpr uint32_t product_rows(uint32_t vectors) { return vectors == 1 ? 2 * ProductRows : uint32_t(ProductRows); }

/**
 * c[i] = factors * c[i] + sum_k a[i, k] b[k] of product_rows rows i, where b[k] and c[i] are of Vectors vectors; without
 * factors the sum alone. With IsValues, a is read as its transpose, [k, i].
 */
template <uint32_t Vectors, bool IsValues>
static void multiply(const float *a, uint32_t stride, const float *b, uint32_t depth, float *c, const Floats *factors) {
  constexpr uint32_t Rows = product_rows(Vectors), width = Vectors * Lanes;
  Floats sums[Rows][Vectors] = {};
  for (uint32_t k = 0; k < depth; k++, b += width) {
    Floats right[Vectors];
#pragma clang loop unroll(full)
    for (uint32_t v = 0; v < Vectors; v++) right[v] = load_f32(b + v * Lanes);
#pragma clang loop unroll(full)
    for (uint32_t i = 0; i < Rows; i++) {
      const Floats left = splat(IsValues ? a[k * stride + i] : a[i * stride + k]);
#pragma clang loop unroll(full)
      for (uint32_t v = 0; v < Vectors; v++) sums[i][v] = fma(left, right[v], sums[i][v]);
    }
  }
#pragma clang loop unroll(full)
  for (uint32_t i = 0; i < Rows; i++)
#pragma clang loop unroll(full)
    for (uint32_t v = 0; v < Vectors; v++) {
      float *place = c + i * width + v * Lanes;
      store(place, factors ? fma(load_f32(place), factors[v], sums[i][v]) : sums[i][v]);
    }
}

template <uint32_t Vectors> static void score_panel(Panel &panel, const float *tile, uint32_t headDim, uint32_t keys) {
  const uint32_t stride = tile_stride(headDim);
  Floats ones[Vectors];
  for (Floats &one : ones) one = splat(1.0f);
  for (uint32_t d = 0; d < headDim; d += ProductDepth) {
    const float *queries = panel.queries + d * Vectors * Lanes;
    const uint32_t depth = headDim - d < ProductDepth ? headDim - d : uint32_t(ProductDepth);
    for (uint32_t key = 0; key < keys; key += product_rows(Vectors))
      multiply<Vectors, false>(tile + key * stride + d, stride, queries, depth, panel.scores + key * Vectors * Lanes, d ? ones : nullptr);
  }
}

template <uint32_t Vectors>
static void add_panel(Panel &panel, const float *tile, uint32_t headDim, uint32_t keys, const Floats *corrections) {
  const uint32_t stride = tile_stride(headDim);
  for (uint32_t d = 0; d < headDim; d += product_rows(Vectors))
    multiply<Vectors, true>(tile + d, stride, panel.scores, keys, panel.sums + d * Vectors * Lanes, corrections);
}

INLINE Floats where_seen(uint32_t position, Ints begins, Ints ends, Floats value, float otherwise) {
  const Ints p = splat(int32_t(position)), isSeen = (p >= begins) & (p < ends);
  return isSeen ? value : splat(otherwise);
}

/** The scores of a tile become weights, 0 where a query does not see the key. Gives what corrects the sums so far. */
static void weigh_panel(Panel &panel, uint32_t first, uint32_t keys, float softCap, Floats *corrections) {
  const uint32_t width = panel.vectors * Lanes;
  for (uint32_t v = 0; v < panel.vectors; v++) {
    float *scores = panel.scores + v * Lanes;
    const bool isWhole = first >= panel.latestBegin[v] && first + keys <= panel.earliestEnd[v];
    Floats maximum = panel.maxima[v], total = {};
    const Ints begins = panel.begins[v], ends = panel.ends[v];
    if (softCap > 0.0f)
      for (uint32_t k = 0; k < keys; k++) store(scores + k * width, soft_cap(load_f32(scores + k * width), softCap));
    if (isWhole) {
      for (uint32_t k = 0; k < keys; k++) maximum = ::maximum(maximum, load_f32(scores + k * width));
    } else {
      for (uint32_t k = 0; k < keys; k++) {
        const Floats seen = where_seen(first + k, begins, ends, load_f32(scores + k * width), MaskedScore);
        store(scores + k * width, seen);
        maximum = ::maximum(maximum, seen);
      }
    }
    for (uint32_t k = 0; k < keys; k++) {
      Floats weight = exponential(load_f32(scores + k * width) - maximum);
      // Where a query has seen nothing yet, what is masked is no less than the maximum.
      if (!isWhole) weight = where_seen(first + k, begins, ends, weight, 0.0f);
      total += weight;
      store(scores + k * width, weight);
    }
    corrections[v] = exponential(panel.maxima[v] - maximum);
    panel.maxima[v] = maximum;
    panel.totals[v] = panel.totals[v] * corrections[v] + total;
  }
}

/** Whether the product with 0 of all numbers of a tile is 0. */
static bool is_finite(const float *tile, uint32_t length) {
  Floats products = {};
  for (uint32_t i = 0; i < length; i += Lanes) products += load_f32(tile + i) * splat(0.0f);
  return sum_of(products) == 0.0f;
}

/** Queries of attend_queries at most: what it keeps of them stays in a processor's own cache. */
INLINE uint32_t most_queries(uint32_t stride) { return stride <= 64 ? uint32_t(TileQueries) : TileQueries / 2; }

/** Floats of memory that attend_queries needs. */
INLINE uint64_t tile_floats(uint32_t stride) {
  return uint64_t(TileKeys + 2 * most_queries(stride)) * stride + uint64_t(TileKeys) * most_queries(stride);
}

/** What rows of one sequence see: row r the positions [begin, end) that `seen` gives, as far as they lie in [from, to). */
struct Visible {
  const uint32_t *positions; // of all rows
  uint32_t window, from, to;
};

INLINE void visible(const Visible &range, uint32_t row, uint32_t *begin, uint32_t *end) {
  const uint32_t last = range.positions[row] + 1;
  const uint32_t first = last - (last < range.window ? last : range.window);
  *end = last < range.to ? last : range.to;
  *begin = first > range.from ? first : range.from;
  if (*begin > *end) *begin = *end;
}

/** Where lane i of the second or first of two vectors comes from, when blocks of `half` lanes change places between them. */
constexpr int exchanged_lane(int i, int half, bool isSecond) {
  const bool isUpper = (i & half) != 0;
  if (isSecond) return isUpper ? i + int(Lanes) : i + half;
  return isUpper ? i - half + int(Lanes) : i;
}

template <int half, int... i> INLINE void exchange(Floats &a, Floats &b, Sequence<int, i...>) {
  const Floats first = __builtin_shufflevector(a, b, exchanged_lane(i, half, false)...);
  b = __builtin_shufflevector(a, b, exchanged_lane(i, half, true)...);
  a = first;
}

/** rows[i][j] and rows[j][i] change places. */
template <int half = int(Lanes) / 2> INLINE void transpose(Floats (&rows)[Lanes]) {
#pragma clang loop unroll(full)
  for (uint32_t i = 0; i < Lanes; i++)
    if (!(i & half)) exchange<half>(rows[i], rows[i + half], LaneSequence());
  if constexpr (half > 1) transpose<half / 2>(rows);
}

/** Puts the queries of a panel, from `first` of those from `firstRow` on, as columns; behind the last one, that again. */
static void fill_panel(Panel &panel, const Queries &queries, const CacheHead &cache, const Visible &range, uint32_t firstRow,
                       uint32_t first, uint32_t last) {
  const uint32_t width = panel.vectors * Lanes, headDim = cache.headDim;
  panel.firstQuery = first;
  panel.begin = UINT32_MAX;
  panel.end = 0;
  for (uint32_t v = 0; v < panel.vectors; v++) {
    const float *rows[Lanes];
    panel.maxima[v] = splat(MaskedScore);
    panel.totals[v] = Floats{};
    panel.latestBegin[v] = 0;
    panel.earliestEnd[v] = UINT32_MAX;
    for (uint32_t lane = 0; lane < Lanes; lane++) {
      uint32_t n = first + v * Lanes + lane, begin, end;
      if (n > last) n = last;
      const uint32_t row = firstRow + n / queries.heads;
      visible(range, row, &begin, &end);
      panel.begins[v][lane] = int32_t(begin);
      panel.ends[v][lane] = int32_t(end);
      if (begin > panel.latestBegin[v]) panel.latestBegin[v] = begin;
      if (end < panel.earliestEnd[v]) panel.earliestEnd[v] = end;
      if (begin < end && begin < panel.begin) panel.begin = begin;
      if (begin < end && end > panel.end) panel.end = end;
      rows[lane] = queries.q + row * queries.rowFloats + uint64_t(n % queries.heads) * headDim;
    }
    for (uint32_t d = 0; d < headDim; d += Lanes) {
      Floats square[Lanes];
      for (uint32_t i = 0; i < Lanes; i++) square[i] = load_f32(rows[i] + d, headDim - d) * splat(queries.scale);
      transpose(square);
      for (uint32_t i = 0; i < Lanes; i++) store(panel.queries + (d + i) * width + v * Lanes, square[i]);
    }
  }
  __builtin_memset(panel.sums, 0, 4ull * tile_stride(headDim) * width);
}

static void write_panel(const Panel &panel, const Queries &queries, uint32_t headDim, uint32_t firstRow, uint32_t last) {
  const uint32_t width = panel.vectors * Lanes;
  for (uint32_t v = 0; v < panel.vectors; v++) {
    const uint32_t first = panel.firstQuery + v * Lanes, left = last - first + 1, count = left < Lanes ? left : uint32_t(Lanes);
    const Floats factors = splat(1.0f) / (queries.isPartial ? splat(1.0f) : panel.totals[v]);
    float *rows[Lanes];
    for (uint32_t i = 0; i < count; i++) {
      const uint32_t n = first + i;
      rows[i] = queries.out + (firstRow + n / queries.heads) * queries.outRowFloats +
                uint64_t(n % queries.heads) * queries.outHeadFloats;
      if (!queries.isPartial) continue;
      rows[i][headDim + Partial::Maximum] = panel.maxima[v][i];
      rows[i][headDim + Partial::Total] = panel.totals[v][i];
    }
    for (uint32_t d = 0; d < headDim; d += Lanes) {
      Floats square[Lanes];
      for (uint32_t i = 0; i < Lanes; i++) square[i] = load_f32(panel.sums + (d + i) * width + v * Lanes) * factors;
      transpose(square);
      for (uint32_t i = 0; i < count; i++) store_f32(rows[i] + d, square[i], headDim - d);
    }
  }
}

/**
 * Attention of the queries [first, last] of rows of one sequence from `firstRow` on, most_queries at most. False where that
 * cannot be told: a weight of 0 hides no value that is infinite or NaN, which a query that does not see it would then have.
 */
static bool attend_queries(const Queries &queries, const CacheHead &cache, Stage stage, const Visible &range,
                           uint32_t firstRow, uint32_t first, uint32_t last, float *memory) {
  const uint32_t headDim = cache.headDim, stride = tile_stride(headDim);
  float *tile = memory;
  memory += TileKeys * stride;
  Panel panels[MaxPanels];
  uint32_t count = 0, begin = UINT32_MAX, end = 0;
  for (uint32_t n = first; n <= last; count++) {
    Panel &panel = panels[count];
    const uint32_t vectors = (last - n) / Lanes + 1;
    panel.vectors = vectors < PanelVectors ? vectors : uint32_t(PanelVectors);
    const uint32_t width = panel.vectors * Lanes;
    panel.queries = memory;
    panel.sums = panel.queries + width * stride;
    panel.scores = panel.sums + width * stride;
    memory = panel.scores + width * TileKeys;
    fill_panel(panel, queries, cache, range, firstRow, n, last);
    if (panel.begin < begin) begin = panel.begin;
    if (panel.end > end) end = panel.end;
    n += width;
  }
  for (uint32_t tileFirst = begin; tileFirst < end; tileFirst += TileKeys) {
    const uint32_t keys = end - tileFirst < TileKeys ? end - tileFirst : TileKeys;
    Floats corrections[MaxPanels][PanelVectors];
    uint32_t panelKeys[MaxPanels];
    bool isWhole = true;
    stage(cache, cache.keys, tileFirst, keys, end, tile);
    for (uint32_t i = 0; i < count; i++) {
      Panel &panel = panels[i];
      const bool isSeen = tileFirst + keys > panel.begin && tileFirst < panel.end;
      panelKeys[i] = !isSeen ? 0 : panel.end - tileFirst < keys ? panel.end - tileFirst : keys;
      if (!isSeen) continue;
      if (panel.vectors == 1) score_panel<1>(panel, tile, headDim, panelKeys[i]);
      if (panel.vectors == 2) score_panel<2>(panel, tile, headDim, panelKeys[i]);
      if (panel.vectors == 3) score_panel<3>(panel, tile, headDim, panelKeys[i]);
      weigh_panel(panel, tileFirst, panelKeys[i], queries.softCap, corrections[i]);
      for (uint32_t v = 0; v < panel.vectors; v++)
        isWhole = isWhole && tileFirst >= panel.latestBegin[v] && tileFirst + panelKeys[i] <= panel.earliestEnd[v];
    }
    stage(cache, cache.values, tileFirst, keys, end, tile);
    if (!isWhole && !is_finite(tile, keys * stride)) return false;
    for (uint32_t i = 0; i < count; i++) {
      Panel &panel = panels[i];
      if (panelKeys[i] == 0) continue;
      if (panel.vectors == 1) add_panel<1>(panel, tile, headDim, panelKeys[i], corrections[i]);
      if (panel.vectors == 2) add_panel<2>(panel, tile, headDim, panelKeys[i], corrections[i]);
      if (panel.vectors == 3) add_panel<3>(panel, tile, headDim, panelKeys[i], corrections[i]);
    }
  }
  for (uint32_t i = 0; i < count; i++) write_panel(panels[i], queries, headDim, firstRow, last);
  return true;
}

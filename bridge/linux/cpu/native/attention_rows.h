/*
 * attention_rows.h: attention of one row, for some key and value heads. Part of level.h.
 *
 * Keys and values are what has to come from memory, so each is read once for all heads that share it, and neighbours in
 * memory are read together: a slot has the heads one after the other. Dot products are made along dimensions, sums of
 * values likewise, four heads at a time.
 */

/** What a piece has summed of its keys: sum_p exp(s_p - maximum) V_p [headDim], the maximum of s_p, and the sum of the weights. */
struct Partial {
  enum : uint32_t { Maximum = 0, Total = 1, More = 2 }; // behind the headDim sums, as in shaders/attention.metal
};

constexpr float MaskedScore = -3.0e38f; // shaders/attention.h

/** The queries of a piece, and how scores are made. */
struct Queries {
  const float *q; // of the first head of row 0
  float *out;     // the same of what is written: headDim floats a head, or headDim + Partial::More
  uint64_t rowFloats, outRowFloats;
  uint32_t outHeadFloats;
  uint32_t heads; // that share a key head
  bool isPartial;
  float scale, softCap;
};

enum : uint32_t {
  RowHeads = 32,     // of attend_heads, at most
  RowTileKeys = 128, // whose scores are kept while values are summed
  RowStagedKeys = 16 // that are unpacked at a time, and stay in the nearest cache
};

template <typename T, T... I> struct Sequence {};
typedef __make_integer_seq<Sequence, int, int(Lanes)> LaneSequence;

/** Where lane i of two interleaved vectors comes from: both are segments of `length` lanes, of each the lower or upper half. */
constexpr int half_segment(int i, int length, bool upper) {
  const int half = length / 2, segment = i / half;
  return segment / 2 * length + i % half + (upper ? half : 0) + (segment % 2 ? int(Lanes) : 0);
}

/** Segments of `length` lanes, added by halves, those of `a` and of `b` in turn. */
template <int length, int... i> INLINE Floats fold(Floats a, Floats b, Sequence<int, i...>) {
  return __builtin_shufflevector(a, b, half_segment(i, length, false)...) +
         __builtin_shufflevector(a, b, half_segment(i, length, true)...);
}
template <int length> INLINE Floats fold(Floats a, Floats b) { return fold<length>(a, b, LaneSequence()); }

/** Lane i + distance of each lane i, around the end. */
template <int distance, int... i> INLINE Floats rotate(Floats v, Sequence<int, i...>) {
  return __builtin_shufflevector(v, v, (i + distance) % int(Lanes)...);
}

/** The sums of four vectors. */
INLINE void store_sums(float *out, Floats a, Floats b, Floats c, Floats d) {
  constexpr int lanes = int(Lanes);
  Floats sums = fold<lanes / 2>(fold<lanes>(a, c), fold<lanes>(b, d)); // four segments
  if constexpr (lanes >= 16) sums += rotate<2>(sums, LaneSequence());
  if constexpr (lanes >= 8) sums += rotate<1>(sums, LaneSequence());
  for (int i = 0; i < 4; i++) out[i] = sums[i * lanes / 4];
}

/** scores[head][key] of Heads heads and RowStagedKeys keys. */
template <uint32_t Heads> static void score_keys(const float *q, const float *tile, uint32_t stride, float *scores) {
  constexpr uint32_t Keys = 4;
  for (uint32_t key = 0; key < RowStagedKeys; key += Keys, tile += Keys * stride) {
    Floats sums[Heads][Keys] = {};
    for (uint32_t d = 0; d < stride; d += Lanes) {
      Floats k[Keys];
#pragma clang loop unroll(full)
      for (uint32_t j = 0; j < Keys; j++) k[j] = load_f32(tile + j * stride + d);
#pragma clang loop unroll(full)
      for (uint32_t h = 0; h < Heads; h++) {
        const Floats query = load_f32(q + h * stride + d);
#pragma clang loop unroll(full)
        for (uint32_t j = 0; j < Keys; j++) sums[h][j] = fma(query, k[j], sums[h][j]);
      }
    }
#pragma clang loop unroll(full)
    for (uint32_t h = 0; h < Heads; h++)
      store_sums(scores + h * RowTileKeys + key, sums[h][0], sums[h][1], sums[h][2], sums[h][3]);
  }
}

/** sums[head][d] += weights[head][key] tile[key][d], of Heads heads and `keys` keys. */
template <uint32_t Heads>
static void add_values(const float *weights, const float *tile, uint32_t stride, uint32_t keys, float *sums) {
  constexpr uint32_t Vectors = 16 / Lanes < 2 ? 2 : 16 / Lanes; // that divide every stride, or leave one
  uint32_t d = 0;
  for (; d + Vectors * Lanes <= stride; d += Vectors * Lanes) {
    Floats s[Heads][Vectors];
#pragma clang loop unroll(full)
    for (uint32_t h = 0; h < Heads; h++)
#pragma clang loop unroll(full)
      for (uint32_t v = 0; v < Vectors; v++) s[h][v] = load_f32(sums + h * stride + d + v * Lanes);
    for (uint32_t key = 0; key < keys; key++) {
      Floats values[Vectors];
#pragma clang loop unroll(full)
      for (uint32_t v = 0; v < Vectors; v++) values[v] = load_f32(tile + key * stride + d + v * Lanes);
#pragma clang loop unroll(full)
      for (uint32_t h = 0; h < Heads; h++)
#pragma clang loop unroll(full)
        for (uint32_t v = 0; v < Vectors; v++) s[h][v] = fma(splat(weights[h * RowTileKeys + key]), values[v], s[h][v]);
    }
#pragma clang loop unroll(full)
    for (uint32_t h = 0; h < Heads; h++)
#pragma clang loop unroll(full)
      for (uint32_t v = 0; v < Vectors; v++) store(sums + h * stride + d + v * Lanes, s[h][v]);
  }
  for (; d < stride; d += Lanes)
    for (uint32_t h = 0; h < Heads; h++) {
      Floats s = load_f32(sums + h * stride + d);
      for (uint32_t key = 0; key < keys; key++)
        s = fma(splat(weights[h * RowTileKeys + key]), load_f32(tile + key * stride + d), s);
      store(sums + h * stride + d, s);
    }
}

static void score_keys(uint32_t heads, const float *q, const float *tile, uint32_t stride, float *scores) {
  for (; heads >= 4; heads -= 4, q += 4 * stride, scores += 4 * RowTileKeys) score_keys<4>(q, tile, stride, scores);
  if (heads == 3) score_keys<3>(q, tile, stride, scores);
  if (heads == 2) score_keys<2>(q, tile, stride, scores);
  if (heads == 1) score_keys<1>(q, tile, stride, scores);
}

static void add_values(uint32_t heads, const float *weights, const float *tile, uint32_t stride, uint32_t keys, float *sums) {
  for (; heads >= 4; heads -= 4, weights += 4 * RowTileKeys, sums += 4 * stride)
    add_values<4>(weights, tile, stride, keys, sums);
  if (heads == 3) add_values<3>(weights, tile, stride, keys, sums);
  if (heads == 2) add_values<2>(weights, tile, stride, keys, sums);
  if (heads == 1) add_values<1>(weights, tile, stride, keys, sums);
}

/** Scores become weights, relative to the larger one of the maximum so far and their own. What was summed is corrected. */
static void weigh(float *scores, uint32_t keys, float softCap, float *maximum, float *total, float *sums, uint32_t stride) {
  const uint32_t end = (keys + Lanes - 1) / Lanes * Lanes;
  for (uint32_t i = keys; i < end; i++) scores[i] = MaskedScore;
  Floats largest = splat(*maximum);
  for (uint32_t i = 0; i < end; i += Lanes) {
    Floats s = load_f32(scores + i);
    if (softCap > 0.0f) store(scores + i, s = soft_cap(s, softCap));
    largest = ::maximum(largest, s);
  }
  for (uint32_t i = keys; i < end; i++) scores[i] = MaskedScore; // a cap has raised them
  const float newMaximum = maximum_of(largest);
  const float correction = exponential(splat(*maximum - newMaximum))[0];
  Floats weights = {};
  for (uint32_t i = 0; i < end; i += Lanes) {
    const Floats weight = exponential(load_f32(scores + i) - splat(newMaximum));
    store(scores + i, weight);
    weights += weight;
  }
  *maximum = newMaximum;
  *total = *total * correction + sum_of(weights);
  if (correction == 1.0f) return;
  for (uint32_t d = 0; d < stride; d += Lanes) store(sums + d, load_f32(sums + d) * splat(correction));
}

/** Writes what was summed, or the result. */
static void write_sums(const Queries &queries, float *out, const float *sums, uint32_t headDim, float maximum, float total) {
  const Floats factor = splat(queries.isPartial ? 1.0f : 1.0f / total);
  for (uint32_t d = 0; d < headDim; d += Lanes) store_f32(out + d, load_f32(sums + d) * factor, headDim - d);
  if (!queries.isPartial) return;
  out[headDim + Partial::Maximum] = maximum;
  out[headDim + Partial::Total] = total;
}

/** Floats of memory that attend_row needs. */
INLINE uint64_t row_floats(uint32_t stride) { return uint64_t(RowStagedKeys + 2 * RowHeads) * stride + RowHeads * RowTileKeys; }

/** Fetches the first keys (or values) that attend_heads will unpack. */
static void fetch_first(const CacheHead &cache, const uint8_t *slots, uint32_t kvHeads, uint32_t begin, uint32_t end) {
  CacheCursor cursor = cursor_at(cache, slots, begin);
  for (uint32_t i = 0;;) {
    fetch(cursor.row, uint32_t(kvHeads * cache.headBytes));
    if (++i == StageAhead || begin + i >= end) return;
    advance(cache, slots, cursor);
  }
}

/**
 * Attention of `row` to the positions [begin, end), of `kvHeads` key heads, the first of which `cache` is, and of `sharing`
 * heads of each, the first of which is firstHead of all. kvHeads * sharing is at most RowHeads.
 */
static void attend_heads(const Queries &queries, const CacheHead &cache, Stage stage, uint32_t row, uint32_t firstHead,
                         uint32_t kvHeads, uint32_t sharing, uint32_t begin, uint32_t end, float *memory) {
  const uint32_t headDim = cache.headDim, stride = tile_stride(headDim), heads = kvHeads * sharing;
  float *tile = memory, *q = tile + RowStagedKeys * stride, *sums = q + RowHeads * stride, *scores = sums + RowHeads * stride;
  float maxima[RowHeads], totals[RowHeads];
  const float *from = queries.q + row * queries.rowFloats + uint64_t(firstHead) * headDim;
  for (uint32_t h = 0; h < heads; h++) {
    maxima[h] = MaskedScore;
    totals[h] = 0.0f;
    for (uint32_t d = 0; d < stride; d += Lanes) {
      const uint32_t left = d < headDim ? headDim - d : 0;
      store(q + h * stride + d, load_f32(from + uint64_t(h) * headDim + d, left) * splat(queries.scale));
      store(sums + h * stride + d, Floats{});
    }
  }
  if (begin < end) fetch_first(cache, cache.keys, kvHeads, begin, end);
  for (uint32_t first = begin; first < end; first += RowTileKeys) {
    const uint32_t keys = end - first < RowTileKeys ? end - first : RowTileKeys;
    for (uint32_t k = 0; k < keys; k += RowStagedKeys) {
      const uint32_t count = keys - k < RowStagedKeys ? keys - k : RowStagedKeys;
      for (uint32_t h = 0; h < kvHeads; h++) {
        stage(cache, cache.keys + h * cache.headBytes, first + k, count, end, tile);
        score_keys(sharing, q + h * sharing * stride, tile, stride, scores + h * sharing * RowTileKeys + k);
      }
    }
    fetch_first(cache, cache.values, kvHeads, first, first + keys);
    for (uint32_t h = 0; h < heads; h++)
      weigh(scores + h * RowTileKeys, keys, queries.softCap, &maxima[h], &totals[h], sums + h * stride, stride);
    for (uint32_t k = 0; k < keys; k += RowStagedKeys) {
      const uint32_t count = keys - k < RowStagedKeys ? keys - k : RowStagedKeys;
      for (uint32_t h = 0; h < kvHeads; h++) {
        stage(cache, cache.values + h * cache.headBytes, first + k, count, first + keys, tile);
        add_values(sharing, scores + h * sharing * RowTileKeys + k, tile, stride, count, sums + h * sharing * stride);
      }
    }
  }
  float *out = queries.out + row * queries.outRowFloats + uint64_t(firstHead) * queries.outHeadFloats;
  for (uint32_t h = 0; h < heads; h++)
    write_sums(queries, out + uint64_t(h) * queries.outHeadFloats, sums + h * stride, headDim, maxima[h], totals[h]);
}

/** As attend_heads, of all heads of `kvHeads` key heads, any number. */
static void attend_row(const Queries &queries, const CacheHead &cache, Stage stage, uint32_t row, uint32_t kvHeads,
                       uint32_t begin, uint32_t end, float *memory) {
  CacheHead head = cache;
  if (kvHeads * queries.heads <= RowHeads) {
    attend_heads(queries, head, stage, row, 0, kvHeads, queries.heads, begin, end, memory);
    return;
  }
  for (uint32_t h = 0; h < kvHeads; h++, head.keys += head.headBytes, head.values += head.headBytes)
    for (uint32_t done = 0; done < queries.heads; done += RowHeads) {
      const uint32_t left = queries.heads - done, count = left < RowHeads ? left : uint32_t(RowHeads);
      attend_heads(queries, head, stage, row, h * queries.heads + done, 1, count, begin, end, memory);
    }
}

/*
 * matmul_panel.h: a tile of a quantised weight matrix as whole numbers, the same for all types. Part of matmul.h.
 *
 * A panel has PanelRows weight rows by SliceLength elements of k. A lane is a weight row: a vector has two elements of each
 * of `Lanes` rows, so that one instruction adds two products to the sum of each row. Making a panel costs as much as a few
 * rows of activations; it is used for all of them.
 *
 * The elements of four consecutive k are two vectors, (0, 2) and (1, 3): so they come out of the bytes of a word by shifts.
 * Activations are in that order, too (matmul_activations.h).
 *
 * That is of numbers of 16 bits. Where there are products of bytes (matmul_bytes.h) the numbers have 8, and the elements of
 * four consecutive k are one vector.
 */
enum : uint32_t {
  SliceLength = 256, // a block of the types with blocks of 256
  SliceBlocks = SliceLength / ActivationBlock,
  PanelVectors = 2,
  PanelRows = PanelVectors * Lanes,
};

#ifdef NATIVE_DOTPROD
constexpr bool havePanelsBytes = true;
typedef Bytes PanelVector;
#else
constexpr bool havePanelsBytes = false;
typedef Shorts PanelVector;
#endif
constexpr uint32_t VectorElements = havePanelsBytes ? 4 : 2; // of each row

/** Of a row: sum over k of x[k] weights[k] scales[k / 32 or 16] + sum over k of x[k] minimums[k / 32 or 16]. */
struct Panel {
  PanelVector weights[SliceLength / VectorElements][PanelVectors];
  Floats scales[2 * SliceBlocks][PanelVectors]; // or [0] alone, of the whole slice
  Floats minimums[2 * SliceBlocks][PanelVectors];
};

/** What has to be configured before a kind of product is made: nothing. */
struct OrdinaryRegisters {};

/** Where `Lanes` weight rows are. */
struct LaneRows {
  const uint8_t *rows[Lanes];
};

template <typename T, T... I> struct Sequence {};
template <uint32_t Count> using Indices = __make_integer_seq<Sequence, int, Count>;

// ---- words of rows -------------------------------------------------------------------------------------------------

typedef int32_t Quad __attribute__((vector_size(16)));

INLINE Quad quad_at(const LaneRows &rows, uint32_t lane, uint64_t at) { return load<Quad>(rows.rows[lane] + at); }

/** 16 bytes each of the rows `first`, `first` + 4, ... */
INLINE Ints every_fourth(const LaneRows &rows, uint32_t first, uint64_t at) {
  const Quad a = quad_at(rows, first, at);
#if NATIVE_LANES == 4
  return a;
#else
  const auto low = __builtin_shufflevector(a, quad_at(rows, first + 4, at), 0, 1, 2, 3, 4, 5, 6, 7);
#if NATIVE_LANES == 8
  return low;
#else
  const auto high = __builtin_shufflevector(quad_at(rows, first + 8, at), quad_at(rows, first + 12, at), 0, 1, 2, 3, 4, 5, 6, 7);
  return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
#endif
#endif
}

/** Within each four lanes: a0 b0 a1 b1, or with Half = 1, a2 b2 a3 b3. */
template <int Half, int... I> INLINE Ints zip_words(Ints a, Ints b, Sequence<int, I...>) {
  return __builtin_shufflevector(a, b, ((I & ~3) + I % 4 / 2 + 2 * Half + I % 2 * NATIVE_LANES)...);
}
/** Within each four lanes: a0 a1 b0 b1, or with Half = 1, a2 a3 b2 b3. */
template <int Half, int... I> INLINE Ints zip_pairs(Ints a, Ints b, Sequence<int, I...>) {
  return __builtin_shufflevector(a, b, ((I & ~3) + I % 2 + 2 * Half + I % 4 / 2 * NATIVE_LANES)...);
}

/** The four words at `at`: of each row a lane. */
INLINE void load_words(const LaneRows &rows, uint64_t at, Ints *words) {
  const Indices<Lanes> indices = {};
  const Ints a = every_fourth(rows, 0, at), b = every_fourth(rows, 1, at);
  const Ints c = every_fourth(rows, 2, at), d = every_fourth(rows, 3, at);
  const Ints ab = zip_words<0>(a, b, indices), cd = zip_words<0>(c, d, indices);
  words[0] = zip_pairs<0>(ab, cd, indices);
  words[1] = zip_pairs<1>(ab, cd, indices);
  const Ints ab2 = zip_words<1>(a, b, indices), cd2 = zip_words<1>(c, d, indices);
  words[2] = zip_pairs<0>(ab2, cd2, indices);
  words[3] = zip_pairs<1>(ab2, cd2, indices);
}

/** One T of each row. */
template <typename T, typename V> INLINE V load_each(const LaneRows &rows, uint64_t at) {
  T each[Lanes];
  for (uint32_t i = 0; i < Lanes; i++) __builtin_memcpy(&each[i], rows.rows[i] + at, sizeof(T));
  return load<V>(each);
}
INLINE Ints load_word(const LaneRows &rows, uint64_t at) { return load_each<int32_t, Ints>(rows, at); }

INLINE Floats load_half(const LaneRows &rows, uint64_t at) {
  const HalfUshorts bits = load_each<uint16_t, HalfUshorts>(rows, at);
  return load_f16(&bits);
}
/** The halves in the lower, or with `shift` 16 in the upper, parts of words. */
INLINE Floats half_of(Ints words, uint32_t shift) {
  const HalfUshorts bits = __builtin_convertvector(words >> shift, HalfUshorts);
  return load_f16(&bits);
}
INLINE Floats floats_of(Ints v) { return __builtin_convertvector(v, Floats); }

// ---- quants of words -----------------------------------------------------------------------------------------------

/** A number of each row, for both of its elements. */
INLINE Shorts pairs_of(Ints v) { return (Shorts)((v & 0xffff) | v << 16); }

/** Vectors of products by instructions want the two elements of a row side by side; other ones, all first ones first. */
INLINE Shorts arranged(Shorts v) {
#ifdef __x86_64__
  return v;
#else
  return __builtin_shufflevector(v, v, 0, 2, 4, 6, 1, 3, 5, 7);
#endif
}

/** Bits shift .. of the bytes 0 and 2 of words, as numbers of 16 bits; of 1 and 3, with `shift` 8 more. */
INLINE Shorts bits_of(Ints words, int shift, int mask) { return (Shorts)((words >> shift) & mask * 0x10001); }

/** The place of the elements of a vector among the weights of its rows. */
struct PanelWriter {
  PanelVector *weights; // of the first element

#ifdef NATIVE_DOTPROD
  METHOD void put(uint32_t group, Shorts even, Shorts odd) const { put_bytes(group, (Ints)((even & 255) | odd << 8)); }
  METHOD void put_bytes(uint32_t group, Ints words) const { weights[group * PanelVectors] = (Bytes)words; }
#else
  /** The elements 4 group and + 2, and + 1 and + 3, of each row. */
  METHOD void put(uint32_t group, Shorts even, Shorts odd) const {
    weights[2 * group * PanelVectors] = arranged(even);
    weights[(2 * group + 1) * PanelVectors] = arranged(odd);
  }
  /** Four signed bytes of each row, elements 4 group .. */
  METHOD void put_bytes(uint32_t group, Ints words) const { put(group, ((Shorts)words << 8) >> 8, (Shorts)words >> 8); }
#endif
};

/** Bytes of a table of 16, at the lower halves of bytes. Their upper halves are 0. */
INLINE Ints looked_up(const int8_t *table, Ints indices) {
#if defined(NATIVE_AVX512VNNI)
  return (Ints)_mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)table)), (__m512i)indices);
#elif defined(NATIVE_AVX2)
  return (Ints)_mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)table)), (__m256i)indices);
#elif defined(__x86_64__)
  return (Ints)_mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)table), (__m128i)indices);
#elif defined(NATIVE_NEON)
  return (Ints)vqtbl1q_s8(vld1q_s8(table), (uint8x16_t)indices);
#else
  Bytes bytes = (Bytes)indices;
  for (uint32_t i = 0; i < 4 * Lanes; i++) bytes[i] = table[bytes[i]];
  return (Ints)bytes;
#endif
}

/** The panel of `count` elements from `start` on, of a quantised type. */
template <typename Type> INLINE void fill_panel(const LaneRows *rows, uint64_t start, uint32_t count, Panel *panel) {
  for (uint32_t v = 0; v < PanelVectors; v++)
    for (uint32_t i = 0; i < count; i += Type::elements)
      Type::expand(rows[v], (start + i) / Type::elements * Type::bytes, {&panel->weights[i / VectorElements][v]},
                   &panel->scales[i / 32][v], &panel->minimums[i / 32][v]);
}

/*
 * product.h: what a product is, how it is cut into pieces, and how they are run. Part of level.h.
 *
 * A piece is some outputs of some rows of activations: `RowsAtOnce` of these, for which a thread reads the weights once from
 * memory. It is short, so that many threads can share out a small matrix; pieces beside each other are run as one. What a
 * thread has made of the activations it keeps for the next piece and for the next product of the same ones.
 *
 * Of the outputs that a thread makes of a row, it makes two at once, the first ones of both halves: so it reads memory in two places,
 * and in each from front to end, which processors foresee better than rows in turn.
 */

/** What a dispatch binds. */
struct Product {
  const uint8_t *w; // [n, k], or [experts, n, k]
  const float *x;   // [rows, k], or [rows / share, k]
  float *out;       // [rows, n]
  uint64_t rows;
  uint32_t n, k;
  const uint32_t *ids; // [rows], of experts; NULL without
  uint32_t experts, share;
  const float *norm;     // [k]: x is normalised and multiplied with it first; NULL without
  float eps;             // of that
  const uint8_t *second; // [n, k]: its outputs are multiplied with an activation of those of w; NULL without
  bool isGelu;           // which one
  const float *residual; // [rows, n]: is added, and may be `out`; NULL without
};

enum : uint32_t {
  RowsAtOnce = 8,
  PieceBytes = 4096,     // of weights
  StretchBytes = 32768, // that are run as one for several rows: they stay in a cache for all of them
  MostThreadBytes = 1u << 26
};

template <typename W> constexpr bool isFloat = W::Elements == 1;

/** How a product is cut. */
struct Cut {
  uint32_t rows, outputs; // of a piece
  uint64_t piecesAlong;   // the outputs
  uint64_t stretch;       // pieces that are run as one, at most
  uint64_t rowBytes;      // of weights
  uint64_t activationBytes; // of a row, as multiply() takes it
};

template <typename W> static Cut cut_of(const Product &p) {
  Cut cut;
  cut.rowBytes = uint64_t(p.k / W::Elements) * W::Bytes;
  const bool isSingle = p.ids || p.norm || p.second || p.residual;
  cut.rows = isSingle ? 1 : p.rows < RowsAtOnce ? uint32_t(p.rows) : uint32_t(RowsAtOnce);
  const uint64_t outputs = PieceBytes / (cut.rowBytes ? cut.rowBytes : 1) & ~uint64_t(1);
  cut.outputs = outputs < 2 ? 2 : outputs > p.n ? p.n : uint32_t(outputs);
  cut.piecesAlong = (p.n + uint64_t(cut.outputs) - 1) / cut.outputs;
  const uint64_t bytes = cut.outputs * cut.rowBytes;
  cut.stretch = cut.rows == 1 ? cut.piecesAlong : bytes > 0 && bytes < StretchBytes ? StretchBytes / bytes : 1;
  const uint64_t groups = (uint64_t(p.k) + GroupElements - 1) / GroupElements;
  cut.activationBytes = isFloat<W> ? (4 * uint64_t(p.k) + 63) / 64 * 64 : groups * sizeof(ActivationGroup);
  return cut;
}

// ---- activations ---------------------------------------------------------------------------------------------------

/** What a thread's memory holds, where content[1] is its `Kind` and content[0] the group in which it is true. */
struct alignas(64) Prepared {
  enum : uint64_t { Kind = 0x73746361 };
  const float *x, *norm;
  uint32_t n, rows;
  float eps;
  uint32_t isFloat;
};

/** Bytes of a thread for that, the activations behind it, and a row of floats on the way to them. */
template <typename W> static uint64_t prepared_bytes(const Product &p, const Cut &cut) {
  if (isFloat<W> && !p.norm) return 0;
  return sizeof(Prepared) + cut.rows * cut.activationBytes + (p.norm && !isFloat<W> ? 4 * uint64_t(p.k) : 0);
}

/** `rows` rows from `x` on, as multiply() takes them, from the thread's memory if they are there. */
template <typename W> static const void *activations_of(const NativeRun *run, const Product &p, const Cut &cut, const float *x, uint32_t rows) {
  if (isFloat<W> && !p.norm) return x;
  NativeThread *thread = run->thread;
  auto *prepared = (Prepared *)thread->memory;
  auto *activations = (char *)(prepared + 1);
  const bool isThere = thread->content[0] == run->group && thread->content[1] == Prepared::Kind && prepared->x == x &&
                       prepared->norm == p.norm && prepared->n == p.k && prepared->rows == rows && prepared->eps == p.eps &&
                       prepared->isFloat == isFloat<W>;
  if (isThere) return activations;
  for (uint32_t r = 0; r < rows; r++) {
    const float *row = x + uint64_t(r) * p.k;
    char *place = activations + r * cut.activationBytes;
    if (p.norm) {
      float *normalised = (float *)(isFloat<W> ? place : activations + cut.rows * cut.activationBytes);
      const RmsNormArgs args = {p.k, p.eps};
      normalise(row, nullptr, p.norm, const_cast<float *>(row), normalised, &args);
      row = normalised;
    }
    if (!isFloat<W>) make_activations(row, p.k, (ActivationGroup *)place);
  }
  *prepared = {x, p.norm, p.k, rows, p.eps, isFloat<W>};
  thread->content[0] = run->group;
  thread->content[1] = Prepared::Kind;
  return activations;
}

// ---- pieces --------------------------------------------------------------------------------------------------------

/** Plans a product whose buffers have been checked. */
template <typename W> static bool plan_product(const Product &p, NativePlan *plan) {
  const Cut cut = cut_of<W>(p);
  const uint64_t pieces = product((p.rows + cut.rows - 1) / cut.rows, cut.piecesAlong);
  plan->threadBytes = prepared_bytes<W>(p, cut);
  if (pieces > UINT32_MAX || plan->threadBytes > MostThreadBytes) return false;
  const float outputs = float(cut.outputs) * (p.second ? 2 : 1);
  const float reading = outputs * float(cut.rowBytes) / 12;
  const float perNanosecond = haveBytesSigns && !isFloat<W> ? 16 : float(Lanes);
  const float multiplying = outputs * float(p.k) * float(cut.rows) / perNanosecond;
  plan->phaseCount = 1;
  plan->phases[0] = {uint32_t(pieces), 10 + (reading > multiplying ? reading : multiplying)};
  return true;
}

template <bool isFloat> struct ActivationType { typedef ActivationGroup Type; };
template <> struct ActivationType<true> { typedef float Type; };

/** Rows of activations, M at once, with each of `count` rows of weights from `w` on. */
template <typename W, uint32_t M>
static void multiply_rows(const uint8_t *w, const Cut &cut, uint32_t count, const void *x, uint32_t rows, uint32_t k,
                          float *out, uint64_t stride) {
  // What there is not of R or M is what there is, once more, and its output goes nowhere.
  constexpr uint32_t R = M == 1 ? 2 : 1;
  typedef typename ActivationType<isFloat<W>>::Type Activation;
  float nowhere;
  const Activation *activations[M];
  for (uint32_t m = 0; m < M; m++)
    activations[m] = isFloat<W> ? (const Activation *)((const float *)x + uint64_t(m < rows ? m : rows - 1) * k)
                                : (const Activation *)((const char *)x + (m < rows ? m : rows - 1) * cut.activationBytes);
  const uint32_t each = (count + R - 1) / R;
  for (uint32_t i = 0; i < each; i++) {
    const uint8_t *weights[R];
    float *places[R][M];
    for (uint32_t r = 0; r < R; r++) {
      const uint32_t o = i + r * each;
      weights[r] = w + (o < count ? o : i) * cut.rowBytes;
      for (uint32_t m = 0; m < M; m++) places[r][m] = o < count && m < rows ? out + m * stride + o : &nowhere;
    }
    if (i == 0) ask_for_first(weights, R);
    multiply<W, R, M>(weights, activations, k, places);
  }
}

/** `count` outputs of a row, and what follows. */
template <typename W>
static void run_with_ending(const Product &p, const Cut &cut, const void *x, uint64_t row, uint32_t first, uint32_t count) {
  typedef typename ActivationType<isFloat<W>>::Type Activation;
  enum : uint32_t { AtOnce = 256 };
  const Activation *activations[1] = {(const Activation *)x};
  for (uint32_t start = first; start < first + count; start += AtOnce) {
    alignas(64) float sums[AtOnce] = {}, factors[AtOnce] = {};
    const uint32_t left = first + count - start, outputs = left < AtOnce ? left : uint32_t(AtOnce);
    const uint64_t at = row * p.n + start;
    if (p.second) {
      for (uint32_t o = 0; o < outputs; o++) {
        const uint64_t weights = (start + o) * cut.rowBytes;
        const uint8_t *both[2] = {p.w + weights, p.second + weights};
        float *places[2][1] = {{sums + o}, {factors + o}};
        if (start == first && o == 0) ask_for_first(both, 2);
        multiply<W, 2, 1>(both, activations, p.k, places);
      }
    } else {
      multiply_rows<W, 1>(p.w + start * cut.rowBytes, cut, outputs, x, 1, p.k, sums, 0);
    }
    for (uint32_t o = 0; o < outputs; o += Lanes) {
      Floats v = load_f32(sums + o);
      if (p.second) v = (p.isGelu ? gelu(v) : times_sigmoid(v, v)) * load_f32(factors + o);
      if (p.residual) v += load_f32(p.residual + at + o, outputs - o);
      store_f32(p.out + at + o, v, outputs - o);
    }
  }
}

template <typename W> static void run_product(const Product &p, const NativeRun *run, uint32_t from, uint32_t to) {
  const Cut cut = cut_of<W>(p);
  for (uint64_t piece = from, next; piece < to; piece = next) {
    const uint64_t along = piece % cut.piecesAlong, left = cut.piecesAlong - along;
    next = piece + (left < cut.stretch ? left : cut.stretch);
    if (next > to) next = to;
    const uint64_t row = piece / cut.piecesAlong * cut.rows, output = along * cut.outputs;
    const uint32_t rows = p.rows - row < cut.rows ? uint32_t(p.rows - row) : cut.rows;
    const uint64_t whole = (next - piece) * cut.outputs, last = p.n - output;
    const uint32_t outputs = uint32_t(whole < last ? whole : last);
    const uint64_t xRow = p.ids ? row / p.share : row;
    const auto *x = (const char *)activations_of<W>(run, p, cut, p.x + xRow * p.k, rows);
    if (p.second || p.residual) {
      run_with_ending<W>(p, cut, x, row, uint32_t(output), outputs);
      continue;
    }
    const uint64_t expert = !p.ids ? 0 : p.ids[row] < p.experts ? p.ids[row] : p.experts - 1;
    const uint8_t *w = p.w + (expert * p.n + output) * cut.rowBytes;
    for (uint32_t r = 0; r < rows; r += 4) {
      const uint32_t left = rows - r;
      const void *first = x + r * (isFloat<W> ? 4 * uint64_t(p.k) : cut.activationBytes);
      float *out = p.out + (row + r) * p.n + output;
      if (left == 1) multiply_rows<W, 1>(w, cut, outputs, first, left, p.k, out, p.n);
      else if (left == 2) multiply_rows<W, 2>(w, cut, outputs, first, left, p.k, out, p.n);
      else multiply_rows<W, 4>(w, cut, outputs, first, left, p.k, out, p.n);
    }
  }
}

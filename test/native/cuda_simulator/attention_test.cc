/* Attention of single rows (bridge/linux/cuda/native/attention_row.cu) against float64, in the simulator. */
#include "run.h"

#include "cuda/native/attention_row.cu"

extern "C" CudaNativePlan cudaAttentionPlan;

static const SimulatedKernel kernels[] = {
    SIMULATED(attention_row_32_f16), SIMULATED(attention_row_64_f16),  SIMULATED(attention_row_96_f16),
    SIMULATED(attention_row_128_f16), SIMULATED(attention_row_256_f16), SIMULATED(attention_row_32_f32),
    SIMULATED(attention_row_64_f32), SIMULATED(attention_row_96_f32),  SIMULATED(attention_row_128_f32),
    SIMULATED(attention_row_256_f32)};

static const u32 none = 0xffffffff;

static Random numbers;

static const char *const formats[] = {"f32", "f16"};
static const char *const stores[] = {"kv_store_f32", "kv_store_f16"};
static const char *const attentions[] = {"attention_f32", "attention_f16"};

/* What is computed, and how. */
struct Shape {
  u32 format; // index into formats
  u32 heads, kvHeads, headDim;
  u32 rows, position; // rows are at position, position - 1 ...
  u32 sequences, blockSize, blocksPerSequence;
  u32 window;
  float softCap;
  u32 rotaryDims;
  bool turnsHalves;
  float magnitude;
  u32 splits;
  u32 multiprocessors;
  enum { Nothing, Biases, Norms } before;
};

enum Placement { InPlace, Apart, ResultApart };

/* A step's attention with its memory and its commands. */
struct Step {
  const Shape shape;
  const u32 queries, keys, slotCount;
  SimulatedBuffer<float> query, turnedQuery, key, turnedKey, value, frequencies, partials, out;
  SimulatedBuffer<u32> positions, sequences, tables, slots;
  SimulatedBuffer<u8> keyCache, valueCache;
  SimulatedBuffer<float> rawQuery, rawKey, queryWeights, keyWeights, valueWeights; // of norms, or biases
  RmsNormArgs normArgs;
  RowArgs queryCount, keyCount;
  SimulatedCommand beforeQuery, beforeKey, beforeValue;
  RopeArgs queryArgs, keyArgs;
  RowArgs storeArgs;
  AttentionArgs attentionArgs;
  AttentionReduceArgs reduceArgs;
  SimulatedCommand turnQuery, turnKey, store, attention, reduce;
  Placement placement;

  Step(const Shape &s, Placement placed)
      : shape(s), queries(s.heads * s.headDim), keys(s.kvHeads * s.headDim),
        slotCount(s.sequences * s.blocksPerSequence * s.blockSize), query(s.rows * queries), turnedQuery(queries), key(keys),
        turnedKey(keys), value(keys), frequencies(s.rotaryDims / 2 + 1),
        partials(s.rows * s.heads * s.splits * (s.headDim + 2)),
        out(s.rows * queries), positions(s.rows), sequences(s.rows), tables(s.sequences * s.blocksPerSequence), slots(1),
        keyCache(cacheBytes(s, slotCount)), valueCache(cacheBytes(s, slotCount)),
        rawQuery(queries), rawKey(keys), queryWeights(queries), keyWeights(keys), valueWeights(keys),
        beforeQuery(s.before == Shape::Norms ? "rmsnorm_f32" : "add_bias_f32"),
        beforeKey(s.before == Shape::Norms ? "rmsnorm_f32" : "add_bias_f32"), beforeValue("add_bias_f32"),
        turnQuery(s.turnsHalves ? "rope_half_f32" : "rope_interleaved_f32"),
        turnKey(s.turnsHalves ? "rope_half_f32" : "rope_interleaved_f32"), store(stores[s.format]),
        attention(attentions[s.format]), reduce("attention_reduce"), placement(placed) {
    fill(query, 3.0f), fill(key, 2.0f), fill(value, 1.0f);
    fill(rawQuery, 3.0f), fill(rawKey, 2.0f), fill(queryWeights, 1.0f), fill(keyWeights, 1.0f), fill(valueWeights, 0.5f);
    for (u32 i = 0; i < s.rotaryDims / 2; i++) frequencies[i] = powf(10000.0f, -2.0f * (float)i / (float)s.rotaryDims);
    numbers.order(tables.items, (u32)tables.count);
    for (u32 r = 0; r < s.rows; r++) {
      positions[r] = s.position - r;
      sequences[r] = s.sequences - 1 - r % s.sequences;
    }
    slots[0] = slotOf(sequences[0], positions[0]);
    // What no row sees is NaN: the bytes that memory has at first.
    for (u32 r = 0; r < s.rows; r++)
      for (u32 i = 0; i <= positions[r] && i < s.window; i++) fillSlot(slotOf(sequences[r], positions[r] - i), false);
    command();
  }

  static u64 cacheBytes(const Shape &s, u64 slots) {
    const u64 count = slots * s.kvHeads * s.headDim;
    return count * (s.format == 1 ? 2 : 4);
  }

  void fillSlot(u32 slot, bool isNaN) {
    const u64 bytes = cacheBytes(shape, 1);
    SimulatedBuffer<u8> *const caches[] = {&keyCache, &valueCache};
    for (u32 c = 0; c < 2; c++) {
      u8 *const to = caches[c]->items + slot * bytes;
      memset(to, 0xff, bytes);
      for (u32 i = 0; i < keys && !isNaN; i++) {
        const float x = (c == 0 ? 2.0f : 1.0f) * numbers.number();
        if (shape.format == 0) ((float *)to)[i] = x;
        else ((u16 *)to)[i] = floatToHalf(x);
      }
    }
  }

  static void fill(SimulatedBuffer<float> &buffer, float size) {
    for (u64 i = 0; i < buffer.count; i++) buffer[i] = size * numbers.number();
  }

  u32 slotOf(u32 sequence, u32 position) const {
    return tables[sequence * shape.blocksPerSequence + position / shape.blockSize] * shape.blockSize + position % shape.blockSize;
  }

  void command() {
    const Shape &s = shape;
    const bool isInPlace = placement != Apart;
    const SimulatedBuffer<float> &q = isInPlace ? query : turnedQuery, &k = isInPlace ? key : turnedKey;
    queryArgs = {s.heads, s.headDim, s.rotaryDims, s.magnitude};
    keyArgs = {s.kvHeads, s.headDim, s.rotaryDims, s.magnitude};
    const auto rope = [&](SimulatedCommand &command, const SimulatedBuffer<float> &from, const SimulatedBuffer<float> &to,
                          const RopeArgs &args) {
      command.bind(0, from), command.bind(1, positions), command.bind(2, frequencies), command.bind(3, to);
      command.constant(4, args);
      command.dispatch((args.heads * s.headDim / 2 + 255) / 256 * 256, 1, 1, 256, 1, 1);
    };
    rope(turnQuery, query, q, queryArgs);
    rope(turnKey, key, k, keyArgs);
    normArgs = {s.headDim, 1e-5f};
    queryCount = {queries}, keyCount = {keys};
    const auto before = [&](SimulatedCommand &command, const SimulatedBuffer<float> &from, const SimulatedBuffer<float> &to,
                            const SimulatedBuffer<float> &weights, const RowArgs &n) {
      const bool isNorm = s.before == Shape::Norms;
      command.bind(0, isNorm ? from : to), command.bind(1, weights), command.bind(2, to);
      if (isNorm) command.constant(3, normArgs), command.dispatch(32, n.n / s.headDim, 1, 32, 1, 1);
      else command.constant(3, n), command.dispatch((n.n + 255) / 256 * 256, 1, 1, 256, 1, 1);
    };
    before(beforeQuery, rawQuery, query, queryWeights, queryCount);
    before(beforeKey, rawKey, key, keyWeights, keyCount);
    before(beforeValue, value, value, valueWeights, keyCount);
    storeArgs = {keys};
    store.bind(0, k), store.bind(1, value), store.bind(2, slots);
    attentionArgs = {s.heads, s.kvHeads, s.headDim, s.blockSize, s.blocksPerSequence, 1 / sqrtf((float)s.headDim), s.softCap,
                     s.window, s.splits};
    reduceArgs = {s.heads, s.headDim, s.window, s.splits};
    attention.bind(0, s.rows == 1 ? q : query);
    for (u32 i = 0; i < 2; i++) {
      const u32 from = i + 3, to = i + 1;
      store.bind(from, i ? valueCache : keyCache), attention.bind(to, i ? valueCache : keyCache);
    }
    store.constant(5, storeArgs);
    store.dispatch((keys + 255) / 256 * 256, 1, 1, 256, 1, 1);
    attention.bind(3, positions), attention.bind(4, sequences), attention.bind(5, tables);
    const SimulatedBuffer<float> &result = placement == InPlace ? query : out;
    attention.bind(6, s.splits > 1 ? partials : result);
    attention.constant(7, attentionArgs);
    if (placement != Apart) {
      attention.command.unwritten = 7 << 3;
      store.command.unwritten = turnQuery.command.unwritten = 1 << 2;
    }
    attention.dispatch(32 * s.heads, s.rows, s.splits, 32, 1, 1);
    reduce.bind(0, partials), reduce.bind(1, positions), reduce.bind(2, result);
    reduce.constant(3, reduceArgs);
    reduce.dispatch(32 * s.heads, s.rows, 1, 32, 1, 1);
  }

  /* A head's dimension as it is turned: of a query if `isQuery`. */
  double made(bool isQuery, u32 i) const {
    const u32 headDim = shape.headDim;
    if (shape.before == Shape::Nothing) return (double)(isQuery ? query : key)[i];
    if (shape.before == Shape::Biases)
      return (double)(isQuery ? query : key)[i] + (double)(isQuery ? queryWeights : keyWeights)[i];
    const SimulatedBuffer<float> &from = isQuery ? rawQuery : rawKey;
    double squares = 0;
    for (u32 d = 0; d < headDim; d++) squares += pow((double)from[i / headDim * headDim + d], 2);
    const double weight = (double)(isQuery ? queryWeights : keyWeights)[i % headDim];
    return (double)from[i] / sqrt(squares / headDim + (double)normArgs.eps) * weight;
  }

  /* The commands from the first one that is wanted on: 0 all, 2 the store, 3 attention. */
  u32 run(u32 first) {
    const SimulatedCommand *all[] = {&turnKey, &turnQuery, &store, &attention, &reduce};
    const SimulatedCommand *before[] = {&beforeKey, &beforeQuery, &beforeValue};
    CudaNativeCommand commands[9];
    u32 count = 0;
    for (; first == 0 && count < beforeCount(); count++) commands[count] = before[count]->command;
    for (u32 i = first; i < (shape.splits > 1 ? 5u : 4u); i++) commands[count++] = all[i]->command;
    commands[count++] = turnQuery.command; // of the next layer
    CudaNativeDevice device = simulatedH200;
    device.multiprocessors = shape.multiprocessors;
    return simulatePlan(cudaAttentionPlan, &device, commands, count, kernels, numbers.next());
  }

  u32 beforeCount() const { return shape.before == Shape::Nothing ? 0 : shape.before == Shape::Biases ? 3 : 2; }

  double cached(bool isValue, u32 slot, u32 kvHead, u32 d) const {
    const u64 at = ((u64)slot * shape.kvHeads + kvHead) * shape.headDim + d;
    const u8 *const cache = (isValue ? valueCache : keyCache).items;
    if (shape.format == 0) return (double)((const float *)cache)[at];
    return (double)halfToFloat(((const u16 *)cache)[at]);
  }
  /* Whether a stored number is what `from` [keys] has there. */
  bool isStored(double stored, const float *from, u32 i) const {
    if (shape.format == 0) return stored == (double)from[i];
    return stored == (double)halfToFloat(floatToHalf(from[i]));
  }

  /* A number of the query or the key, turned. */
  double turned(bool isQuery, u32 i) const {
    const u32 half = shape.rotaryDims / 2, d = i % shape.headDim, head = i - d;
    if (d >= shape.rotaryDims) return made(isQuery, i);
    const u32 pair = shape.turnsHalves ? d % half : d / 2;
    const bool isSecond = shape.turnsHalves ? d >= half : d % 2 == 1;
    const u32 a = shape.turnsHalves ? pair : 2 * pair, b = shape.turnsHalves ? pair + half : 2 * pair + 1;
    const double angle = (double)((float)positions[0] * frequencies[pair]);
    const double c = (double)shape.magnitude * cos(angle), s = (double)shape.magnitude * sin(angle);
    const double x = made(isQuery, head + a), y = made(isQuery, head + b);
    return isSecond ? x * s + y * c : x * c - y * s;
  }

  /* The largest difference of a row's result from float64, of `wanted` queries [heads, headDim] over the cache as it is now. */
  double difference(u32 row, const SimulatedBuffer<double> &wanted, const float *result) const {
    const u32 headDim = shape.headDim, end = positions[row] + 1, begin = end - (end < shape.window ? end : shape.window);
    double worst = 0;
    SimulatedBuffer<double> weights(end - begin);
    for (u32 h = 0; h < shape.heads; h++) {
      const u32 kvHead = h / (shape.heads / shape.kvHeads);
      double highest = -1e300, total = 0;
      for (u32 p = begin; p < end; p++) {
        const u32 slot = slotOf(sequences[row], p);
        double score = 0;
        for (u32 d = 0; d < headDim; d++) score += wanted[h * headDim + d] * cached(false, slot, kvHead, d);
        score /= sqrt((double)headDim);
        const double cap = (double)shape.softCap;
        if (cap > 0) score = cap * tanh(score / cap);
        weights[p - begin] = score;
        if (score > highest) highest = score;
      }
      for (u32 p = begin; p < end; p++) total += weights[p - begin] = exp(weights[p - begin] - highest);
      for (u32 d = 0; d < headDim; d++) {
        double sum = 0;
        for (u32 p = begin; p < end; p++) sum += weights[p - begin] * cached(true, slotOf(sequences[row], p), kvHead, d);
        const double error = fabs(sum / total - (double)result[h * headDim + d]);
        if (!(error <= worst)) worst = error;
      }
    }
    return worst;
  }
};

/* ---- cases ---------------------------------------------------------------------------------------------------------------- */

static const double bound = 4e-6; // values are below 1

static const Shape shapes[] = {
    // format, heads, key heads, head, rows, position, sequences, block, blocks, window, cap, rotary, halves, magnitude, splits,
    // processors, what comes before
    {1, 8, 2, 64, 1, 611, 1, 32, 20, none, 0, 64, false, 1, 16, 132, Shape::Nothing},
    {0, 8, 2, 64, 1, 611, 1, 32, 20, none, 0, 64, true, 1, 16, 132, Shape::Nothing},
    {1, 4, 1, 128, 1, 300, 2, 16, 24, 130, 5, 96, true, 1.25f, 3, 20, Shape::Nothing},
    {0, 5, 1, 128, 1, 140, 2, 5, 40, 77, 5, 128, false, 0.5f, 2, 20, Shape::Nothing},
    {1, 2, 2, 96, 1, 70, 1, 7, 30, none, 0, 96, true, 1, 2, 3, Shape::Nothing},
    {0, 2, 2, 96, 1, 70, 1, 8, 30, none, 0, 64, true, 1, 2, 3, Shape::Nothing},
    {1, 2, 1, 256, 1, 130, 1, 32, 8, 40, 1e30f, 256, false, 1, 2, 6, Shape::Nothing},
    {0, 2, 1, 256, 1, 99, 1, 32, 8, none, 20, 256, true, 1, 2, 6, Shape::Nothing},
    {1, 3, 1, 32, 1, 0, 1, 4, 8, none, 0, 32, true, 1, 1, 132, Shape::Nothing},
    {0, 3, 3, 32, 1, 65, 1, 64, 2, none, 0, 0, false, 1, 1, 132, Shape::Nothing},
    {1, 12, 1, 64, 1, 200, 1, 32, 8, none, 0, 64, false, 1, 4, 9, Shape::Nothing},
    {1, 2, 2, 64, 1, 700, 1, 32, 24, none, 0, 64, false, 1, 1, 1, Shape::Nothing}, // several steps of each warp
    {0, 2, 2, 64, 1, 1000, 1, 32, 32, none, 0, 64, false, 1, 1, 1, Shape::Nothing},
    {1, 2, 1, 64, 1, 40000, 1, 40, 1001, 33, 0, 64, true, 1, 64, 132, Shape::Nothing},
    {1, 8, 1, 64, 1, 2100, 1, 32, 80, none, 0, 64, false, 1, 16, 132, Shape::Nothing}, // many blocks, as many as they like
    {0, 7, 1, 64, 1, 1500, 1, 32, 50, none, 0, 64, false, 1, 16, 20, Shape::Nothing}, // and fewer
    {1, 8, 1, 128, 1, 512, 1, 32, 17, none, 0, 128, true, 1, 16, 132, Shape::Nothing}, // one key more than one block takes
    {1, 8, 1, 128, 1, 511, 1, 32, 17, none, 0, 128, true, 1, 16, 132, Shape::Nothing},
    {0, 4, 1, 128, 1, 800, 1, 32, 40, 600, 0, 128, false, 1, 16, 20, Shape::Nothing},
    {1, 6, 2, 64, 1, 150, 1, 32, 8, none, 0, 64, true, 1, 4, 20, Shape::Biases},
    {1, 6, 2, 64, 1, 700, 1, 32, 22, none, 0, 64, true, 1, 4, 20, Shape::Biases},
    {0, 4, 2, 96, 1, 150, 1, 32, 8, none, 0, 64, true, 1, 4, 20, Shape::Norms},
    {1, 4, 1, 128, 1, 650, 1, 32, 21, none, 0, 128, true, 1, 4, 20, Shape::Norms},
};

static void computesWholeSteps() {
  for (const Shape &shape : shapes) {
    for (u32 placed = InPlace; placed <= ResultApart; placed++) {
      if (placed == ResultApart && shape.heads / shape.kvHeads > AttentionRowQueries) continue;
      if (placed == Apart && (shape.heads / shape.kvHeads > AttentionRowQueries || shape.before != Shape::Nothing)) continue;
      Step step(shape, (Placement)placed);
      SimulatedBuffer<double> wanted(step.queries), wantedKey(step.keys);
      SimulatedBuffer<float> values(step.keys);
      for (u32 i = 0; i < step.queries; i++) wanted[i] = step.turned(true, i);
      for (u32 i = 0; i < step.keys; i++) {
        wantedKey[i] = step.turned(false, i);
        values[i] = step.value[i] + (shape.before == Shape::Biases ? step.valueWeights[i] : 0.0f);
      }
      step.fillSlot(step.slots[0], true);
      CHECK_NUMBER(step.run(0), step.beforeCount() + (shape.splits > 1 ? 5 : 4));
      const bool isApart = placed == Apart;
      for (u32 i = 0; i < step.queries && placed != InPlace; i++)
        CHECK(fabs((double)(isApart ? step.turnedQuery : step.query)[i] - wanted[i]) < 1e-6 * (3 + fabs(wanted[i])));
      for (u32 i = 0; i < step.keys; i++) {
        const float key = (isApart ? step.turnedKey : step.key)[i];
        CHECK(fabs((double)key - wantedKey[i]) < 1e-6 * (2 + fabs(wantedKey[i])));
        const double stored = step.cached(false, step.slots[0], 0, i), storedValue = step.cached(true, step.slots[0], 0, i);
        CHECK(step.isStored(stored, (isApart ? step.turnedKey : step.key).items, i));
        if (shape.before == Shape::Biases) CHECK_NUMBER(step.value[i], values[i]);
        CHECK(step.isStored(storedValue, values.items, i));
      }
      const double error = step.difference(0, wanted, (placed == InPlace ? step.query : step.out).items);
      if (!(error < bound)) printf("heads of %u, %s, placed %u: %g\n", shape.headDim, formats[shape.format], placed, error);
      CHECK(error < bound);
    }
  }
}

/* Attention by itself, of one row or several; and with the store before it. */
static void computesParts() {
  const Shape several = {1, 12, 2, 64, 3, 150, 2, 16, 12, none, 0, 64, true, 1, 2, 40, Shape::Nothing};
  Step rows(several, ResultApart);
  CHECK_NUMBER(rows.run(3), 2);
  SimulatedBuffer<double> wanted(rows.queries);
  for (u32 r = 0; r < several.rows; r++) {
    for (u32 i = 0; i < rows.queries; i++) wanted[i] = (double)rows.query[r * rows.queries + i];
    CHECK(rows.difference(r, wanted, &rows.out[r * rows.queries]) < bound);
  }
  const Shape single = {0, 6, 2, 64, 1, 130, 1, 16, 12, 100, 0, 64, true, 1, 1, 40, Shape::Nothing};
  for (u32 where = 0; where < 3; where++) { // of its position, of an earlier one that is seen, and skipped
    Step step(single, ResultApart);
    if (where > 0) step.slots[0] = where == 1 ? step.slotOf(0, 57) : none;
    SimulatedBuffer<double> before(step.keys);
    const u32 last = step.slotOf(0, single.position);
    for (u32 i = 0; i < step.keys; i++) before[i] = step.cached(false, last, 0, i);
    if (where < 2) step.fillSlot(step.slots[0], true);
    CHECK_NUMBER(step.run(2), 2);
    for (u32 i = 0; i < step.queries; i++) wanted[i] = (double)step.query[i];
    CHECK(step.difference(0, wanted, step.out.items) < bound);
    for (u32 i = 0; i < step.keys; i++) {
      if (where < 2) CHECK_NUMBER(step.cached(false, step.slots[0], 0, i), step.key[i]);
      if (where > 0) CHECK_NUMBER(step.cached(false, last, 0, i), before[i]);
    }
  }
}

/* Numbers as large as floats can be, infinities and NaN stay what they are, and where they are. */
static void keepsExtremes() {
  for (u32 format = 0; format < 2; format++) {
    const Shape shape = {format, 4, 2, 64, 1, 90, 1, 32, 8, none, 0, 64, false, 1, 2, 132, Shape::Nothing};
    Step step(shape, ResultApart);
    for (u32 i = 0; i < 64; i++) step.query[i] *= i % 2 ? 0x1p-100f : 0x1p-120f; // all keys are the same to it
    for (u32 i = 64; i < 128; i++) step.query[i] *= 0x1p20f;                     // one key is all
    step.query[128] = __builtin_nanf("");
    step.query[192] = __builtin_inff();
    SimulatedBuffer<double> wanted(step.queries);
    for (u32 i = 0; i < step.queries; i++) wanted[i] = (double)step.query[i];
    CHECK_NUMBER(step.run(3), 2);
    for (u32 i = 128; i < 256; i++) CHECK(step.out[i] != step.out[i]);
    for (u32 i = 128; i < 256; i++) step.out[i] = 0, wanted[i] = 0;
    for (u32 d = 0; d < 64; d++) { // heads without queries: the mean of all values
      double mean = 0;
      for (u32 p = 0; p <= shape.position; p++) mean += step.cached(true, step.slotOf(0, p), 1, d);
      step.out[128 + d] = step.out[192 + d] = (float)(mean / (shape.position + 1));
    }
    CHECK(step.difference(0, wanted, step.out.items) < bound);
  }
}

/* Memory that is shared in a way that blocks cannot keep apart, and commands that are not what they seem. */
static void declines() {
  const Shape shape = {1, 4, 2, 64, 1, 20, 1, 32, 8, none, 0, 64, false, 1, 2, 132, Shape::Nothing};
  const auto takes = [&](u32 first, void (*change)(Step &)) {
    Step step(shape, ResultApart);
    change(step);
    return step.run(first);
  };
  const auto takesAll = [&](auto before, void (*change)(Step &)) {
    Shape other = shape;
    other.before = before;
    Step step(other, ResultApart);
    change(step);
    return step.run(0);
  };
  CHECK_NUMBER(takes(0, [](Step &) {}), 5);
  CHECK_NUMBER(takesAll(Shape::Biases, [](Step &) {}), 8);
  CHECK_NUMBER(takesAll(Shape::Biases, [](Step &s) { s.beforeKey.bind(0, s.rawKey); }), 0); // not in place
  CHECK_NUMBER(takesAll(Shape::Biases, [](Step &s) { s.keyCount.n--; }), 0);
  CHECK_NUMBER(takesAll(Shape::Norms, [](Step &s) { s.beforeQuery.bind(2, s.out); }), 0); // of something else
  CHECK_NUMBER(takesAll(Shape::Norms, [](Step &s) { s.normArgs.n = 32; }), 0);
  CHECK_NUMBER(takes(1, [](Step &) {}), 0); // a turn without the other one
  CHECK_NUMBER(takes(4, [](Step &) {}), 0);
  // A result over the values, which another head may still read.
  CHECK_NUMBER(takes(0, [](Step &s) { s.reduce.bind(2, s.value); }), 0);
  CHECK_NUMBER(takes(0, [](Step &s) { s.reduce.command.buffers[2] = s.store.command.buffers[1] - 512; }), 0);
  // A query that is turned to a place next to its own.
  CHECK_NUMBER(takes(0, [](Step &s) {
                 s.turnQuery.command.buffers[3] -= 64;
                 s.attention.command.buffers[0] -= 64;
                 s.turnQuery.command.bufferLengths[3] = s.attention.command.bufferLengths[0] = 1 << 20;
               }),
               0);
  CHECK_NUMBER(takes(0, [](Step &s) { s.attention.bind(3, s.sequences); }), 0); // other positions than those it was turned by
  CHECK_NUMBER(takes(0, [](Step &s) { s.keyArgs.rotaryDims = 62; }), 0);
  CHECK_NUMBER(takes(0, [](Step &s) { s.keyArgs.magnitude = 2; }), 0);
  CHECK_NUMBER(takes(0, [](Step &s) { s.store.bind(3, s.valueCache); }), 0);
  CHECK_NUMBER(takes(0, [](Step &s) { s.reduceArgs.window = 7; }), 0);
  CHECK_NUMBER(takes(3, [](Step &s) { s.attentionArgs.headDim = 48; }), 0);
  CHECK_NUMBER(takes(3, [](Step &s) { s.attentionArgs.kvHeads = 0; }), 0);
  CHECK_NUMBER(takes(3, [](Step &s) { s.attentionArgs.heads = 5; }), 0);
  CHECK_NUMBER(takes(3, [](Step &s) { s.attention.command.constants[7] = NULL; }), 0);
  CHECK_NUMBER(takes(3, [](Step &s) { s.attention.command.bufferLengths[0] = 4; }), 0);
  CHECK_NUMBER(takes(3, [](Step &s) { s.attention.command.buffers[1] += 2; }), 0);
  CHECK_NUMBER(takes(3, [](Step &s) { s.attention.command.threads[1] = 9; }), 0);
}

int main(int count, char **arguments) {
  numbers.state = seedOf(count, arguments, 6);
  RUN_CASE(computesWholeSteps);
  RUN_CASE(computesParts);
  RUN_CASE(keepsExtremes);
  RUN_CASE(declines);
  return finishCases();
}

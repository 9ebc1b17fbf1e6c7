/* Normalisation, activation, and the turning and storing of keys, of many rows on CUDA devices: plans and kernels, against
 * float64. */
#include "run.h"

#include "cuda/native/activation.cu"
#include "cuda/native/norm.cu"
#include "cuda/native/rope_store.cu"

#include <time.h>

extern "C" CudaNativePlan cudaActivationPlan, cudaNormPlan, cudaRopeStorePlan;

#define SIMULATED_NORM(threads, fours) SIMULATED(norm_rows_##threads##_##fours),
#define SIMULATED_STORE(layout, type) SIMULATED(rope_store_##layout##_##type),
static const SimulatedKernel kernels[] = {SIMULATED(activation_silu_mul), SIMULATED(activation_gelu_mul),
                                          NORM_KERNELS(SIMULATED_NORM) ROPE_STORE_KERNELS(SIMULATED_STORE)};

static Random numbers;

static void normalises() {
  for (u32 n : (const u32[]){4, 128, 132, 516, 1024, 1028, 2048, 2304, 8192})
    for (u32 adds = 0; adds < 2; adds++) {
      const u32 rows = n <= 512 ? 11 : 3;
      SimulatedBuffer<float> x((u64)rows * n), added(x.count), weight(n), sum(x.count), out(x.count);
      for (u64 i = 0; i < x.count; i++) x[i] = numbers.number() * 3, added[i] = numbers.number();
      for (u32 i = 0; i < n; i++) weight[i] = numbers.number();
      x[0] = INFINITY; /* its row is 0 and NaN, as with fast math everywhere */
      const RmsNormArgs arguments = {n, 1e-5f};
      SimulatedCommand command(adds ? "add_rmsnorm_f32" : "rmsnorm_f32");
      u32 at = 0;
      command.bind(at++, x);
      if (adds) command.bind(at++, added);
      command.bind(at++, weight);
      if (adds) command.bind(at++, sum);
      command.bind(at++, out);
      command.constant(at, arguments);
      command.dispatch(256, rows, 1, 256, 1, 1);
      command.command.unwritten = numbers.next();
      CHECK_NUMBER(simulatePlan(cudaNormPlan, &simulatedH200, &command.command, 1, kernels, numbers.next()), 1);
      CHECK(isnan(out[0]));
      for (u32 r = 0; r < rows; r++) {
        double squares = 0;
        for (u32 i = 0; i < n; i++) {
          const u64 j = (u64)r * n + i;
          const double value = (double)(x[j] + (adds ? added[j] : 0));
          squares += value * value;
          if (adds) CHECK_NUMBER(sum[j], value);
        }
        const double scale = 1 / sqrt(squares / n + (double)1e-5f);
        for (u32 i = 0; r > 0 && i < n; i++) {
          const u64 j = (u64)r * n + i;
          const double wanted = (double)(x[j] + (adds ? added[j] : 0)) * scale * (double)weight[i];
          CHECK(fabs((double)out[j] - wanted) <= 1e-6 * fabs(wanted));
        }
      }
    }
}

static void declinesRows() {
  SimulatedBuffer<float> x(64), out(64), weight(64);
  const RmsNormArgs odd = {6, 1e-5f}, whole = {8, 1e-5f};
  SimulatedCommand command("rmsnorm_f32");
  command.bind(0, x), command.bind(1, weight), command.bind(2, out);
  command.dispatch(32, 4, 1, 32, 1, 1);
  command.constant(3, odd);
  CHECK_NUMBER(simulatePlan(cudaNormPlan, &simulatedH200, &command.command, 1, kernels, 1), 0);
  command.constant(3, whole);
  command.bind(0, x, 1); /* not aligned */
  CHECK_NUMBER(simulatePlan(cudaNormPlan, &simulatedH200, &command.command, 1, kernels, 1), 0);
  /* Room for three rows of four, in each of the buffers that have rows; the weights have one. */
  command.bind(0, x), command.bind(1, weight, 56);
  CHECK_NUMBER(simulatePlan(cudaNormPlan, &simulatedH200, &command.command, 1, kernels, 1), 1);
  command.bind(1, weight, 60);
  CHECK_NUMBER(simulatePlan(cudaNormPlan, &simulatedH200, &command.command, 1, kernels, 1), 0);
  SimulatedBuffer<float> sum(64);
  SimulatedCommand adding("add_rmsnorm_f32");
  adding.dispatch(32, 4, 1, 32, 1, 1);
  adding.constant(5, whole);
  const auto bindAll = [&] {
    adding.bind(0, x), adding.bind(1, weight), adding.bind(2, weight), adding.bind(3, sum), adding.bind(4, out);
  };
  for (u32 index : (const u32[]){0, 1, 3, 4}) {
    bindAll();
    adding.command.bufferLengths[index] = 3 * 8 * sizeof(float);
    CHECK_NUMBER(simulatePlan(cudaNormPlan, &simulatedH200, &adding.command, 1, kernels, 1), 0);
  }
  bindAll();
  CHECK_NUMBER(simulatePlan(cudaNormPlan, &simulatedH200, &adding.command, 1, kernels, 1), 1);
}

static double activated(double x, bool isSilu) {
  if (isSilu) return x / (1 + exp(-x));
  return x / 2 * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

static void activates() {
  for (u32 isSilu = 0; isSilu < 2; isSilu++)
    for (u32 inPlace = 0; inPlace < 2; inPlace++) {
      const u32 n = 1236, rows = 5; /* the last block is not whole */
      SimulatedBuffer<float> gate(rows * n), up(rows * n), other(rows * n);
      SimulatedBuffer<double> wanted(rows * n);
      for (u64 i = 0; i < gate.count; i++) gate[i] = numbers.number() * (i % 7 == 0 ? 200 : 6), up[i] = numbers.number();
      gate[3] = INFINITY, gate[4] = NAN;
      for (u64 i = 0; i < gate.count; i++) wanted[i] = activated((double)gate[i], isSilu) * (double)up[i];
      const RowArgs arguments = {n};
      SimulatedBuffer<float> &out = inPlace ? gate : other;
      SimulatedCommand command(isSilu ? "silu_mul_f32" : "gelu_mul_f32");
      command.bind(0, gate), command.bind(1, up), command.bind(2, out), command.constant(3, arguments);
      command.dispatch((n + 255) / 256 * 256, rows, 1, 256, 1, 1);
      CHECK_NUMBER(simulatePlan(cudaActivationPlan, &simulatedH200, &command.command, 1, kernels, numbers.next()), 1);
      CHECK(isinf(out[3]));
      CHECK(isnan(out[4]));
      for (u64 i = 5; i < gate.count; i++) CHECK(fabs((double)out[i] - wanted[i]) <= 1e-5 * fabs(wanted[i]) + 1e-7);
      command.bind(0, up, 4);
      command.command.buffers[2] = command.command.buffers[0] + 16; /* what one thread writes, another one reads */
      CHECK_NUMBER(simulatePlan(cudaActivationPlan, &simulatedH200, &command.command, 1, kernels, 1), 0);
    }
}

struct Turn {
  bool isHalf;
  u32 type, heads, kvHeads, headDim, rows;
  bool inPlace, keysFirst;
};

/* What is stored of x in row `slot` of a cache, compared with what it means: 127 steps for the largest of a block of Q8_0. */
static void checkStored(u32 type, const SimulatedBuffer<u8> &cache, u64 at, const double *wanted, double turned) {
  if (type == RopeStore_f32) {
    float stored;
    memcpy(&stored, cache.items + 4 * at, 4);
    CHECK(fabs((double)stored - *wanted) <= 2e-6 * turned);
  } else if (type == RopeStore_f16) {
    u16 stored;
    memcpy(&stored, cache.items + 2 * at, 2);
    const double rounded = fmax(fabs(*wanted) * 0x1p-11, 0x1p-25); /* below 2^-14 halves are 2^-24 apart */
    CHECK(fabs((double)halfToFloat(stored) - *wanted) <= rounded + 2e-6 * turned);
  } else {
    const double *block = wanted - at % 32;
    double largest = 0;
    for (u32 i = 0; i < 32; i++) largest = fmax(largest, fabs(block[i]));
    u16 scale;
    memcpy(&scale, cache.items + at / 32 * 34, 2);
    const double stored = (double)halfToFloat(scale) * (i8)cache[at / 32 * 34 + 2 + at % 32];
    CHECK(fabs(stored - *wanted) <= largest / 127 * 0.501 + largest * 0x1p-11 + 2e-6 * turned);
  }
}

static void turn(const Turn &t) {
  const u32 q = t.heads * t.headDim, k = t.kvHeads * t.headDim, slotCount = t.rows + 3;
  SimulatedBuffer<float> query((u64)t.rows * q), turnedQuery(query.count);
  SimulatedBuffer<float> key((u64)t.rows * k), turnedKey(key.count), value(key.count);
  SimulatedBuffer<float> frequencies(t.headDim / 2);
  SimulatedBuffer<u32> positions(t.rows), slots(t.rows);
  const u64 cacheBytes = (u64)slotCount * k * (t.type == RopeStore_f32 ? 128 : t.type == RopeStore_f16 ? 64 : 34) / 32;
  SimulatedBuffer<u8> keyCache(cacheBytes), valueCache(cacheBytes);
  SimulatedBuffer<double> wantedQuery(query.count), wantedKey(key.count), wantedValue(key.count);
  for (u64 i = 0; i < query.count; i++) query[i] = numbers.number();
  for (u64 i = 0; i < key.count; i++) key[i] = numbers.number(), wantedValue[i] = (double)(value[i] = numbers.number());
  for (u32 i = 0; i < t.headDim / 2; i++) frequencies[i] = powf(10000, -2 * (float)i / (float)t.headDim);
  for (u32 r = 0; r < t.rows; r++) positions[r] = r == 0 ? 100000 : numbers.below(5000), slots[r] = (r + 2) % slotCount;
  if (t.rows > 2) slots[1] = SkippedSlot;
  const float magnitude = 1.25f;
  const auto turned = [&](const SimulatedBuffer<float> &x, SimulatedBuffer<double> &out, u32 heads) {
    for (u32 r = 0; r < t.rows; r++)
      for (u32 i = 0; i < heads * t.headDim / 2; i++) {
        const u32 pair = i % (t.headDim / 2);
        const u64 head = (u64)r * heads * t.headDim + i / (t.headDim / 2) * t.headDim;
        const u64 a = head + (t.isHalf ? pair : 2 * pair), b = head + (t.isHalf ? pair + t.headDim / 2 : 2 * pair + 1);
        const double angle = (double)((float)positions[r] * frequencies[pair]);
        const double c = (double)magnitude * cos(angle), s = (double)magnitude * sin(angle);
        out[a] = (double)x[a] * c - (double)x[b] * s;
        out[b] = (double)x[a] * s + (double)x[b] * c;
      }
  };
  turned(query, wantedQuery, t.heads), turned(key, wantedKey, t.kvHeads);

  const RopeArgs queryArguments = {t.heads, t.headDim, t.headDim, magnitude};
  const RopeArgs keyArguments = {t.kvHeads, t.headDim, t.headDim, magnitude};
  const char *const types[] = {"kv_store_f32", "kv_store_f16", "kv_store_q8_0"};
  SimulatedCommand turnQuery(t.isHalf ? "rope_half_f32" : "rope_interleaved_f32"), turnKey(turnQuery.function.name);
  SimulatedCommand store(types[t.type]);
  SimulatedBuffer<float> &outQuery = t.inPlace ? query : turnedQuery, &outKey = t.inPlace ? key : turnedKey;
  turnQuery.bind(0, query), turnQuery.bind(1, positions), turnQuery.bind(2, frequencies), turnQuery.bind(3, outQuery);
  turnQuery.constant(4, queryArguments), turnQuery.dispatch((q / 2 + 255) / 256 * 256, t.rows, 1, 256, 1, 1);
  turnKey.bind(0, key), turnKey.bind(1, positions), turnKey.bind(2, frequencies), turnKey.bind(3, outKey);
  turnKey.constant(4, keyArguments), turnKey.dispatch((k / 2 + 255) / 256 * 256, t.rows, 1, 256, 1, 1);
  const RowArgs storeArguments = {k};
  store.bind(0, outKey), store.bind(1, value), store.bind(2, slots), store.bind(3, keyCache), store.bind(4, valueCache);
  store.constant(5, storeArguments), store.dispatch(256, t.rows, 1, 256, 1, 1);
  store.command.waits = true;
  turnQuery.command.unwritten = turnKey.command.unwritten = store.command.unwritten = numbers.below(2) ? 0xffffffff : 0;
  CudaNativeCommand commands[3] = {t.keysFirst ? turnKey.command : turnQuery.command,
                                   t.keysFirst ? turnQuery.command : turnKey.command, store.command};
  CHECK_NUMBER(simulatePlan(cudaRopeStorePlan, &simulatedH200, commands, 3, kernels, numbers.next()), 3);

  for (u64 i = 0; i < query.count; i++) CHECK(fabs((double)outQuery[i] - wantedQuery[i]) <= 2e-6);
  for (u64 i = 0; i < key.count; i++) CHECK(fabs((double)outKey[i] - wantedKey[i]) <= 2e-6);
  for (u32 r = 0; r < t.rows; r++)
    for (u32 i = 0; i < k; i++) {
      if (slots[r] == SkippedSlot) continue;
      const u64 at = (u64)slots[r] * k + i;
      checkStored(t.type, keyCache, at, &wantedKey[(u64)r * k + i], 1);
      checkStored(t.type, valueCache, at, &wantedValue[(u64)r * k + i], 0);
    }
  /* Rows that nobody stored are as they were. */
  for (u64 i = 0; i < cacheBytes / slotCount; i++) CHECK(keyCache[cacheBytes / slotCount + i] == 0xff);

  commands[2].waits = false; /* a store that need not wait for the keys stores others */
  CHECK_NUMBER(simulatePlan(cudaRopeStorePlan, &simulatedH200, commands, 3, kernels, 1), 0);
  commands[2].waits = true;
  commands[2].buffers[1] = commands[0].buffers[3]; /* values that are turned before they are stored */
  CHECK_NUMBER(simulatePlan(cudaRopeStorePlan, &simulatedH200, commands, 3, kernels, 1), 0);
  CHECK_NUMBER(simulatePlan(cudaRopeStorePlan, &simulatedH200, commands, 2, kernels, 1), 0);
}

static void turnsAndStores() {
  turn({false, RopeStore_f32, 32, 4, 64, 4, true, false});
  turn({false, RopeStore_f16, 3, 1, 20, 5, false, true});
  turn({false, RopeStore_q8_0, 6, 2, 96, 3, true, false});
  turn({true, RopeStore_f32, 2, 2, 40, 3, false, false});
  turn({true, RopeStore_f16, 16, 8, 128, 3, true, true});
  turn({true, RopeStore_q8_0, 5, 5, 64, 3, true, false});
  turn({true, RopeStore_f32, 40, 8, 256, 2, true, false});
}

int main(int count, char **arguments) {
  numbers.state = seedOf(count, arguments, (u64)time(nullptr));
  RUN_CASE(normalises);
  RUN_CASE(declinesRows);
  RUN_CASE(activates);
  RUN_CASE(turnsAndStores);
  return finishCases();
}

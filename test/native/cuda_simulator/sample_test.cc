/* Choices of tokens (bridge/linux/cuda/native/sample.cu) against the rule written down as it is told, in the simulator. */
#include "run.h"

#include "cuda/native/sample.cu"

extern "C" CudaNativePlan cudaSamplePlan;

static const SimulatedKernel kernels[] = {SIMULATED(sample_row)};

static Random numbers;

/* ---- the rule --------------------------------------------------------------------------------------------------------------- */

struct Token {
  u32 id;
  float logit;
};

static int byLogit(const void *a, const void *b) {
  const Token *x = (const Token *)a, *y = (const Token *)b;
  if (x->logit != y->logit) return x->logit > y->logit ? -1 : 1;
  return x->id < y->id ? -1 : 1;
}
static int byId(const void *a, const void *b) { return ((const Token *)a)->id < ((const Token *)b)->id ? -1 : 1; }

static u64 part(u64 total, const u32 *fraction) {
  return (u64)(((unsigned __int128)total * ((u64)fraction[0] << 32 | fraction[1])) >> 64);
}

static Chosen choose(const SimulatedBuffer<float> &logits, u64 from, u32 n, const SampleChoice &choice) {
  SimulatedBuffer<Token> tokens(n);
  float highest = -__builtin_inff();
  u32 best = NoToken;
  for (u32 i = 0; i < n; i++) {
    const float x = logits[from + i];
    if (x != x) return {NoToken, FaultNaN, i};
    tokens[i] = {i, x};
    if (x > highest) highest = x, best = i;
  }
  if (best == NoToken) return {NoToken, FaultNothing, 0};
  if (highest == __builtin_inff()) return {NoToken, FaultInfinity, best};
  if (choice.rate == 0) return {best, 0, 0};
  const auto weight = [&](const Token &token, u32 rate) { return weightOf(octavesBelow(highest, bitsOf(token.logit), rate)); };
  qsort(tokens.items, n, sizeof(Token), byLogit);
  u32 kept = choice.topK > 0 && choice.topK < n ? choice.topK : n;
  if ((choice.topP[0] | choice.topP[1]) != 0) {
    u64 total = 0, sum = 0;
    for (u32 i = 0; i < kept; i++) total += weight(tokens[i], unitRate);
    const u64 target = part(total, choice.topP);
    u32 i = 0;
    for (sum = weight(tokens[0], unitRate); sum < target && i + 1 < kept; sum += weight(tokens[++i], unitRate)) {
    }
    kept = i + 1;
  }
  while (kept > 1 && octavesBelow(highest, bitsOf(tokens[kept - 1].logit), unitRate) > choice.mostOctaves) kept--;
  qsort(tokens.items, kept, sizeof(Token), byId);
  u64 total = 0, sum = 0;
  for (u32 i = 0; i < kept; i++) total += weight(tokens[i], choice.rate);
  const u64 target = part(total, choice.random);
  for (u32 i = 0; i < kept; i++)
    if ((sum += weight(tokens[i], choice.rate)) > target) return {tokens[i].id, 0, 0};
  return {NoToken, NoToken, NoToken};
}

/* ---- cases ------------------------------------------------------------------------------------------------------------------- */

static u32 words(double fraction, u32 which) {
  const u64 all = (u64)(fraction * 0x1p53) << 11;
  return which == 0 ? (u32)(all >> 32) : (u32)all;
}

static SampleChoice choiceOf(double temperature, u32 topK, double topP, double minP, double random) {
  return {topK,
          {topP < 1 ? words(topP, 0) : 0, topP < 1 ? words(topP, 1) : 0},
          minP > 0 ? (u32)(-log2(minP) * 0x1p24) : mostOctaves,
          temperature > 0 ? bitsOf((float)(1.4426950408889634 / temperature)) : 0,
          {words(random, 0), words(random, 1)}};
}

/* A row of choices for each of `choices`, of logits that `fill` made. */
static void check(const char *name, u32 n, const SimulatedBuffer<float> &logits, const SampleChoice *choices, u32 rows,
                  u32 multiprocessors = 132) {
  SimulatedBuffer<SampleChoice> chosenBy(rows);
  SimulatedBuffer<u32> places(rows), list((u64)rows * n);
  SimulatedBuffer<Chosen> chosen(rows + 1);
  for (u32 r = 0; r < rows; r++) {
    chosenBy[r] = choices[r];
    places[r] = r == 0 ? 1000 : r; // one beyond is the last
  }
  const SampleArgs args = {n, rows + 1};
  SimulatedCommand command("sample_f32");
  command.bind(0, logits), command.bind(1, chosenBy), command.bind(2, places), command.bind(3, list), command.bind(4, chosen);
  command.constant(5, args);
  command.dispatch(256, rows, 1, 256, 1, 1);
  CudaNativeDevice device = simulatedH200;
  device.multiprocessors = multiprocessors;
  CHECK_NUMBER(simulatePlan(cudaSamplePlan, &device, &command.command, 1, kernels, numbers.next()), 1);
  for (u32 r = 0; r < rows; r++) {
    const Chosen wanted = choose(logits, (u64)r * n, n, choices[r]), &got = chosen[r == 0 ? rows : r];
    if (got.token != wanted.token || got.fault != wanted.fault || got.where != wanted.where)
      printf("%s, n=%u row %u: %u %u %u, not %u %u %u\n", name, n, r, got.token, got.fault, got.where, wanted.token, wanted.fault,
             wanted.where);
    CHECK(got.token == wanted.token && got.fault == wanted.fault && got.where == wanted.where);
  }
  CHECK_NUMBER(chosen[0].token, NoToken); // it was nobody's
}

static void choosesByTheRule() {
  const u32 counts[] = {1, 20, 333, 4100};
  for (u32 n : counts) {
    const double at[] = {0.3, 0, 0.999999};
    SampleChoice choices[24];
    u32 rows = 0;
    for (double random : at) {
      choices[rows++] = choiceOf(0.8, 40, 0.95, 0.05, random);
      choices[rows++] = choiceOf(1, 0, 1, 0, random);
      choices[rows++] = choiceOf(0, 40, 0.95, 0.05, random);
      choices[rows++] = choiceOf(1, 3, 1, 0, random);
      choices[rows++] = choiceOf(2.5, 0, 0.8, 0.01, random);
      choices[rows++] = choiceOf(1.5, 0, 1, 0.1, random);
      choices[rows++] = choiceOf(1, 2000, 0.99, 0, random); // more than are sorted, where there are
      choices[rows++] = choiceOf(0.3, 0, 0.9999999, 0, random);
    }
    for (u32 first = 0; first < (n < 1000 ? rows : 8); first += 8) {
      SimulatedBuffer<float> logits(8 * (u64)n); // of the second rows many are equal
      for (u32 i = 0; i < 8 * n; i++) logits[i] = first == 8 ? (float)(i32)(4 * numbers.normal()) / 2 : 4 * numbers.normal();
      for (u32 i = 7; i < n && first == 16; i += 3) logits[i] = -__builtin_inff();
      check("choices", n, logits, choices + first, 8);
    }
  }
}

static void findsFaults() {
  const u32 n = 3000;
  SimulatedBuffer<float> logits(6 * n);
  for (u32 i = 0; i < 6 * n; i++) logits[i] = 2 * numbers.normal();
  logits[1700] = logits[2900] = __builtin_nanf("");
  logits[n + 2100] = logits[n + 40] = __builtin_inff();
  for (u32 i = 0; i < n; i++) logits[2 * n + i] = -__builtin_inff(), logits[3 * n + i] = 0.0f * (i % 2 ? 1.0f : -1.0f);
  logits[4 * n] = __builtin_inff(), logits[4 * n + 2999] = __builtin_nanf("");
  for (u32 i = 0; i < n; i++) logits[5 * n + i] = -__builtin_inff();
  logits[5 * n + 2500] = -3e38f;
  const double temperatures[] = {0, 0.7};
  for (double temperature : temperatures) {
    SampleChoice choices[6];
    for (u32 r = 0; r < 6; r++) choices[r] = choiceOf(temperature, r % 2 ? 5 : 0, 1, 0, 0.6);
    check("faults", n, logits, choices, 6, 12);
  }
}

/* 2^31 halved by octaves, within what is said of it. */
static void weighs() {
  for (u32 octaves = 0; octaves < 20u << 24; octaves += 999983) {
    const double wanted = exp2(31 - (double)octaves * 0x1p-24);
    CHECK(fabs((double)weightOf(octaves) - wanted) <= wanted * 0x1p-23 + 1);
    const float highest = 3.0f, logit = highest - (float)octaves * 0x1p-26f;
    const double exact = ((double)highest - (double)logit) * (double)floatOf(unitRate) * 0x1p24;
    CHECK(fabs((double)octavesBelow(highest, bitsOf(logit), unitRate) - exact) <= 1);
  }
}

static void declines() {
  SimulatedBuffer<float> logits(64);
  SimulatedBuffer<u32> memory(64);
  SampleArgs args = {64, 4};
  SimulatedCommand command("sample_f32");
  for (u32 i = 1; i < 5; i++) command.bind(i, memory);
  command.bind(0, logits);
  command.constant(5, args);
  command.dispatch(256, 1, 1, 256, 1, 1);
  CHECK_NUMBER(takenBy(cudaSamplePlan, &command.command, 1), 1);
  args.n = 65;
  CHECK_NUMBER(takenBy(cudaSamplePlan, &command.command, 1), 0);
  args.n = 0;
  CHECK_NUMBER(takenBy(cudaSamplePlan, &command.command, 1), 0);
  args.n = 64, args.places = 0;
  CHECK_NUMBER(takenBy(cudaSamplePlan, &command.command, 1), 0);
  args.places = 4, command.command.bufferLengths[4] = 47;
  CHECK_NUMBER(takenBy(cudaSamplePlan, &command.command, 1), 0);
}

int main(int count, char **arguments) {
  numbers.state = seedOf(count, arguments, 6);
  RUN_CASE(choosesByTheRule);
  RUN_CASE(findsFaults);
  RUN_CASE(weighs);
  RUN_CASE(declines);
  return finishCases();
}

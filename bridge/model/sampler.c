#include "sampler.h"

#include "error.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Sums and products are rounded one by one, as in JavaScript. */
#pragma STDC FP_CONTRACT OFF

/* ---- random numbers: xoshiro128** 1.1 (Blackman and Vigna, https://prng.di.unimi.it) ----------------------------- */

/* Two outputs of SplitMix64 from the seed fill the state, as the authors advise. */
static void seedRandom(uint32_t state[4], uint64_t seed) {
  for (int i = 0; i < 4; i += 2) {
    seed += 0x9e3779b97f4a7c15u;
    uint64_t z = seed;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    state[i] = (uint32_t)z;
    state[i + 1] = (uint32_t)(z >> 32);
  }
}

static uint32_t rotateLeft(uint32_t value, int bits) {
  return value << bits | value >> (32 - bits);
}

static uint32_t nextRandom(uint32_t s[4]) {
  uint32_t result = rotateLeft(s[1] * 5, 7) * 9;
  uint32_t t2 = s[2] ^ s[0], t3 = s[3] ^ s[1], s1 = s[1];
  s[1] = s1 ^ t2;
  s[0] ^= t3;
  s[2] = t2 ^ s1 << 9;
  s[3] = rotateLeft(t3, 11);
  return result;
}

/* In [0, 1), with 53 random bits. */
static double uniform(uint32_t state[4]) {
  uint32_t high = nextRandom(state) >> 5, low = nextRandom(state) >> 6;
  return ((double)high * 67108864.0 + low) / 9007199254740992.0;
}

/* ---- candidates: ordered by value, the highest first; of equal values the lowest id ------------------------------ */

static void setCandidate(Sampler *sampler, uint32_t at, int32_t id, float value) {
  sampler->ids[at] = id;
  sampler->values[at] = value;
}

static void swapCandidates(Sampler *sampler, uint32_t a, uint32_t b) {
  int32_t id = sampler->ids[a];
  float value = sampler->values[a];
  setCandidate(sampler, a, sampler->ids[b], sampler->values[b]);
  setCandidate(sampler, b, id, value);
}

static bool isBetter(const Sampler *sampler, uint32_t a, uint32_t b) {
  float first = sampler->values[a], second = sampler->values[b];
  return first > second || (first == second && sampler->ids[a] < sampler->ids[b]);
}

/* Moves a candidate down a heap of `size` to its place. */
static void sink(Sampler *sampler, uint32_t at, uint32_t size, bool bestOnTop) {
  for (uint64_t child = 2 * (uint64_t)at + 1; child < size; child = 2 * (uint64_t)at + 1) {
    if (child + 1 < size && isBetter(sampler, (uint32_t)child + 1, (uint32_t)child) == bestOnTop) child++;
    if (isBetter(sampler, at, (uint32_t)child) == bestOnTop) return;
    swapCandidates(sampler, at, (uint32_t)child);
    at = (uint32_t)child;
  }
}

static void fillAll(Sampler *sampler, const float *logits) {
  sampler->candidateCount = sampler->count;
  for (uint32_t id = 0; id < sampler->count; id++) setCandidate(sampler, id, (int32_t)id, logits[id]);
}

/* The `k` highest logits, in order. */
static void fillHighest(Sampler *sampler, const float *logits, uint32_t k) {
  uint32_t count = 0;
  for (uint32_t id = 0; id < sampler->count; id++) {
    if (count < k) {
      setCandidate(sampler, count++, (int32_t)id, logits[id]);
      // A heap with the worst candidate on top: it is the one to lose its place.
      if (count == k)
        for (uint32_t at = k / 2; at-- > 0;) sink(sampler, at, count, false);
    } else if (logits[id] > sampler->values[0]) {
      setCandidate(sampler, 0, (int32_t)id, logits[id]);
      sink(sampler, 0, k, false);
    }
  }
  sampler->candidateCount = count;
  for (uint32_t last = count - 1; last > 0; last--) {
    swapCandidates(sampler, 0, last);
    sink(sampler, 0, last, false);
  }
}

static void keepAtLeast(Sampler *sampler, double least) {
  uint32_t kept = 0;
  for (uint32_t at = 0; at < sampler->candidateCount; at++)
    if (sampler->values[at] >= least) setCandidate(sampler, kept++, sampler->ids[at], sampler->values[at]);
  sampler->candidateCount = kept;
}

/* The probability of a candidate, up to a factor; it cannot overflow. */
static double weightOf(float value, float highest) {
  return exp((double)value - (double)highest);
}

static void reverse(Sampler *sampler, uint32_t from, uint32_t end) {
  for (; from + 1 < end; from++, end--) swapCandidates(sampler, from, end - 1);
}

/* Keeps the best candidates whose weights add up to `target`, in order. */
static void keepBest(Sampler *sampler, double target, float highest) {
  uint32_t total = sampler->candidateCount, left = total;
  for (uint32_t at = total / 2; at-- > 0;) sink(sampler, at, total, true);
  // The heap shrinks from the front of a list to its end: the best end up behind it, in reverse.
  for (double sum = 0; left > 0;) {
    sum += weightOf(sampler->values[0], highest);
    swapCandidates(sampler, 0, --left);
    sink(sampler, 0, left, true);
    if (sum >= target) break;
  }
  reverse(sampler, left, total);
  sampler->candidateCount = total - left;
  memmove(sampler->ids, sampler->ids + left, sampler->candidateCount * sizeof *sampler->ids);
  memmove(sampler->values, sampler->values + left, sampler->candidateCount * sizeof *sampler->values);
}

/* ---- the chain --------------------------------------------------------------------------------------------------- */

static double lesser(double a, double b) {
  return a < b ? a : b;
}

static double greater(double a, double b) {
  return a > b ? a : b;
}

static void selectCandidates(Sampler *sampler, const float *logits, float highest) {
  const SamplerOptions *options = &sampler->options;
  if (options->topK > 0 && options->topK < sampler->count)
    fillHighest(sampler, logits, options->topK);
  else
    fillAll(sampler, logits);
  // p >= minP * highest p, as logits. The most probable token stays, whatever rounding does.
  double least = options->minP > 0 ? lesser(highest, (double)highest + log(options->minP)) : -INFINITY;
  if (options->topP == 1) {
    keepAtLeast(sampler, least);
    return;
  }
  double sum = 0;
  for (uint32_t at = 0; at < sampler->candidateCount; at++) sum += weightOf(sampler->values[at], highest);
  // Tokens with less than 1/n of the mass that top-p leaves out need no ordering (src/sample/chain.ts has the reason).
  double negligible = (double)highest + log((1 - options->topP) * sum / sampler->candidateCount) - 1e-3;
  keepAtLeast(sampler, greater(least, lesser(highest, negligible)));
  keepBest(sampler, options->topP * sum, highest);
}

static uint32_t choose(Sampler *sampler, float highest) {
  double sum = 0;
  for (uint32_t at = 0; at < sampler->candidateCount; at++) {
    sum += exp(((double)sampler->values[at] - (double)highest) / sampler->options.temperature);
    sampler->weights[at] = sum;
  }
  // The first candidate whose cumulative weight is above the target; one of weight 0 never is the first.
  double target = uniform(sampler->random) * sum;
  uint32_t low = 0, high = sampler->candidateCount - 1;
  while (low < high) {
    uint32_t middle = (low + high) / 2;
    if (sampler->weights[middle] > target)
      high = middle;
    else
      low = middle + 1;
  }
  return (uint32_t)sampler->ids[low];
}

/* Divides logits above 0 of recent tokens by the penalty and multiplies others, once for each distinct token. */
static const float *penalise(Sampler *sampler, const float *logits, const uint32_t *history, uint32_t length) {
  double penalty = sampler->options.repeatPenalty;
  uint32_t lastN = sampler->options.repeatLastN;
  if (penalty == 1 || lastN == 0) return logits;
  memcpy(sampler->penalised, logits, sampler->count * sizeof *logits);
  if (++sampler->call == 0) {
    memset(sampler->seen, 0, sampler->count * sizeof *sampler->seen);
    sampler->call = 1;
  }
  for (uint32_t i = length > lastN ? length - lastN : 0; i < length; i++) {
    uint32_t id = history[i];
    if (sampler->seen[id] == sampler->call) continue;
    sampler->seen[id] = sampler->call;
    double logit = sampler->penalised[id];
    sampler->penalised[id] = (float)(logit > 0 ? logit / penalty : logit * penalty);
  }
  return sampler->penalised;
}

/* The place of the highest logit, of equals the first. */
static bm_status findHighest(const float *logits, uint32_t count, uint32_t *best) {
  float highest = -INFINITY;
  *best = count;
  for (uint32_t id = 0; id < count; id++) {
    if (logits[id] > highest) {
      highest = logits[id];
      *best = id;
    } else if (isnan(logits[id])) {
      return bridgeFail(BM_ERROR_EXECUTION, "The logit of token \"%u\" is not a number: the model's output is damaged",
                        id);
    }
  }
  if (highest == INFINITY)
    return bridgeFail(BM_ERROR_EXECUTION, "The logit of token \"%u\" is infinite: the model's output is damaged",
                      *best);
  if (*best == count) return bridgeFail(BM_ERROR_EXECUTION, "None of \"%u\" logits is above -Infinity", count);
  return BM_OK;
}

bm_status bridgeSamplerChoose(Sampler *sampler, const float *logits, const uint32_t *history, uint32_t historyLength,
                              uint32_t *token) {
  logits = penalise(sampler, logits, history, historyLength);
  bm_status status = findHighest(logits, sampler->count, token);
  if (status != BM_OK || sampler->options.temperature == 0) return status;
  float highest = logits[*token];
  selectCandidates(sampler, logits, highest);
  *token = choose(sampler, highest);
  return BM_OK;
}

static bool isFrom(double value, double least, double most) {
  return value >= least && value <= most; // false for NaN
}

bm_status bridgeSamplerSet(Sampler *sampler, SamplerOptions options) {
  const double mostSeed = 9007199254740991.0;
  if (!isFrom(options.temperature, 0, 1e300))
    return bridgeFail(BM_ERROR_ARGUMENT, "The temperature must be a number of at least 0, not \"%g\"",
                      options.temperature);
  if (!isFrom(options.topP, 0, 1) || options.topP == 0)
    return bridgeFail(BM_ERROR_ARGUMENT, "Top-p must be above 0 and at most 1 (keeps all), not \"%g\"", options.topP);
  if (!isFrom(options.minP, 0, 1))
    return bridgeFail(BM_ERROR_ARGUMENT, "Min-p must be from 0 (keeps all) to 1, not \"%g\"", options.minP);
  if (!isFrom(options.repeatPenalty, 0, 1e300) || options.repeatPenalty == 0)
    return bridgeFail(BM_ERROR_ARGUMENT, "The repetition penalty must be above 0 (1 is off), not \"%g\"",
                      options.repeatPenalty);
  if (!isFrom(options.seed, 0, mostSeed) || options.seed != floor(options.seed))
    return bridgeFail(BM_ERROR_ARGUMENT, "The seed must be a whole number from 0 to 2^53 - 1, not \"%g\"",
                      options.seed);
  sampler->options = options;
  seedRandom(sampler->random, (uint64_t)options.seed);
  return BM_OK;
}

bool bridgeSamplerMake(Sampler *sampler, uint32_t vocabulary) {
  *sampler = (Sampler){.count = vocabulary};
  sampler->penalised = malloc(vocabulary * sizeof *sampler->penalised);
  sampler->seen = calloc(vocabulary, sizeof *sampler->seen);
  sampler->ids = malloc(vocabulary * sizeof *sampler->ids);
  sampler->values = malloc(vocabulary * sizeof *sampler->values);
  sampler->weights = malloc(vocabulary * sizeof *sampler->weights);
  SamplerOptions greedy = {.topP = 1, .repeatPenalty = 1};
  if (sampler->penalised && sampler->seen && sampler->ids && sampler->values && sampler->weights)
    return bridgeSamplerSet(sampler, greedy) == BM_OK;
  bridgeSamplerFree(sampler);
  bridgeFail(BM_ERROR_MEMORY, "There is no memory left to choose among \"%u\" tokens", vocabulary);
  return false;
}

void bridgeSamplerFree(Sampler *sampler) {
  free(sampler->penalised);
  free(sampler->seen);
  free(sampler->ids);
  free(sampler->values);
  free(sampler->weights);
  *sampler = (Sampler){0};
}

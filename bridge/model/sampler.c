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

/* 53 random bits: a fraction of 2^53. */
static uint64_t nextFraction(uint32_t state[4]) {
  uint64_t high = nextRandom(state) >> 5, low = nextRandom(state) >> 6;
  return high << 26 | low;
}

/* ---- weights, in whole numbers: src/sample/weights.ts says what they are ------------------------------------------ */

static const double octave = 16777216.0;    /* units of an octave */
static const uint32_t mostOctaves = INT32_MAX;
static const float unitRate = 1.44269502f;  /* log2(e) */

/* Octaves for each 1 that a logit is below the highest. */
static float rateOf(double temperature) {
  double rate = 1.4426950408889634 / temperature;
  return (float)(rate < 0x1p-100 ? 0x1p-100 : rate > 0x1p100 ? 0x1p100 : rate);
}

static uint32_t octavesBelow(float highest, float logit, float rate) {
  float difference = highest - logit;
  double octaves = (double)difference * (double)rate * octave;
  return octaves < mostOctaves ? (uint32_t)octaves : mostOctaves;
}

static uint32_t octavesOf(double probability) {
  double octaves = floor(-log(probability) / 0.6931471805599453 * octave + 0.5);
  return octaves < mostOctaves ? (uint32_t)octaves : mostOctaves;
}

/* 2^31 halved for each octave. */
static uint32_t weightOf(uint32_t octaves) {
  uint32_t whole = octaves >> 24;
  if (whole >= 32) return 0;
  uint64_t f = octaves & 0xFFFFFF, squared = f * f >> 24;
  uint64_t sum = 685838 - (59021 * f >> 24);
  sum = (sum * squared >> 24) + 29792200 - (5144412 * f >> 24);
  sum = (sum * squared >> 24) + 372130510 - (128969660 * f >> 24);
  uint32_t power = (1u << 29) - (uint32_t)(sum * f >> 24);
  return power << 2 >> whole;
}

/* The most octaves with at least this weight, from 1 to 2^31. */
static uint32_t octavesWith(uint64_t weight) {
  uint32_t low = 0, high = 32u << 24;
  while (high - low > 1) {
    uint32_t middle = (low + high) / 2;
    if (weightOf(middle) >= weight)
      low = middle;
    else
      high = middle;
  }
  return low;
}

/* A fraction of 2^53 of a sum of weights. */
static uint64_t partOf(uint64_t total, uint64_t fraction) {
  return (uint64_t)((unsigned __int128)total * fraction >> 53);
}

static uint64_t fractionOf(double probability) {
  uint64_t fraction = (uint64_t)(probability * 0x1p53);
  return fraction > 0 ? fraction : 1;
}

/* ---- candidates: the best have the highest value; of equal values the lowest id ----------------------------------- */

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

/* The `k` highest logits, in no order. */
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
}

static uint32_t octavesAt(const Sampler *sampler, uint32_t at, float highest, float rate) {
  return octavesBelow(highest, sampler->values[at], rate);
}

static void keepWithin(Sampler *sampler, uint32_t octaves, float highest) {
  uint32_t kept = 0;
  for (uint32_t at = 0; at < sampler->candidateCount; at++)
    if (octavesAt(sampler, at, highest, unitRate) <= octaves)
      setCandidate(sampler, kept++, sampler->ids[at], sampler->values[at]);
  sampler->candidateCount = kept;
}

/* Keeps the best candidates whose weights add up to `target`, one at least. */
static void keepBest(Sampler *sampler, uint64_t target, float highest) {
  uint32_t total = sampler->candidateCount, left = total;
  for (uint32_t at = total / 2; at-- > 0;) sink(sampler, at, total, true);
  // The heap shrinks from the front of a list to its end: the best end up behind it.
  for (uint64_t sum = 0; left > 0;) {
    sum += weightOf(octavesAt(sampler, 0, highest, unitRate));
    swapCandidates(sampler, 0, --left);
    sink(sampler, 0, left, true);
    if (sum >= target) break;
  }
  sampler->candidateCount = total - left;
  memmove(sampler->ids, sampler->ids + left, sampler->candidateCount * sizeof *sampler->ids);
}

static int compareIds(const void *a, const void *b) {
  int32_t first = *(const int32_t *)a, second = *(const int32_t *)b;
  return (first > second) - (first < second);
}

static void sortById(Sampler *sampler, const float *logits) {
  qsort(sampler->ids, sampler->candidateCount, sizeof *sampler->ids, compareIds);
  for (uint32_t at = 0; at < sampler->candidateCount; at++) sampler->values[at] = logits[sampler->ids[at]];
}

/* ---- the chain --------------------------------------------------------------------------------------------------- */

static void selectCandidates(Sampler *sampler, const float *logits, float highest) {
  const SamplerOptions *options = &sampler->options;
  bool isRanked = options->topK > 0 && options->topK < sampler->count;
  if (isRanked)
    fillHighest(sampler, logits, options->topK);
  else
    fillAll(sampler, logits);
  uint32_t most = options->minP > 0 ? octavesOf(options->minP) : mostOctaves;
  if (options->topP < 1) {
    uint64_t total = 0;
    for (uint32_t at = 0; at < sampler->candidateCount; at++)
      total += weightOf(octavesAt(sampler, at, highest, unitRate));
    uint64_t target = partOf(total, fractionOf(options->topP));
    // Tokens with less than 1/n of the mass that top-p leaves out need no ordering (src/sample/chain.ts has the reason).
    uint64_t negligible = (total - target) / sampler->candidateCount;
    uint32_t counted = negligible > 0 ? octavesWith(negligible) : mostOctaves;
    keepWithin(sampler, counted < most ? counted : most, highest);
    keepBest(sampler, target, highest);
  } else if (options->minP > 0) {
    keepWithin(sampler, most, highest);
  }
  if (isRanked || options->topP < 1) sortById(sampler, logits);
}

static uint32_t choose(Sampler *sampler, float highest) {
  float rate = rateOf(sampler->options.temperature);
  uint64_t sum = 0;
  for (uint32_t at = 0; at < sampler->candidateCount; at++) {
    sum += weightOf(octavesAt(sampler, at, highest, rate));
    sampler->sums[at] = sum;
  }
  // The first candidate with a sum above the target; one of weight 0 never is the first.
  uint64_t target = partOf(sum, nextFraction(sampler->random));
  uint32_t low = 0, high = sampler->candidateCount - 1;
  while (low < high) {
    uint32_t middle = (low + high) / 2;
    if (sampler->sums[middle] > target)
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
  sampler->sums = malloc(vocabulary * sizeof *sampler->sums);
  SamplerOptions greedy = {.topP = 1, .repeatPenalty = 1};
  if (sampler->penalised && sampler->seen && sampler->ids && sampler->values && sampler->sums)
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
  free(sampler->sums);
  *sampler = (Sampler){0};
}

import { Candidates } from "./candidates.ts";
import { encodeChoice } from "./choice.ts";
import { faultError, faults } from "./faults.ts";
import { type ResolvedSamplerOptions, resolveSamplerOptions, type SamplerOptions } from "./options.ts";
import { RepetitionPenalty } from "./penalties.ts";
import { Xoshiro128 } from "./random.ts";
import {
  fractionOf,
  MOST_OCTAVES,
  octavesBelow,
  octavesOf,
  octavesWith,
  partOf,
  rateOf,
  UNIT_RATE,
  weightOf,
} from "./weights.ts";

/** Chooses the next token of one text. */
export interface Sampler {
  /** The options in force, with defaults and the seed that was drawn if none was given. */
  readonly options: ResolvedSamplerOptions;

  /**
   * Returns the id of the next token. At temperature 0 that is the highest logit, of equals the lowest id.
   *
   * @param logits A logit for each token of the vocabulary; -Infinity rules a token out. Not changed.
   * @param history Tokens so far, the latest at the end; only the repetition penalty looks at them.
   * @throws {RangeError} If a logit is NaN or +Infinity, which means that the model's arithmetic went wrong, or if no
   * token is left to choose.
   */
  sample(logits: Float32Array, history: ArrayLike<number>): number;

  /** @internal Whether a choice depends on the tokens so far: a device, which does not know them, cannot make it. */
  readonly needsHistory: boolean;

  /**
   * @internal Writes the next choice for a device to make, instead of `sample`, whose choice it will be.
   *
   * @param words CHOICE_WORDS long
   */
  encode(words: Uint32Array): void;
}

/**
 * Makes a sampler. Its steps, in llama.cpp's order: repetition penalty, top-k, top-p, min-p, temperature, choice.
 * Probabilities in top-p and min-p are those before temperature.
 *
 * Choices depend on the seed and the logits alone, wherever they are made: weights.ts says how. (Where a logit differs in
 * its last bit, as between two kinds of GPU, a choice can differ: that is the model, not the sampler.)
 *
 * @throws {RangeError} If an option is outside its range.
 */
export function createSampler(options: SamplerOptions = {}): Sampler {
  return new Chain(resolveSamplerOptions(options));
}

class Chain implements Sampler {
  readonly options: ResolvedSamplerOptions;
  readonly #penalty: RepetitionPenalty;
  readonly #random: Xoshiro128;
  /** Logits after the penalty. */
  #penalised: Float32Array = new Float32Array(0);
  #candidates: Candidates = new Candidates(0);
  #sums: Float64Array = new Float64Array(0);

  constructor(options: ResolvedSamplerOptions) {
    this.options = options;
    this.#penalty = new RepetitionPenalty(options.repeatPenalty, options.repeatLastN);
    this.#random = new Xoshiro128(options.seed);
  }

  get needsHistory(): boolean {
    return this.#penalty.isOn;
  }

  sample(logits: Float32Array, history: ArrayLike<number>): number {
    const penalised = this.#penalise(logits, history);
    const best = argmax(penalised);
    if (this.options.temperature === 0) return best;
    this.#reserve(penalised.length);
    this.#select(penalised, penalised[best] as number);
    return this.#choose(penalised[best] as number);
  }

  encode(words: Uint32Array): void {
    encodeChoice(words, this.options, this.options.temperature === 0 ? 0 : this.#random.fraction());
  }

  #penalise(logits: Float32Array, history: ArrayLike<number>): Float32Array {
    if (!this.#penalty.isOn) return logits;
    if (this.#penalised.length !== logits.length) this.#penalised = new Float32Array(logits.length);
    this.#penalised.set(logits);
    this.#penalty.apply(this.#penalised, history);
    return this.#penalised;
  }

  #reserve(vocabSize: number): void {
    if (this.#sums.length === vocabSize) return;
    this.#candidates = new Candidates(vocabSize);
    this.#sums = new Float64Array(vocabSize);
  }

  /** Finds the candidates, and orders them by id. */
  #select(logits: Float32Array, highest: number): void {
    const { topK, topP, minP } = this.options;
    const candidates = this.#candidates;
    const isRanked = topK > 0 && topK < logits.length;
    if (isRanked) candidates.fillHighest(logits, topK);
    else candidates.fill(logits);
    const octaves = (value: number): number => octavesBelow(highest, value, UNIT_RATE);
    const weight = (value: number): number => weightOf(octaves(value));
    const most = minP > 0 ? octavesOf(minP) : MOST_OCTAVES;
    if (topP < 1) {
      let total = 0;
      for (let at = 0; at < candidates.count; at++) total += weight(candidates.values[at] as number);
      const target = partOf(total, fractionOf(topP));
      // Only what can matter is worth ordering. Min-p may go first, since it keeps a beginning of the order as top-p does.
      // And tokens with less than 1/n of the mass that top-p leaves out make up less than all of that mass together.
      const negligible = Math.floor((total - target) / candidates.count);
      const counted = negligible > 0 ? Math.min(most, octavesWith(negligible)) : most;
      candidates.keep((value) => octaves(value) <= counted);
      candidates.keepBest(target, weight);
    } else if (minP > 0) {
      candidates.keep((value) => octaves(value) <= most);
    }
    if (isRanked || topP < 1) candidates.sortById(logits);
  }

  #choose(highest: number): number {
    const rate = rateOf(this.options.temperature);
    const { ids, values, count } = this.#candidates;
    let sum = 0;
    for (let at = 0; at < count; at++) {
      sum += weightOf(octavesBelow(highest, values[at] as number, rate));
      this.#sums[at] = sum;
    }
    // The first candidate with a sum above the target; one of weight 0 never is the first.
    const target = partOf(sum, this.#random.fraction());
    let low = 0;
    let high = count - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#sums[middle] as number) > target) high = middle;
      else low = middle + 1;
    }
    return ids[low] as number;
  }
}

/** Returns the place of the highest logit, of equals the first. */
function argmax(logits: Float32Array): number {
  let best = -1;
  let highest = Number.NEGATIVE_INFINITY;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id] as number;
    if (logit > highest) {
      highest = logit;
      best = id;
    } else if (Number.isNaN(logit)) {
      throw faultError(faults.nan, id, logits.length);
    }
  }
  if (highest === Number.POSITIVE_INFINITY) throw faultError(faults.infinity, best, logits.length);
  if (best < 0) throw faultError(faults.nothing, 0, logits.length);
  return best;
}

import { Candidates } from "./candidates.ts";
import { type ResolvedSamplerOptions, resolveSamplerOptions, type SamplerOptions } from "./options.ts";
import { RepetitionPenalty } from "./penalties.ts";
import { Xoshiro128 } from "./random.ts";

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
}

/**
 * Makes a sampler. Its steps, in llama.cpp's order: repetition penalty, top-k, top-p, min-p, temperature, choice.
 * Probabilities in top-p and min-p are those before temperature.
 *
 * Choices depend on the seed and the logits alone. (Where a logit differs in its last bit, as between two kinds of
 * GPU, a choice can differ: that is the model, not the sampler.)
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
  #weights: Float64Array = new Float64Array(0);

  constructor(options: ResolvedSamplerOptions) {
    this.options = options;
    this.#penalty = new RepetitionPenalty(options.repeatPenalty, options.repeatLastN);
    this.#random = new Xoshiro128(options.seed);
  }

  sample(logits: Float32Array, history: ArrayLike<number>): number {
    const penalised = this.#penalise(logits, history);
    const best = argmax(penalised);
    if (this.options.temperature === 0) return best;
    this.#reserve(penalised.length);
    this.#select(penalised, penalised[best] as number);
    return this.#choose(penalised[best] as number);
  }

  #penalise(logits: Float32Array, history: ArrayLike<number>): Float32Array {
    if (!this.#penalty.isOn) return logits;
    if (this.#penalised.length !== logits.length) this.#penalised = new Float32Array(logits.length);
    this.#penalised.set(logits);
    this.#penalty.apply(this.#penalised, history);
    return this.#penalised;
  }

  #reserve(vocabSize: number): void {
    if (this.#weights.length === vocabSize) return;
    this.#candidates = new Candidates(vocabSize);
    this.#weights = new Float64Array(vocabSize);
  }

  #select(logits: Float32Array, highest: number): void {
    const { topK, topP, minP } = this.options;
    const candidates = this.#candidates;
    // exp(logit - highest) is the probability up to a factor, and cannot overflow.
    const weight = (value: number): number => Math.exp(value - highest);
    if (topK > 0 && topK < logits.length) candidates.fillHighest(logits, topK);
    else candidates.fill(logits);
    // p >= minP * highest p, as logits. The most probable token stays, whatever rounding does.
    const least = minP > 0 ? Math.min(highest, highest + Math.log(minP)) : Number.NEGATIVE_INFINITY;
    if (topP === 1) {
      candidates.keepAtLeast(least);
      return;
    }
    let sum = 0;
    for (let at = 0; at < candidates.count; at++) sum += weight(candidates.values[at] as number);
    // Only what can matter is worth ordering. Min-p may go first, since it keeps a beginning of the order as top-p does.
    // And tokens with less than 1/n of the mass that top-p leaves out make up less than all of that mass together. (The
    // margin of 1e-3 is for rounding.)
    const negligible = highest + Math.log(((1 - topP) * sum) / candidates.count) - 1e-3;
    candidates.keepAtLeast(Math.max(least, Math.min(highest, negligible)));
    candidates.keepBest(topP * sum, weight);
  }

  #choose(highest: number): number {
    const { temperature } = this.options;
    const { ids, values, count } = this.#candidates;
    let sum = 0;
    for (let at = 0; at < count; at++) {
      sum += Math.exp(((values[at] as number) - highest) / temperature);
      this.#weights[at] = sum;
    }
    // The first candidate whose cumulative weight is above the target; one of weight 0 never is the first.
    const target = this.#random.uniform() * sum;
    let low = 0;
    let high = count - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#weights[middle] as number) > target) high = middle;
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
      throw new RangeError(
        `Cannot choose a token: the logit of token ${id} is NaN; the model's output is damaged`,
      );
    }
  }
  if (highest === Number.POSITIVE_INFINITY) {
    throw new RangeError(
      `Cannot choose a token: the logit of token ${best} is Infinity; the model's output is damaged`,
    );
  }
  if (best < 0)
    throw new RangeError(`Cannot choose a token: none of the ${logits.length} logits is above -Infinity`);
  return best;
}

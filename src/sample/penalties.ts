/**
 * Makes tokens that occurred recently less probable (Keskar et al., https://arxiv.org/abs/1909.05858, in llama.cpp's
 * form): a logit above 0 is divided by the penalty, another multiplied, once for each distinct token.
 */
export class RepetitionPenalty {
  readonly #penalty: number;
  readonly #lastN: number;
  /** For each token, the last call that has penalised it. */
  #seen: Uint32Array = new Uint32Array(0);
  #call = 0;

  constructor(penalty: number, lastN: number) {
    this.#penalty = penalty;
    this.#lastN = lastN;
  }

  /** Whether there is anything to do. */
  get isOn(): boolean {
    return this.#penalty !== 1 && this.#lastN > 0;
  }

  /**
   * Changes `logits` in place.
   *
   * @param history Tokens so far, the latest at the end.
   * @throws {RangeError} If a recent token has no logit.
   */
  apply(logits: Float32Array, history: ArrayLike<number>): void {
    if (this.#seen.length !== logits.length || this.#call === 2 ** 32 - 1) {
      this.#seen = new Uint32Array(logits.length);
      this.#call = 0;
    }
    this.#call++;
    for (let i = Math.max(0, history.length - this.#lastN); i < history.length; i++) {
      const id = history[i] as number;
      const logit = logits[id];
      if (logit === undefined) {
        throw new RangeError(`Cannot penalise token ${id}: the model has ${logits.length} logits`);
      }
      if (this.#seen[id] === this.#call) continue;
      this.#seen[id] = this.#call;
      logits[id] = logit > 0 ? logit / this.#penalty : logit * this.#penalty;
    }
  }
}

/** What `StopMatcher.push` found. */
export interface StopResult {
  /** Text that can be shown: no part of a stop string, now or later. */
  readonly text: string;
  /** The stop string that ended the text, if one did. */
  readonly stop: string | undefined;
}

/**
 * Finds stop strings in text that arrives in pieces. Text that may be the beginning of a stop string is held back until
 * it is clear that it is not, so that no part of one is ever shown. How the text is cut into pieces makes no difference:
 * the stop string that is complete first wins, of those complete at the same place the longest.
 */
export class StopMatcher {
  readonly #stops: readonly string[];
  readonly #longest: number;
  #held = "";
  #stop: string | undefined;

  /** @throws {RangeError} If a stop string is empty. */
  constructor(stops: readonly string[]) {
    if (stops.includes("")) throw new RangeError("Cannot stop at an empty string: it is everywhere");
    this.#stops = [...stops];
    this.#longest = stops.reduce((longest, stop) => Math.max(longest, stop.length), 0);
  }

  /** Adds a piece. After a stop string was found, further pieces are ignored. */
  push(piece: string): StopResult {
    if (this.#stop !== undefined) return { text: "", stop: this.#stop };
    const text = this.#held + piece;
    let start = 0;
    let end = Number.POSITIVE_INFINITY;
    for (const stop of this.#stops) {
      const at = text.indexOf(stop);
      const isEarlier = at + stop.length < end || (at + stop.length === end && at < start);
      if (at < 0 || !isEarlier) continue;
      start = at;
      end = at + stop.length;
    }
    if (end !== Number.POSITIVE_INFINITY) {
      this.#held = "";
      this.#stop = text.slice(start, end);
      return { text: text.slice(0, start), stop: this.#stop };
    }
    const shown = text.length - this.#possibleStart(text);
    this.#held = text.slice(shown);
    return { text: text.slice(0, shown), stop: undefined };
  }

  /** Ends the text: returns what was held back. */
  end(): string {
    const text = this.#held;
    this.#held = "";
    return text;
  }

  /** Returns the length of the longest end of the text with which a stop string begins. */
  #possibleStart(text: string): number {
    for (let length = Math.min(this.#longest - 1, text.length); length > 0; length--) {
      const end = text.slice(text.length - length);
      if (this.#stops.some((stop) => stop.startsWith(end))) return length;
    }
    return 0;
  }
}

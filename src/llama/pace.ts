/** How often the host looks at the tokens that the device chooses. */

/** Seconds. To wake up costs the host more than a token does, and text that comes 30 times a second flows. */
const LONGEST_GROUP = 1 / 30;
/** Of all generations of a model: as many as have commands of their own (bridge/program_indirect.m). */
export const MOST_TOKENS_IN_FLIGHT = 32;

/** Decides how many steps of a generation are submitted together, by how long they take. */
export class Pace {
  #secondsPerStep = Number.POSITIVE_INFINITY;
  #generations = 0;

  /** Tells of another generation, which lasts until what is returned is disposed, once. */
  begin(): Disposable {
    this.#generations++;
    return {
      [Symbol.dispose]: () => {
        this.#generations--;
      },
    };
  }

  /** Tells how long a step took that was one of `steps` submitted together, which took so many seconds. */
  note(seconds: number, steps: number): void {
    this.#secondsPerStep = seconds / steps;
  }

  /**
   * Steps to submit together, from 1 on. There is room for two groups.
   *
   * @param inFlight Steps of one generation that may be on their way.
   */
  group(inFlight: number): number {
    const steps = Math.floor(LONGEST_GROUP / this.#secondsPerStep);
    const share = MOST_TOKENS_IN_FLIGHT / Math.max(1, this.#generations);
    return Math.max(1, Math.min(steps, Math.floor(Math.min(inFlight, share) / 2)));
  }
}

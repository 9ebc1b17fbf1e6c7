/** Generation in which the device chooses the tokens: several steps are submitted before the host looks at the first. */
import { CHOICE_WORDS, type Sampler } from "../sample/index.ts";
import { checkFollows } from "./batch.ts";
import type { ChosenLayout } from "./chosen.ts";
import type { Pace } from "./pace.ts";
import type { Sequence } from "./sequence.ts";

/** What it needs of the model. */
export type ChoosingModel = {
  readonly layout: ChosenLayout;
  readonly pace: Pace;
  /** Throws where the model has gone. */
  checkAlive(): void;
  /** The place of the token that is chosen after a position. */
  place(sequence: Sequence, position: number): number;
  /**
   * Submits the steps of the next positions of a sequence, which it reserves, and with each the choice of the token after it.
   * Resolves when all are made. Throws where a position cannot be reserved.
   *
   * @param token That of the first step; undefined where that is what was chosen before.
   * @param choices One for each step.
   */
  submit(sequence: Sequence, token: number | undefined, choices: readonly Uint32Array[]): Promise<void>;
  /** What was chosen at a place. Throws where the logits were damaged, or the model has gone meanwhile. */
  read(place: number): number;
};

/** Steps that were submitted together. */
type Flight = {
  readonly choices: readonly Uint32Array[];
  /** Of the first one. */
  readonly position: number;
  /** Resolves to the seconds that they took, from the end of those before where they waited for these, or to what they failed with. */
  readonly landed: Promise<number | Failure>;
};

/** A step that is over, and what it has chosen. */
type Landed = {
  readonly choice: Uint32Array;
  /** Or why it cannot be read. */
  readonly token: number | Failure;
  readonly seconds: number;
};

type Failure = { readonly error: unknown };

/**
 * The tokens of one generation, each chosen on the device from the logits after the one before. A step takes its token from
 * where the step before has left it, so that the host only has to be quick enough in the mean. Steps go in groups, for which
 * the host wakes up once (`Pace`). What was submitted and is not asked for has no effect.
 */
export class Lookahead implements Disposable {
  readonly #model: ChoosingModel;
  readonly #sequence: Sequence;
  readonly #sampler: Sampler;
  readonly #last: number;
  /** Steps of the first positions that the sequence has reserved. */
  #landed: Landed[] = [];
  /** Of the positions behind those. */
  #flights: Flight[] = [];
  /** Choices of steps that came to nothing: the random numbers of the next ones. */
  #unused: Uint32Array[] = [];
  /** Choices of steps that are over, to be drawn anew. */
  readonly #over: Uint32Array[] = [];
  /** Steps of the next group, at most: twice those of the one before, since whoever ends or rewinds soon wants few in vain. */
  #mostOfNext = 1;
  #lastEnd = 0; // milliseconds
  readonly #owned = new DisposableStack();

  /** @param last The last position whose token's step may be needed. */
  constructor(model: ChoosingModel, sequence: Sequence, sampler: Sampler, last: number) {
    this.#model = model;
    this.#sequence = sequence;
    this.#sampler = sampler;
    this.#last = last;
    this.#owned.use(model.pace.begin());
    this.#owned.defer(() => this.#giveUp());
  }

  /**
   * Returns the token after `token`, which goes to `position`, and the seconds that its step took.
   *
   * @param token What the last call returned, or the first token.
   * @throws {RangeError} If the position does not follow, or the logits were damaged.
   * @throws {ContextFullError} If the sequence has no room.
   * @throws {ReleasedError} If the model was disposed.
   */
  async next(token: number, position: number): Promise<{ readonly token: number; readonly seconds: number }> {
    const sequence = this.#sequence;
    this.#model.checkAlive();
    checkFollows(sequence, position);
    if (sequence.reserved !== this.#landed.length + this.#inFlight) this.#giveUp();
    if (sequence.reserved === 0) this.#submit(token, 1);
    sequence.confirm(token);
    if (this.#landed.length === 0) {
      this.#submitAhead();
      await this.#land();
    }
    const step = this.#landed.shift();
    if (step === undefined) throw new TypeError("Steps have landed and are not there");
    this.#over.push(step.choice);
    if (typeof step.token !== "number") throw step.token.error;
    return { token: step.token, seconds: step.seconds };
  }

  get #inFlight(): number {
    return this.#flights.reduce((sum, { choices }) => sum + choices.length, 0);
  }

  /**
   * Submits what is to be on its way: two groups, however large the first one is, so that the device has one to do while the
   * host is at the other.
   */
  #submitAhead(): void {
    const sequence = this.#sequence;
    const { layout, pace } = this.#model;
    while (this.#flights.length < 2) {
      let count = Math.min(
        this.#mostOfNext,
        pace.group(layout.inFlight),
        layout.inFlight - this.#inFlight,
        this.#last + 1 - sequence.nextPosition,
      );
      while (count > 0 && !sequence.hasRoom(count)) count--;
      if (count <= 0) return;
      this.#submit(undefined, count);
      this.#mostOfNext = 2 * count;
    }
  }

  #submit(token: number | undefined, count: number): void {
    const choices: Uint32Array[] = [];
    for (let i = 0; i < count; i++) choices.push(this.#unused.shift() ?? this.#draw());
    const position = this.#sequence.nextPosition;
    const start = performance.now();
    const land = (): number => {
      const end = performance.now();
      const begin = Math.max(start, this.#lastEnd);
      this.#lastEnd = end;
      return (end - begin) / 1e3;
    };
    const fail = (error: unknown): Failure => ({ error });
    const landed = this.#model.submit(this.#sequence, token, choices).then(land, fail);
    this.#flights.push({ choices, position, landed });
  }

  /**
   * Waits for the first flight, and reads what it has chosen, since later steps choose into the same places. Where it has
   * failed, the sequence is left before it.
   */
  async #land(): Promise<void> {
    const [flight] = this.#flights;
    const { choices, position } = flight;
    const seconds = await flight.landed;
    if (typeof seconds !== "number") {
      this.#giveUp();
      if (this.#sequence.length > position) this.#sequence.rewind(position);
      throw seconds.error;
    }
    this.#flights.shift();
    this.#model.pace.note(seconds, choices.length);
    for (const [i, choice] of choices.entries()) {
      const token = this.#read(this.#model.place(this.#sequence, position + i));
      this.#landed.push({ choice, token, seconds: seconds / choices.length });
    }
  }

  #read(place: number): number | Failure {
    try {
      return this.#model.read(place);
    } catch (error) {
      return { error };
    }
  }

  #draw(): Uint32Array {
    const words = this.#over.pop() ?? new Uint32Array(CHOICE_WORDS);
    this.#sampler.encode(words);
    return words;
  }

  /** Forgets what was not asked for. The device still does it, in memory that later steps write before they read it. */
  #giveUp(): void {
    const choices = [
      ...this.#landed.map(({ choice }) => choice),
      ...this.#flights.flatMap(({ choices }) => choices),
    ];
    this.#unused.unshift(...choices);
    this.#landed = [];
    this.#flights = [];
    this.#mostOfNext = 1;
    this.#sequence.forgetReserved();
  }

  [Symbol.dispose](): void {
    this.#owned.dispose();
  }
}

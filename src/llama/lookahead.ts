/** Generation in which the device chooses the tokens: several steps are submitted before the host looks at the first. */
import { CHOICE_WORDS, type Sampler } from "../sample/index.ts";
import { FROM_CHOSEN } from "../tensor/index.ts";
import { checkFollows } from "./batch.ts";
import type { ChosenLayout } from "./chosen.ts";
import type { Sequence } from "./sequence.ts";

/** What it needs of the model. */
export type ChoosingModel = {
  readonly layout: ChosenLayout;
  /** The place of the token that is chosen after a position. */
  place(sequence: Sequence, position: number): number;
  /**
   * Submits the step of a token at the next position of a sequence, which it reserves, and with it the choice of the token
   * after. Resolves when that is made. Throws where the position cannot be reserved.
   */
  submit(sequence: Sequence, token: number, choice: Uint32Array): Promise<void>;
  /** What was chosen at a place. Throws where the model has gone meanwhile. */
  read(place: number): number;
};

/** A step that was submitted. */
type Flight = {
  readonly choice: Uint32Array;
  readonly place: number;
  /** Resolves to the seconds that it took, from the end of the step before where it waited for that, or to what it failed with. */
  readonly landed: Promise<number | Failure>;
};

type Failure = { readonly error: unknown };

/**
 * The tokens of one generation, each chosen on the device from the logits after the one before. A step takes its token from
 * where the step before has left it, so that the host only has to be quick enough in the mean. What was submitted and is not
 * asked for has no effect.
 */
export class Lookahead implements Disposable {
  readonly #model: ChoosingModel;
  readonly #sequence: Sequence;
  readonly #sampler: Sampler;
  readonly #last: number;
  /** Of the positions that the sequence has reserved. */
  #flights: Flight[] = [];
  /** Choices of flights that came to nothing: the random numbers of the next ones. */
  #unused: Uint32Array[] = [];
  /** Choices of flights that are over, to be drawn anew. */
  readonly #over: Uint32Array[] = [];
  #lastEnd = 0; // milliseconds

  /** @param last The last position whose token's step may be needed. */
  constructor(model: ChoosingModel, sequence: Sequence, sampler: Sampler, last: number) {
    this.#model = model;
    this.#sequence = sequence;
    this.#sampler = sampler;
    this.#last = last;
  }

  /**
   * Returns the token after `token`, which goes to `position`, and the seconds that its step took.
   *
   * @param token What the last call returned, or the first token.
   * @throws {RangeError} If the position does not follow, or the logits were damaged.
   * @throws {ContextFullError} If the sequence has no room.
   */
  async next(token: number, position: number): Promise<{ readonly token: number; readonly seconds: number }> {
    const sequence = this.#sequence;
    checkFollows(sequence, position);
    if (sequence.reserved !== this.#flights.length) this.#giveUp();
    if (this.#flights.length === 0) this.#submit(token);
    const flight = this.#flights.shift();
    if (flight === undefined) throw new TypeError("A step was submitted and is not in flight");
    sequence.confirm(token);
    const { inFlight } = this.#model.layout;
    while (this.#flights.length + 1 < inFlight && this.#nextPosition <= this.#last && sequence.hasRoom) {
      this.#submit(FROM_CHOSEN + this.#model.place(sequence, this.#nextPosition - 1));
    }
    const landed = await flight.landed;
    this.#over.push(flight.choice);
    if (typeof landed === "number") return { token: this.#model.read(flight.place), seconds: landed };
    this.#giveUp();
    if (sequence.length > position) sequence.rewind(position);
    throw landed.error;
  }

  get #nextPosition(): number {
    return this.#sequence.length + this.#sequence.reserved;
  }

  #submit(token: number): void {
    const choice = this.#unused.shift() ?? this.#draw();
    const place = this.#model.place(this.#sequence, this.#nextPosition);
    const start = performance.now();
    const land = (): number => {
      const end = performance.now();
      const begin = Math.max(start, this.#lastEnd);
      this.#lastEnd = end;
      return (end - begin) / 1e3;
    };
    const fail = (error: unknown): Failure => ({ error });
    this.#flights.push({
      choice,
      place,
      landed: this.#model.submit(this.#sequence, token, choice).then(land, fail),
    });
  }

  #draw(): Uint32Array {
    const words = this.#over.pop() ?? new Uint32Array(CHOICE_WORDS);
    this.#sampler.encode(words);
    return words;
  }

  /** Forgets what is in flight. The device still does it, in memory that later steps write before they read it. */
  #giveUp(): void {
    this.#unused.unshift(...this.#flights.map(({ choice }) => choice));
    this.#flights = [];
    this.#sequence.forgetReserved();
  }

  [Symbol.dispose](): void {
    this.#giveUp();
  }
}

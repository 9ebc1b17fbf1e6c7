import type { Buffer, Device } from "../runtime/index.ts";
import { CHOSEN_WORDS, decodeChosen } from "../sample/index.ts";

/** Where the device leaves the tokens that it chooses, and finds them as the next steps' tokens. */
export type ChosenLayout = {
  /** Steps of one sequence that may be submitted before the host has looked at the first of them. */
  readonly inFlight: number;
  readonly sequenceCount: number;
};

/** Places of a sequence: those of the steps in flight, and that of the step before, whose token the first of them takes. */
function placesPerSequence({ inFlight }: ChosenLayout): number {
  return inFlight + 1;
}

/** Places of all sequences. */
export function chosenPlaces(layout: ChosenLayout): number {
  return layout.sequenceCount * placesPerSequence(layout);
}

/** Bytes of them. */
export function chosenBytes(layout: ChosenLayout): number {
  return 4 * CHOSEN_WORDS * chosenPlaces(layout);
}

/** The memory for them. */
export class ChosenTokens implements Disposable {
  readonly layout: ChosenLayout;
  readonly buffer: Buffer;
  readonly #words: Uint32Array;

  constructor(device: Device, layout: ChosenLayout) {
    this.layout = layout;
    this.buffer = device.buffer(chosenBytes(layout), { label: "chosen tokens" });
    this.#words = this.buffer.view(Uint32Array);
  }

  /** The place of the token that is chosen after a position of a sequence. Later positions use it again. */
  place(sequence: number, position: number): number {
    const places = placesPerSequence(this.layout);
    return sequence * places + (position % places);
  }

  /**
   * The token at a place, once the step that chose it is done.
   *
   * @throws {RangeError} If the logits were damaged: as `Sampler.sample`.
   */
  read(place: number, vocabularySize: number): number {
    return decodeChosen(this.#words, vocabularySize, place * CHOSEN_WORDS);
  }

  [Symbol.dispose](): void {
    this.buffer[Symbol.dispose]();
  }
}

/** A choice as numbers that travel to a device: shaders/sample.metal makes it there as a sampler makes it here. */
import { faultError, faults } from "./faults.ts";
import type { ResolvedSamplerOptions } from "./options.ts";
import { fractionOf, MOST_OCTAVES, octavesOf, rateOf } from "./weights.ts";

/** Words of a choice: SampleChoice of shaders/sample.metal. */
export const CHOICE_WORDS = 7;

/** Words of what was chosen: the token or NO_TOKEN, then a fault or 0, and the token that has it. */
export const CHOSEN_WORDS = 3;

/**
 * Writes a choice.
 *
 * @param words where to, CHOICE_WORDS long
 * @param random a fraction of 2^53; 0 will do at temperature 0
 */
export function encodeChoice(words: Uint32Array, options: ResolvedSamplerOptions, random: number): void {
  const { temperature, topK, topP, minP } = options;
  words[0] = Math.min(topK, 2 ** 32 - 1);
  setFraction(words, 1, topP === 1 ? 0 : fractionOf(topP));
  words[3] = minP > 0 ? octavesOf(minP) : MOST_OCTAVES;
  words[4] = temperature === 0 ? 0 : bitsOf(rateOf(temperature));
  setFraction(words, 5, random);
}

/**
 * Returns the token that a device chose.
 *
 * @param words where it wrote, CHOSEN_WORDS from `start` on
 * @param count of all logits
 * @throws {RangeError} As `Sampler.sample`.
 */
export function decodeChosen(words: Uint32Array, count: number, start = 0): number {
  const token = words[start] as number;
  const fault = words[start + 1] as number;
  if (fault !== 0) {
    const id = words[start + 2] as number;
    for (const known of Object.values(faults)) if (fault === known) throw faultError(known, id, count);
  }
  if (token < count) return token;
  throw new RangeError(`Cannot take token ${token} of a device: there are ${count} logits`);
}

/** As 64 bits, the high word first: a whole number of 2^-64. */
function setFraction(words: Uint32Array, at: number, fraction: number): void {
  words[at] = Math.floor(fraction / 2 ** 21);
  words[at + 1] = (fraction % 2 ** 21) * 2 ** 11;
}

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

function bitsOf(value: number): number {
  float[0] = value;
  return bits[0] as number;
}

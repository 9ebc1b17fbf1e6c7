/**
 * The arithmetic of a choice, in whole numbers: sums come out the same in whatever order they are added up, and so the
 * same here, in bridge/model/sampler.c and in shaders/sample.metal. What the three agree on:
 *
 * - A logit lies `octaves` below the highest one: by how many halvings it is less probable, in units of 2^-24.
 * - Its weight is 2^31 halved so often. What is less probable than 2^-31 of the best has weight 0 and is never chosen.
 * - A fraction of a sum of weights is a whole number of 2^-53 of it, rounded down.
 *
 * All numbers stay below 2^53, where JavaScript's are exact (sums: in vocabularies of up to 2^22 tokens). `| 0` rounds down
 * what is not negative.
 */

/** Units of an octave. */
const OCTAVE = 2 ** 24;

/** Octaves are at most these: 2^-128 of the best. */
export const MOST_OCTAVES: number = 2 ** 31 - 1;

/** Octaves of a logit 1 below the highest, at temperature 1: log2(e) as F32. */
export const UNIT_RATE: number = Math.fround(Math.LOG2E);

const LEAST_RATE = 2 ** -100;
const MOST_RATE = 2 ** 100;

/**
 * Octaves for each 1 that a logit is below the highest, as F32. It is kept within limits at which one logit alone, or all of
 * them, have a weight that counts.
 *
 * @param temperature above 0
 */
export function rateOf(temperature: number): number {
  return Math.fround(Math.min(MOST_RATE, Math.max(LEAST_RATE, Math.LOG2E / temperature)));
}

/**
 * How far a logit is below the highest. The difference is rounded to F32 and its product with the rate, of 24 bits each, is
 * exact.
 */
export function octavesBelow(highest: number, logit: number, rate: number): number {
  const octaves = Math.fround(highest - logit) * rate * OCTAVE;
  return octaves < MOST_OCTAVES ? octaves | 0 : MOST_OCTAVES;
}

/** The octaves of a probability relative to the best: those that min-p allows. */
export function octavesOf(probability: number): number {
  return Math.min(MOST_OCTAVES, Math.floor((-Math.log(probability) / Math.LN2) * OCTAVE + 0.5));
}

/**
 * 2^31 halved for each octave. 2^-f is a polynomial in f of degree 6, minimax in [0, 1) with an error of 2^-29; its
 * coefficients are whole numbers of 2^-29, and products are rounded down, which makes that 2^-25. It falls, or stays, from
 * each f to the next.
 */
export function weightOf(octaves: number): number {
  const whole = octaves >>> 24;
  if (whole >= 32) return 0;
  const f = (octaves & (OCTAVE - 1)) / OCTAVE;
  const squared = (((octaves & (OCTAVE - 1)) * f) | 0) / OCTAVE;
  let sum = 685838 - ((59021 * f) | 0);
  sum = ((sum * squared) | 0) + 29792200 - ((5144412 * f) | 0);
  sum = ((sum * squared) | 0) + 372130510 - ((128969660 * f) | 0);
  const power = 2 ** 29 - ((sum * f) | 0);
  return (power << 2) >>> whole;
}

/** The most octaves with at least this weight, from 1 to 2^31. */
export function octavesWith(weight: number): number {
  let low = 0;
  let high = 32 * OCTAVE;
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if (weightOf(middle) >= weight) low = middle;
    else high = middle;
  }
  return low;
}

/** `fraction` of a sum of weights, where 2^53 is all of it. */
export function partOf(total: number, fraction: number): number {
  return Number((BigInt(total) * BigInt(fraction)) >> 53n);
}

/** A probability below 1 as a fraction for `partOf`: above 0 where it is. */
export function fractionOf(probability: number): number {
  return Math.max(1, Math.floor(probability * 2 ** 53));
}

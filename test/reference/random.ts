/** Seeded random numbers for tests: the same sequence on every machine, so that a printed seed reruns a failure. */

/**
 * Returns a generator of uniform numbers in [0, 1) with 32 random bits each (Tommy Ettinger's "mulberry32" mixer).
 *
 * @param seed Any number; only its low 32 bits count.
 */
export function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 15), z | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Returns a whole number in [0, bound). */
export function randomInteger(random: () => number, bound: number): number {
  return Math.floor(random() * bound);
}

/** Returns a normally distributed number with mean 0 and standard deviation 1 (Box and Muller's transform). */
export function gaussian(random: () => number): number {
  // 1 - u lies in (0, 1], so the logarithm is finite.
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** Returns `length` normally distributed numbers of mean 0 and the given standard deviation. */
export function gaussianArray(random: () => number, length: number, deviation = 1): Float32Array {
  const values = new Float32Array(length);
  for (let i = 0; i < length; i++) values[i] = deviation * gaussian(random);
  return values;
}

/** Frequencies of pairs for models of long contexts, after the papers. Radians per position, in float64. */

/** base^(-2i/d) for the d/2 pairs (Su et al. 2021, 3.3). */
export function plainFrequencies(base: number, dims: number): number[] {
  return Array.from({ length: dims / 2 }, (_, i) => base ** (-(2 * i) / dims));
}

/**
 * "NTK-by-parts" (Peng et al. 2023, 3.2), in the form of the authors' code, where the bounds on the number of turns become
 * whole pair numbers: the ramp runs from the pair of 32 turns to that of one.
 */
export function yarnFrequencies(base: number, dims: number, scale: number, trained: number): number[] {
  const pairOf = (turns: number) => (dims * Math.log(trained / (turns * 2 * Math.PI))) / (2 * Math.log(base));
  const from = Math.max(Math.floor(pairOf(32)), 0);
  const to = Math.min(Math.ceil(pairOf(1)), dims - 1);
  return plainFrequencies(base, dims).map((frequency, i) => {
    const ramp = Math.min(Math.max((i - from) / (to === from ? 0.001 : to - from), 0), 1);
    return ramp * (frequency / scale) + (1 - ramp) * frequency;
  });
}

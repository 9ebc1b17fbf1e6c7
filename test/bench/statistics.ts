/** Medians and spreads of a few rounds. */

/** A figure over the rounds that have it. */
export type Summary = {
  readonly median: number;
  readonly least: number;
  readonly most: number;
  readonly count: number;
};

/** The median of the numbers; NaN if there are none. */
export function median(values: readonly number[]): number {
  if (values.length === 0) return Number.NaN;
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Leaves out what is undefined; gives undefined if nothing is left. */
export function summarise(values: readonly (number | undefined)[]): Summary | undefined {
  const known = values.filter((value) => value !== undefined);
  if (known.length === 0) return undefined;
  return {
    median: median(known),
    least: Math.min(...known),
    most: Math.max(...known),
    count: known.length,
  };
}

/**
 * The median of the ratios within each round, of those that have both figures: what slows a whole round down cancels
 * out. Undefined if no round has both.
 */
export function pairedRatio(
  ours: readonly (number | undefined)[],
  theirs: readonly (number | undefined)[],
): number | undefined {
  const ratios = ours.flatMap((value, i) => {
    const other = theirs[i];
    return value === undefined || other === undefined ? [] : [value / other];
  });
  return ratios.length === 0 ? undefined : median(ratios);
}

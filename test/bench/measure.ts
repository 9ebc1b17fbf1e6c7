/** Fair timing on noisy machines: competitors take turns, round by round, and medians are compared. */

import { digits, table } from "./cells.ts";

/** One thing to time. */
export type Contender = {
  readonly name: string;
  /** Runs once and returns how many units of work that was. */
  readonly run: () => number | Promise<number>;
};

/** Seconds per unit over the rounds. */
export type Timing = {
  readonly name: string;
  readonly median: number;
  readonly least: number;
  readonly most: number;
};

/** Runs every contender once per round, in turn, after one round that does not count. */
export async function takeTurns(contenders: readonly Contender[], rounds: number): Promise<Timing[]> {
  const times = contenders.map((): number[] => []);
  for (let round = 0; round <= rounds; round++) {
    for (const [i, { run }] of contenders.entries()) {
      const start = performance.now();
      const units = await run();
      if (round > 0) times[i].push((performance.now() - start) / 1e3 / units);
    }
  }
  return contenders.map(({ name }, i) => timingOf(name, times[i]));
}

/** What is told of seconds per unit, one for each round. */
export function timingOf(name: string, seconds: readonly number[]): Timing {
  const sorted = seconds.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return { name, median, least: sorted[0], most: sorted[sorted.length - 1] };
}

/** A line of the report: a figure with its spread, and its ratio to the first line of its group. */
export type Line = {
  readonly group: string;
  readonly name: string;
  readonly unit: string;
  readonly median: number;
  readonly least: number;
  readonly most: number;
  readonly ratio: number;
};

/** Seconds per unit as "work per second" (`scale` units of work) or as time per unit (`scale` negative: 1/seconds). */
export function report(
  group: string,
  unit: string,
  timings: readonly Timing[],
  value: (seconds: number) => number,
): Line[] {
  const first = value(timings[0].median);
  return timings.map(({ name, median, least, most }) => {
    const bounds = [value(least), value(most)].toSorted((a, b) => a - b);
    return {
      group,
      name,
      unit,
      median: value(median),
      least: bounds[0],
      most: bounds[1],
      ratio: value(median) / first,
    };
  });
}

/** The report as a Markdown table. */
export function reportTable(lines: readonly Line[]): string {
  const rows = lines.map(({ group, name, unit, median, least, most, ratio }) => [
    group,
    name,
    `${digits(median)} ${unit}`,
    `${digits(least)} .. ${digits(most)}`,
    ratio.toFixed(2),
  ]);
  return table(["what", "variant", "median", "spread", "ratio"], rows).join("\n");
}

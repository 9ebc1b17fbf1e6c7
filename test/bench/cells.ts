/** Figures as the cells of a table of Markdown. */
import type { Summary } from "./statistics.ts";

/** Lines of a table. */
export function table(heads: readonly string[], rows: readonly (readonly string[])[]): string[] {
  return [heads, heads.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`);
}

/** The median, with the least and the most where there are several. */
export function spread(summary: Summary | undefined): string {
  if (summary === undefined) return "";
  const { median, least, most, count } = summary;
  return count === 1 ? digits(median) : `${digits(median)} (${digits(least)} .. ${digits(most)})`;
}

export function percent(share: number | undefined): string {
  return share === undefined || !Number.isFinite(share) ? "" : `${(100 * share).toFixed(0)} %`;
}

/** Three digits. */
export function digits(value: number): string {
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

/** What Nsight Compute (`ncu --csv`) says of kernels, added up. */
import { table } from "../cells.ts";

export type KernelTime = {
  readonly kernel: string;
  /** Blocks and threads of one, as ncu writes them: "(256, 1, 1)". */
  readonly grid: string;
  readonly block: string;
  readonly launches: number;
  /** Of all launches. */
  readonly microseconds: number;
};

const UNITS: Readonly<Record<string, number>> = {
  ns: 1e-3,
  nsecond: 1e-3,
  us: 1,
  usecond: 1,
  ms: 1e3,
  msecond: 1e3,
  s: 1e6,
  second: 1e6,
};

/**
 * Adds up the times of kernels by name and launch, those that take most first. What is no table, as the profiled program's
 * own lines, is passed over.
 *
 * @throws {RangeError} If there is no table, or a time has a unit that is unknown
 */
export function kernelTimes(text: string): KernelTime[] {
  const rows = text
    .split("\n")
    .filter((line) => line.startsWith('"'))
    .map(cellsOf);
  const head = rows.findIndex((cells) => cells.includes("Kernel Name") && cells.includes("Metric Value"));
  if (head < 0) throw new RangeError(`ncu printed no table: "${text.trim().split("\n").at(-1) ?? ""}"`);
  const column = (name: string): number => rows[head].indexOf(name);
  const [kernel, grid, block] = ["Kernel Name", "Grid Size", "Block Size"].map(column);
  const [unit, value] = ["Metric Unit", "Metric Value"].map(column);
  const sums = new Map<string, KernelTime>();
  for (const cells of rows.slice(head + 1)) {
    if (cells.length !== rows[head].length) continue;
    const scale = UNITS[cells[unit]];
    const time = Number(cells[value].replaceAll(",", "")) * scale;
    if (Number.isNaN(time)) throw new RangeError(`ncu's "${cells[value]} ${cells[unit]}" is no time`);
    const key = [cells[kernel], cells[grid], cells[block]].join(" ");
    const known = sums.get(key);
    sums.set(key, {
      kernel: cells[kernel],
      grid: cells[grid],
      block: cells[block],
      launches: (known?.launches ?? 0) + 1,
      microseconds: (known?.microseconds ?? 0) + time,
    });
  }
  return [...sums.values()].toSorted((a, b) => b.microseconds - a.microseconds);
}

/** Cells in quotation marks, with commas between; a quotation mark within is doubled. */
function cellsOf(line: string): string[] {
  return [...line.matchAll(/"((?:[^"]|"")*)"/g)].map(([, cell]) => cell.replaceAll('""', '"'));
}

/** The times as a table of Markdown, for each of so many tokens or of whatever else was profiled. */
export function profileTable(times: readonly KernelTime[], count: number, of: string = "token"): string {
  const all = times.reduce((sum, { microseconds }) => sum + microseconds, 0);
  const rows = times.map(({ kernel, grid, block, launches, microseconds }) => {
    return [
      kernel,
      `${grid} x ${block}`,
      (launches / count).toFixed(1),
      (microseconds / launches).toFixed(2),
      (microseconds / count).toFixed(1),
      `${((100 * microseconds) / all).toFixed(1)} %`,
    ];
  });
  const launches = times.reduce((sum, one) => sum + one.launches, 0);
  return [
    ...table(["kernel", "blocks x threads", `a ${of}`, "µs each", `µs a ${of}`, "share"], rows),
    `| all | | ${(launches / count).toFixed(1)} | ${(all / launches).toFixed(2)} | ${(all / count).toFixed(1)} | |`,
  ].join("\n");
}

// What ncu prints, as it prints it, becomes a table.
import { expect, test } from "bun:test";
import { kernelTimes, profileTable } from "./profile_rows.ts";

const head =
  '"ID","Process ID","Process Name","Host Name","Kernel Name","Context","Stream","Block Size","Grid Size","Device","CC","Section Name","Metric Name","Metric Unit","Metric Value"';
const row = (id: number, kernel: string, grid: string, unit: string, value: string): string =>
  `"${id}","7","bun","127.0.0.1","${kernel}","1","7","(64, 1, 1)","${grid}","0","9.0","Command line profiler metrics","gpu__time_duration.sum","${unit}","${value}"`;
const text = [
  "==PROF== Connected to process 7 (/bin/bun)",
  "making a file",
  head,
  row(0, "matvec_fused_q8_0", "(256, 1, 1)", "ns", "14,208"),
  row(1, "matvec_fused_q8_0", "(32, 1, 1)", "us", "10.4"),
  row(2, "matvec_fused_q8_0", "(256, 1, 1)", "nsecond", "13792"),
  row(3, 'sample""d""', "(1, 1, 1)", "usecond", "2"),
  "==PROF== Disconnected",
].join("\n");

test("times are added up by kernel and grid, the longest first", () => {
  const times = kernelTimes(text);
  expect(times.map(({ kernel, grid, launches }) => `${kernel} ${grid} ${launches}`)).toEqual([
    "matvec_fused_q8_0 (256, 1, 1) 2",
    "matvec_fused_q8_0 (32, 1, 1) 1",
    'sample"d" (1, 1, 1) 1',
  ]);
  expect(times[0].microseconds).toBeCloseTo(28, 9);
  expect(times[1].microseconds).toBeCloseTo(10.4, 9);
});

test("the table says what a token takes", () => {
  const lines = profileTable(kernelTimes(text), 2).split("\n");
  expect(lines[2]).toBe("| matvec_fused_q8_0 | (256, 1, 1) x (64, 1, 1) | 1.0 | 14.00 | 14.0 | 69.3 % |");
  expect(lines.at(-1)).toBe("| all | | 2.0 | 10.10 | 20.2 | |");
});

test("what is no table, or has no times, is told", () => {
  expect(() => kernelTimes("==ERROR== no permission")).toThrow(
    'ncu printed no table: "==ERROR== no permission"',
  );
  expect(() => kernelTimes(`${head}\n${row(0, "k", "(1, 1, 1)", "cycle", "5")}`)).toThrow("is no time");
});

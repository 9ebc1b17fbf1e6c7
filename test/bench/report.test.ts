// Medians, ratios, shares of bandwidth and the page of a comparison.
import { describe, expect, test } from "bun:test";
import { digits } from "./cells.ts";
import { benchModels, bytesPerToken } from "./models.ts";
import { type About, markdown, rowsOf } from "./report.ts";
import type { Run } from "./rounds.ts";
import { median, pairedRatio, summarise } from "./statistics.ts";
import type { Measured, SideName } from "./task.ts";

const [model, other] = benchModels;

function measured(speed: number, part: Partial<Measured> = {}): Measured {
  return {
    importSeconds: 0.1,
    loadSeconds: 0.2,
    firstTokenSeconds: 1,
    prompt: { 128: 10 * speed },
    generation: { 0: speed },
    loaded: undefined,
    memory: { anonymous: 1e6, file: 2e6, resident: 3e6, peak: 4e6 },
    about: { runtime: "Test 1" },
    ...part,
  };
}

function run(side: SideName, round: number, speed: number, part: Partial<Run> = {}): Run {
  const bandwidth = [
    { all: 20, one: 10 },
    { all: 30, one: 12 },
  ];
  return {
    model: model.name,
    round,
    level: "engine",
    side,
    busy: 0.25,
    bandwidth,
    measured: measured(speed),
    ...part,
  };
}

describe("statistics", () => {
  test("the median is the one in the middle, or halfway between the two", () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 100])).toBe(3);
    expect(median([])).toBeNaN();
  });
  test("a summary leaves out what was not measured", () => {
    expect(summarise([5, undefined, 1, 3])).toEqual({ median: 3, least: 1, most: 5, count: 3 });
    expect(summarise([undefined])).toBeUndefined();
  });
  test("ratios are made within rounds that have both figures", () => {
    // Both sides are ten times slower in the second round: the ratio of medians would not be 2.
    expect(pairedRatio([20, 2, undefined, 22], [10, 1, 5, undefined])).toBe(2);
    expect(pairedRatio([undefined, 1], [1, undefined])).toBeUndefined();
  });
});

describe("rows", () => {
  const runs = [
    run("ours", 0, 100),
    run("llama.cpp", 0, 50),
    run("llama.cpp", 1, 60),
    run("ours", 1, 180),
    run("ours", 0, 1, { model: other.name }),
    run("ours", 2, 5, { level: "api" }),
  ];
  const row = (figure: string, level = "engine") =>
    rowsOf(model, runs).find((found) => found.figure === figure && found.level === level);

  test("have the figures of their model and level, and the ratio of each round", () => {
    expect(row("generation at 0")).toMatchObject({
      unit: "tok/s",
      lessIsBetter: false,
      ours: { median: 140, least: 100, most: 180, count: 2 },
      theirs: { median: 55, count: 2 },
      ratio: 2.5,
    });
    expect(row("memory at the end")).toMatchObject({ unit: "MB", lessIsBetter: true, ratio: 1 });
    expect(row("memory at the end")?.ours?.median).toBe(3);
  });
  test("say the share of the bandwidth before and after, where it bounds the figure", () => {
    // The mean of both is 25 GB/s; half of the 64 tokens lie before the one in the middle.
    const bytes = bytesPerToken(model, 32);
    const shares = row("generation at 0")?.shares;
    expect(shares?.ours).toBeCloseTo((bytes * 140) / 25e9, 10);
    expect(shares?.theirs).toBeCloseTo((bytes * 55) / 25e9, 10);
    expect(row("prompt of 128")?.shares).toBeUndefined();
  });
  test("are there for one side alone, and not for figures that nobody has", () => {
    expect(row("generation at 0", "api")).toMatchObject({ theirs: undefined, ratio: undefined });
    expect(row("generation at 2048")).toBeUndefined();
    expect(row("memory when loaded, anonymous")).toBeUndefined();
  });
});

test("bytes of a token are those of all weights but the embedding, and of the positions before it", () => {
  // 110M in F16: 12 layers of 4 * 768 * 768 + 3 * 768 * 2048 in F16 and two norms in F32, an output, a norm.
  const weights = 12 * (2 * (4 * 768 * 768 + 3 * 768 * 2048) + 2 * 4 * 768) + 2 * 768 * 32000 + 4 * 768;
  expect(model.name).toBe("110m-f16");
  expect(bytesPerToken(model, 0)).toBe(weights);
  // Keys and values of 768 numbers in F16, in 12 layers.
  expect(bytesPerToken(model, 10) - weights).toBe(10 * 12 * 2 * 768 * 2);
});

test("numbers have three digits", () => {
  expect([0.01234, 1.2345, 99.94, 123.4, 1999.6].map(digits)).toEqual([
    "0.0123",
    "1.23",
    "99.9",
    "123",
    "2000",
  ]);
});

test("the page has a table for each model, whose rows have as many cells as its head", () => {
  const about: About = {
    date: "2024-01-01",
    commit: "abc",
    command: "make bench",
    machine: {
      processor: "P",
      processors: 2,
      memoryBytes: 2 ** 30,
      system: "linux x64",
      instructions: ["avx2"],
    },
    threads: 2,
    load: true,
    instructions: "all instructions",
    rounds: 1,
  };
  const comparison = {
    runs: [run("ours", 0, 100), run("llama.cpp", 0, 50)],
    choices: [{ model: model.name, flashAttention: true, because: "as told" }],
    failures: ["round 2: it broke\nbadly"],
  };
  const page = markdown(about, benchModels, comparison);
  const table = page.split("\n").filter((line) => line.startsWith("|"));
  expect(table.length).toBeGreaterThan(8);
  for (const line of table) expect(line.split("|").length).toBe(9);
  expect(page).toContain("| engine | generation at 0, tok/s | 100 | 50.0 | 2.00 |");
  expect(page).toContain("another process keeps one processor busy");
  expect(page).toContain("Others kept 25.0 (25.0 .. 25.0) % of the processors busy");
  expect(page).toContain("flash attention of llama.cpp: on, as told");
  expect(page).toContain("- round 2: it broke badly");
  expect(page).not.toContain(other.name);
});

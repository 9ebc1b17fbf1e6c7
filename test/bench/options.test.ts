// The command line of `make bench`.
import { describe, expect, test } from "bun:test";
import { help, OptionError, parts, readOptions, usualParts } from "./options.ts";

const models = ["110m-f16", "110m-q8_0", "1.1b-q8_0", "1.1b-q4_0"];
const read = (...words: string[]) => readOptions(words, models, 8, parts);

function refused(...words: string[]): string {
  try {
    read(...words);
  } catch (error) {
    expect(error).toBeInstanceOf(OptionError);
    return error instanceof Error ? error.message : "";
  }
  throw new Error(`${words.join(" ")} was taken`);
}

test("without options all is measured, in five rounds, on all processors", () => {
  expect(read()).toEqual({
    only: parts,
    rounds: 5,
    models: undefined,
    threads: 8,
    load: false,
    instructions: undefined,
    quick: false,
    budget: 20,
    flashAttention: undefined,
    output: "test/bench/results",
    json: undefined,
  });
});

test("options are read, names in any order", () => {
  const words =
    "--only layers,llama.cpp --models 1.1b-q4_0,110m-f16 --rounds 7 --threads 2 --load --budget 0.5";
  const options = read(...words.split(" "), "--instructions", "avx2", "--flash-attention", "off");
  expect(options).toMatchObject({
    only: ["llama.cpp", "layers"],
    models: ["110m-f16", "1.1b-q4_0"],
    rounds: 7,
    threads: 2,
    load: true,
    budget: 0.5,
    instructions: "avx2",
    flashAttention: false,
  });
});

test("--quick takes the small models and fewer rounds, unless told", () => {
  const quick = { models: ["110m-f16", "110m-q8_0"], rounds: 2, budget: 3 };
  expect(read("--quick")).toMatchObject(quick);
  expect(read("--quick", "--rounds", "4", "--models", "1.1b-q8_0")).toMatchObject({
    models: ["1.1b-q8_0"],
    rounds: 4,
  });
});

test("llama.cpp is compared with on Linux alone unless told", () => {
  expect(usualParts("linux")).toEqual(["llama.cpp", "small", "layers"]);
  expect(usualParts("darwin")).toEqual(["small", "layers"]);
  expect(readOptions([], models, 8, usualParts("darwin"))?.only).toEqual(["small", "layers"]);
});

test("--help wins, and names every option and model", () => {
  expect(read("--help", "--rounds", "none")).toBeUndefined();
  const text = help(models);
  const options =
    "only models rounds quick threads load instructions flash-attention budget output json help";
  for (const name of options.split(" ")) expect(text).toContain(`--${name}`);
  for (const name of models) expect(text).toContain(name);
});

describe("what is wrong is said", () => {
  test("an option that is none", () => {
    expect(refused("--round", "5")).toMatch(/'--round'.*--help/);
    expect(refused("five")).toContain("five");
    expect(refused("--rounds")).toContain("--rounds");
  });
  test("a name that is none, with those that are", () => {
    expect(refused("--models", "1.1b-q9")).toBe(`--models knows ${models.join(", ")}, but not "1.1b-q9"`);
    expect(refused("--only", "layers,all")).toContain('not "all"');
    expect(refused("--instructions", "avx3")).toContain("avx512vnni, avx512, avx2, x86-64-v2, msl");
    expect(refused("--instructions", "toString")).toContain('not "toString"');
    expect(refused("--flash-attention", "maybe")).toContain("on, off, auto");
  });
  test("a number that is none, or out of range", () => {
    for (const text of ["0", "2.5", "many", "", "-1", "1e9", "NaN"])
      expect(refused(`--rounds=${text}`)).toBe(
        `--rounds must be a whole number from 1 to 1000, not "${text}"`,
      );
    expect(refused("--threads", "257")).toContain("from 1 to 256");
    expect(refused("--budget", "0")).toContain("from 0.1 to 3600");
  });
});

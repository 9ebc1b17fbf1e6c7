/** Groups of steps: how large they are, and what becomes of them when they fail or are given up. */
import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import type { ChosenLayout } from "../../src/llama/chosen.ts";
import { Llama } from "../../src/llama/index.ts";
import { type ChoosingModel, Lookahead } from "../../src/llama/lookahead.ts";
import { Pace } from "../../src/llama/pace.ts";
import type { Sequence } from "../../src/llama/sequence.ts";
import { createSampler, type Sampler } from "../../src/sample/index.ts";
import { putTogether } from "./oracle.ts";
import { TemporaryFolder } from "./temporary.ts";
import { tinyModel } from "./tiny_model.ts";

test("Pace.group() is what takes a 30th of a second, at most half of what may be in flight", () => {
  const pace = new Pace();
  expect([1, 2, 16].map((inFlight) => pace.group(inFlight))).toEqual([1, 1, 1]); // nothing is known yet
  const groupAfter = (seconds: number, steps: number, inFlight: number): number => {
    pace.note(seconds, steps);
    return pace.group(inFlight);
  };
  expect(groupAfter(0.0045, 1, 16)).toBe(7);
  expect(groupAfter(0.018, 4, 16)).toBe(7);
  expect(groupAfter(0.0045, 2, 16)).toBe(8);
  expect(groupAfter(0.0045, 2, 32)).toBe(14);
  expect(groupAfter(0.0006, 1, 16)).toBe(8);
  expect(groupAfter(0.0006, 1, 5)).toBe(2);
  expect(groupAfter(0.0006, 1, 1)).toBe(1);
  expect(groupAfter(0, 1, 16)).toBe(8);
  expect(groupAfter(0.5, 1, 16)).toBe(1);
});

test("Pace.group() shares out 32 steps among the generations that there are", () => {
  const pace = new Pace();
  pace.note(0, 1);
  using generations = new DisposableStack();
  const groups: number[] = [];
  for (let i = 0; i < 33; i++) {
    generations.use(pace.begin());
    groups.push(pace.group(16));
  }
  expect(groups.slice(0, 8)).toEqual([8, 8, 5, 4, 3, 2, 2, 2]);
  expect(groups.at(-1)).toBe(1);
  generations.dispose();
  expect(pace.group(16)).toBe(8);
});

class FixedPace extends Pace {
  size = 3;
  readonly noted: { seconds: number; steps: number }[] = [];

  override note(seconds: number, steps: number): void {
    this.noted.push({ seconds, steps });
  }

  override group(): number {
    return this.size;
  }
}

/** One whose steps end at once, or after some milliseconds, one submission after the other. What is chosen after a position is the position and 100. */
class FakeModel implements ChoosingModel {
  layout: ChosenLayout = { inFlight: 8, sequenceCount: 1 };
  readonly pace = new FixedPace();
  milliseconds = 0;
  #end: Promise<unknown> = Promise.resolve();
  /** Of each submission the position of each step, with its choice. */
  readonly submitted: [position: number, choice: number][][] = [];
  /** The token that each submission was given. */
  readonly tokens: (number | undefined)[] = [];
  /** Submissions that fail, by their number. */
  readonly failing = new Set<number>();

  checkAlive(): void {}

  place(_sequence: Sequence, position: number): number {
    return position;
  }

  submit(sequence: Sequence, token: number | undefined, choices: readonly Uint32Array[]): Promise<void> {
    const fails = this.failing.has(this.submitted.length);
    this.tokens.push(token);
    const steps = choices.map(([choice]): [number, number] => {
      sequence.reserve();
      return [sequence.length + sequence.reserved - 1, choice];
    });
    this.submitted.push(steps);
    if (fails) return Promise.reject(new Error("The device has failed"));
    if (this.milliseconds === 0) return Promise.resolve();
    this.#end = this.#end.then(() => new Promise((resolve) => setTimeout(resolve, this.milliseconds)));
    return this.#end.then(() => {});
  }

  read(place: number): number {
    return place + 100;
  }
}

const folder = new TemporaryFolder();
let llama: Llama;
let model: FakeModel;
let sampler: Sampler;

beforeAll(async () => {
  const path = folder.write("tiny.gguf", putTogether(tinyModel()));
  llama = await Llama.load(path, { contextLength: 12 });
});
afterAll(() => {
  llama[Symbol.dispose]();
  folder[Symbol.dispose]();
});
beforeEach(() => {
  model = new FakeModel();
  let drawn = 0;
  sampler = {
    ...createSampler(),
    encode: (words: Uint32Array) => words.fill(drawn++),
  };
});

/** Asks for the tokens after positions `from` to `to`, the first of which has token 7. Returns them. */
async function ask(lookahead: Lookahead, from: number, to: number): Promise<number[]> {
  const tokens: number[] = [];
  for (let position = from; position <= to; position++) {
    tokens.push((await lookahead.next(tokens.at(-1) ?? 7, position)).token);
  }
  return tokens;
}

/** Positions with choices of the same numbers. */
const same = (...positions: number[]): [number, number][] =>
  positions.map((position) => [position, position]);

test("Lookahead has two groups on their way, which become larger, and submits no step that nobody needs", async () => {
  using sequence = llama.sequence();
  using lookahead = new Lookahead(model, sequence, sampler, 8);
  expect(await ask(lookahead, 0, 0)).toEqual([100]);
  expect(model.submitted).toEqual([same(0), same(1)]);
  expect(sequence.tokens).toEqual([7]);
  const next = async (position: number): Promise<void> => {
    expect((await lookahead.next(position + 99, position)).token).toBe(position + 100);
  };
  await next(1);
  expect(model.submitted).toEqual([same(0), same(1), same(2, 3)]);
  await next(2);
  expect(model.submitted.slice(3)).toEqual([same(4, 5, 6)]);
  await next(3);
  expect(model.submitted.length).toBe(4);
  await next(4);
  expect(model.submitted.slice(4)).toEqual([same(7, 8)]);
  for (let position = 5; position <= 8; position++) await next(position);
  expect(model.submitted.length).toBe(5);
  expect(model.tokens).toEqual([7, undefined, undefined, undefined, undefined]);
  expect(sequence.tokens).toEqual([7, 100, 101, 102, 103, 104, 105, 106, 107]);
});

test("Lookahead has two groups on their way, where groups become smaller, too", async () => {
  using sequence = llama.sequence();
  using lookahead = new Lookahead(model, sequence, sampler, 100);
  model.pace.size = 4;
  const tokens = await ask(lookahead, 0, 2);
  expect(tokens.at(-1)).toBe(102);
  model.pace.size = 3;
  for (let position = 3; position <= 4; position++) await lookahead.next(position + 99, position);
  model.pace.size = 1;
  for (let position = 5; position <= 8; position++) await lookahead.next(position + 99, position);
  expect(model.submitted).toEqual([same(0), same(1), same(2, 3), same(4, 5, 6, 7), same(8, 9, 10), same(11)]);
});

test("Lookahead has no more steps in flight than there may be", async () => {
  using sequence = llama.sequence();
  model.layout = { inFlight: 6, sequenceCount: 1 };
  using lookahead = new Lookahead(model, sequence, sampler, 100);
  model.pace.size = 7;
  await ask(lookahead, 0, 4);
  expect(model.submitted.map(({ length }) => length)).toEqual([1, 1, 2, 4, 2]);
});

test("Lookahead shares the time of a group out to its tokens, and counts none twice", async () => {
  using sequence = llama.sequence();
  using lookahead = new Lookahead(model, sequence, sampler, 100);
  model.milliseconds = 3;
  const start = performance.now();
  let seconds = 0;
  for (let position = 0; position <= 9; position++) {
    seconds += (await lookahead.next(position + 99, position)).seconds;
  }
  const passed = (performance.now() - start) / 1e3;
  const { noted } = model.pace;
  expect(noted.map(({ steps }) => steps)).toEqual([1, 1, 2, 3, 3]);
  const sum = noted.reduce((all, group) => all + group.seconds, 0);
  expect(seconds).toBeCloseTo(sum, 9);
  expect(sum).toBeLessThanOrEqual(passed + 1e-9);
});

test("Lookahead fills a sequence, and is told when there is no room", async () => {
  using sequence = llama.sequence();
  using lookahead = new Lookahead(model, sequence, sampler, 100);
  expect((await ask(lookahead, 0, 11)).at(-1)).toBe(111);
  expect(model.submitted.flat()).toEqual(same(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11));
  await expect(lookahead.next(111, 12)).rejects.toThrow("the context holds 12");
  expect(sequence.length).toBe(12);
});

test("Lookahead begins anew with the same random numbers where the sequence was rewound in between", async () => {
  using sequence = llama.sequence();
  using lookahead = new Lookahead(model, sequence, sampler, 100);
  await ask(lookahead, 0, 2); // 3 has landed and was not asked for, and 4 to 6 are in flight
  sequence.rewind(2);
  expect((await lookahead.next(55, 2)).token).toBe(102);
  expect((await lookahead.next(102, 3)).token).toBe(103);
  expect(model.submitted.slice(4)).toEqual([
    [[2, 3]],
    [[3, 4]],
    [
      [4, 5],
      [5, 6],
    ],
  ]);
  expect(model.tokens[4]).toBe(55);
  expect(sequence.tokens).toEqual([7, 100, 55, 102]);
});

test("Lookahead leaves the sequence before a group that has failed, and can go on from there", async () => {
  using sequence = llama.sequence();
  using lookahead = new Lookahead(model, sequence, sampler, 100);
  model.failing.add(3);
  await ask(lookahead, 0, 3);
  await expect(lookahead.next(103, 4)).rejects.toThrow("The device has failed");
  expect(sequence.tokens).toEqual([7, 100, 101, 102]);
  expect(sequence.reserved).toBe(0);
  expect((await lookahead.next(103, 4)).token).toBe(104);
  // What had failed, and what was submitted behind it, has the same random numbers as before.
  expect(model.submitted.slice(3)).toEqual([same(4, 5, 6), same(7, 8, 9), same(4), same(5)]);
});

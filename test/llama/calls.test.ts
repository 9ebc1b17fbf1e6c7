// What a generated token costs beside arithmetic: one native call, no native object, and none of the event loop's time.
import { expect, setDefaultTimeout, test } from "bun:test";
import { Llama } from "../../src/llama/index.ts";
import { countNativeCalls } from "../../src/runtime/index.ts";
import { expectNoMoreThan, liveObjects } from "./live.ts";
import { models } from "./oracle.ts";

// Work is bounded by the tests themselves; a machine may be slow or busy.
setDefaultTimeout(120_000);

test("Llama.generate() makes one native call per token, and no native objects", async () => {
  using llama = await Llama.load(models.q8_0);
  const generation = llama.generate("It is a truth universally acknowledged", {
    temperature: 0,
    maxTokens: 100,
  });
  // The first piece comes with the prompt; a few more tokens settle what is made once.
  for (let i = 0; i < 5; i++) await generation.next();
  const before = await liveObjects();
  const tokensBefore = llama.statistics.generatedTokens;
  {
    using count = countNativeCalls();
    for (let i = 0; i < 60; i++) await generation.next();
    const tokens = llama.statistics.generatedTokens - tokensBefore;
    expect(tokens).toBeGreaterThanOrEqual(60);
    expect(Object.fromEntries(count.calls)).toEqual({ bm_program_submit: tokens });
  }
  await expectNoMoreThan(before);
  await generation.return({ reason: "maxTokens", promptTokens: 0, reusedTokens: 0, generatedTokens: 0 });
});

test("Llama.decode() makes one native call per batch of a prompt", async () => {
  using llama = await Llama.load(models.q8_0, { batchSize: 32 });
  using sequence = llama.sequence();
  const rows = Array.from({ length: 100 }, (_, i) => ({
    token: 300 + i,
    position: i,
    sequence,
    wantsLogits: i === 99,
  }));
  await llama.decode(rows); // makes the device's queue, and compiles the steps
  sequence.rewind(0);
  using count = countNativeCalls();
  await llama.decode(rows);
  expect(Object.fromEntries(count.calls)).toEqual({ bm_program_submit: 4 });
});

/** A timer that fires every millisecond, if the event loop lets it. */
class Ticker implements Disposable {
  count = 0;
  readonly #timer: NodeJS.Timeout = setInterval(() => this.count++, 1);

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

test("Llama.generate() leaves the event loop free between tokens", async () => {
  using llama = await Llama.load(models.f16);
  using ticker = new Ticker();
  const ticksAtPieces: number[] = [];
  for await (const _ of llama.generate("Emma", { temperature: 0, maxTokens: 200 }))
    ticksAtPieces.push(ticker.count);
  expect(ticksAtPieces.length).toBeGreaterThan(100);
  // All over the text, not in one burst at its end: many pieces see a count that the piece before did not.
  expect(new Set(ticksAtPieces).size).toBeGreaterThan(20);
});

test("Llama.decode() leaves the event loop free within a step", async () => {
  using llama = await Llama.load(models.q8_0, { batchSize: 512 });
  using sequence = llama.sequence();
  const rows = Array.from({ length: 512 }, (_, position) => ({ token: 300, position, sequence }));
  // One step of 512 rows is 3 billion multiplications. A blocked loop would fire once at most, when it is over.
  const ticks: number[] = [];
  for (let step = 0; step < 3; step++) {
    sequence.rewind(0);
    using ticker = new Ticker();
    using count = countNativeCalls();
    await llama.decode(rows);
    ticks.push(ticker.count);
    expect(count.calls.get("bm_program_submit")).toBe(1);
  }
  expect(Math.max(...ticks)).toBeGreaterThanOrEqual(3);
});

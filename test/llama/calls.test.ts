// What a generated token costs beside arithmetic: one native call at most, no native object, and none of the event loop's time.
import { expect, setDefaultTimeout, test } from "bun:test";
import { Llama } from "../../src/llama/index.ts";
import { countNativeCalls } from "../../src/runtime/index.ts";
import { liveObjects } from "./live.ts";
import { models } from "./oracle.ts";

// Work is bounded by the tests themselves; a machine may be slow or busy.
setDefaultTimeout(120_000);

/** Pieces between two looks at what is alive. */
const PIECES = 15;

/** Generates some pieces. Returns by how many objects more are alive then. */
async function objectsMade(
  llama: Llama,
  generation: AsyncGenerator<string, unknown, void>,
  tokensInFlight: number,
): Promise<number> {
  const before = await liveObjects();
  const tokensBefore = llama.statistics.generatedTokens;
  {
    using count = countNativeCalls();
    for (let i = 0; i < PIECES; i++) await generation.next();
    const tokens = llama.statistics.generatedTokens - tokensBefore;
    expect(tokens).toBeGreaterThanOrEqual(PIECES);
    // Groups are as large as half of what may be in flight, on a quick machine, or single steps on a slow one.
    const group = Math.max(1, Math.floor(tokensInFlight / 2));
    const calls = count.calls.get("bm_program_submit") ?? 0;
    expect(calls).toBeLessThanOrEqual(tokens);
    expect(calls).toBeGreaterThanOrEqual(tokensInFlight === 0 ? tokens : Math.floor(tokens / group) - 1);
    expect([...count.calls.keys()]).toEqual(["bm_program_submit"]);
  }
  const { objects, handles } = await liveObjects();
  expect(handles).toEqual(before.handles);
  return objects - before.objects;
}

test.each([0, 4])(
  "Llama.generate() makes one native call per token at most, and no native objects, %d ahead",
  async (tokensInFlight) => {
    using llama = await Llama.load(models.q8_0, { tokensInFlight });
    const generation = llama.generate("It is a truth universally acknowledged", {
      temperature: 0,
      maxTokens: 200,
    });
    // The first piece comes with the prompt; a few more tokens settle what is made once.
    for (let i = 0; i < 5; i++) await generation.next();
    // As many steps as ever were in flight at once keep their words and commands: how many is the device's affair, but it
    // cannot grow more often than that.
    const made: number[] = [];
    do made.push(await objectsMade(llama, generation, tokensInFlight));
    while (made[made.length - 1] > 0 && made.length <= tokensInFlight);
    expect(made.at(-1), made.join()).toBeLessThanOrEqual(0);
    await generation.return({ reason: "maxTokens", promptTokens: 0, reusedTokens: 0, generatedTokens: 0 });
  },
);

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

/** Counts the turns of the event loop, which are many for as long as it has nothing else to do. */
class Ticker implements Disposable {
  count = 0;
  #immediate: NodeJS.Immediate = setImmediate(() => this.#tick());

  #tick(): void {
    this.count++;
    this.#immediate = setImmediate(() => this.#tick());
  }

  [Symbol.dispose](): void {
    clearImmediate(this.#immediate);
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
  // One step of 512 rows is 3 billion multiplications. A blocked loop would turn once or twice, when it is over.
  const ticks: number[] = [];
  for (let step = 0; step < 3; step++) {
    sequence.rewind(0);
    using ticker = new Ticker();
    using count = countNativeCalls();
    await llama.decode(rows);
    ticks.push(ticker.count);
    expect(count.calls.get("bm_program_submit")).toBe(1);
  }
  expect(Math.max(...ticks)).toBeGreaterThanOrEqual(10);
});

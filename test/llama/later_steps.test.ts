// The steps of several rows, which are compiled when they are first needed: what they take is checked when the model is
// loaded, and where compiling one fails, nothing has happened.
import { expect, setDefaultTimeout, test } from "bun:test";
import { Llama, MemoryError, type Row } from "../../src/llama/index.ts";
import { BridgeError, countNativeCalls } from "../../src/runtime/index.ts";
import { deviceAs } from "./devices.ts";
import { expectNoMoreThan, liveObjects } from "./live.ts";
import { largestDifference, models } from "./oracle.ts";

// Work is bounded by the tests themselves; a machine may be slow or busy.
setDefaultTimeout(120_000);

const VOCABULARY = 4096;
/** Logits of the steps of 1, 7 and 16 rows that can have some. */
const LOGITS_BYTES = (1 + 7 + 16) * VOCABULARY * 4;

test("Llama.load() counts all steps, which are compiled once and when they are needed", async () => {
  const before = await liveObjects();
  {
    using small = deviceAs({ workingSet: 9_500_000 });
    const error = await Llama.load(models.q8_0, { device: small }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(MemoryError);
    const { needed, message } = error as MemoryError;
    const activations = Number(/activations of (\d+) bytes/.exec(message)?.[1]);

    using tooSmall = deviceAs({ workingSet: needed - 1 });
    expect(await Llama.load(models.q8_0, { device: tooSmall }).catch(String)).toContain(`needs ${needed}`);
    using enough = deviceAs({ workingSet: needed });
    using llama = await Llama.load(models.q8_0, { device: enough });
    using sequence = llama.sequence();
    const held: number[] = [llama.statistics.activationBytes];
    for (const [count, programs] of [
      [2, 1],
      [7, undefined],
      [8, 1],
      [100, undefined],
      [1, undefined],
    ] as const) {
      sequence.rewind(0);
      using calls = countNativeCalls();
      await llama.decode(
        Array.from({ length: count }, (_, position) => ({ token: 300, position, sequence })),
      );
      expect(calls.calls.get("bm_program_new"), `${count} rows`).toBe(programs);
      held.push(llama.statistics.activationBytes);
    }
    const [one, few, again, all, ...last] = held;
    expect([one < few, again, few < all, last]).toEqual([true, few, true, [all, all]]);
    expect(all).toBe(activations - LOGITS_BYTES);
  }
  await expectNoMoreThan(before);
});

test("Llama.load() refuses more rows and blocks than a step can name, whichever is compiled at once", async () => {
  const before = await liveObjects();
  {
    // Where memory is no limit: the cache has 195 GB.
    using device = deviceAs({ maxBufferLength: 2 ** 44 });
    const options = { device, batchSize: 65536, maxSequences: 62000, exceedWorkingSet: true };
    const error = await Llama.load(models.q8_0, options).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(RangeError);
    expect(String(error)).toContain('Words "blockTables" take 992000 of the 786288 words left of a run');
  }
  await expectNoMoreThan(before);
});

test("Llama.decode() fails cleanly where there is no memory for a step", async () => {
  const before = await liveObjects();
  {
    using device = deviceAs({});
    using llama = await Llama.load(models.q8_0, { device });
    using sequence = llama.sequence();
    const row = (position: number): Row => ({ token: 300, position, sequence, wantsLogits: position === 2 });
    await llama.decode([row(0)]);
    const loaded = await liveObjects();
    Object.defineProperty(device, "buffer", {
      configurable: true,
      value: (): never => {
        throw new BridgeError("memory", "There is no room");
      },
    });
    expect(await llama.decode([row(1), row(2)]).catch(String)).toContain("There is no room");
    expect(sequence.tokens).toEqual([300]);
    await expectNoMoreThan(loaded);

    Reflect.deleteProperty(device, "buffer");
    const [logits] = await llama.decode([row(1), row(2)]);
    sequence.rewind(1);
    await llama.decode([row(1)]);
    const [expected] = await llama.decode([row(2)]);
    expect(largestDifference(logits, Float64Array.from(expected))).toBeLessThan(1e-3);
  }
  await expectNoMoreThan(before);
});

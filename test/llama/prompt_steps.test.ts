// Prompts of several steps, of which a device that is not the CPU itself gets the next before the last is over: the same logits,
// and sequences that hold what succeeded, when a step fails or the prompt is aborted. And how many rows a step has by default.
import { expect, setDefaultTimeout, test } from "bun:test";
import { Llama, type Row, type Sequence } from "../../src/llama/index.ts";
import { BridgeError, type Device } from "../../src/runtime/index.ts";
import { deviceAs } from "./devices.ts";
import { largestDifference, models } from "./oracle.ts";
import { roundingOfLogits } from "./rounding.ts";

// Work is bounded by the tests themselves; a machine may be slow or busy.
setDefaultTimeout(120_000);

const BATCH = 8;
const text = Array.from({ length: 7 * BATCH + 3 }, (_, i) => 300 + 7 * i);
const SAME = 1e-4 + roundingOfLogits("q8_0");

function rowsFor(sequence: Sequence, tokens: readonly number[]): Row[] {
  const start = sequence.length;
  const row = (token: number, i: number): Row => ({
    token,
    position: start + i,
    sequence,
    wantsLogits: i === tokens.length - 1,
  });
  return tokens.map(row);
}

/** Has `before` called before each submission, with its number from 0 on. Returns how many were on their way, each time. */
function watchSubmissions(device: Device, before: (number: number) => void): number[] {
  const { queue } = device;
  const submit = queue.submit.bind(queue);
  const underWay: number[] = [];
  let count = 0;
  const watched: typeof submit = async (program, words) => {
    before(underWay.length);
    underWay.push(++count);
    await submit(program, words).finally(() => count--);
  };
  Object.defineProperty(queue, "submit", { configurable: true, value: watched });
  return underWay;
}

/** A device whose lanes are not serial, a model on it, and the logits after `text` in one step each. */
async function open(): Promise<{
  device: Device;
  llama: Llama;
  expected: Float32Array;
  owned: DisposableStack;
}> {
  using owned = new DisposableStack();
  const device = owned.use(deviceAs({ serialLanes: false }));
  const llama = owned.use(await Llama.load(models.q8_0, { device, batchSize: BATCH }));
  using sequence = llama.sequence();
  let expected: Float32Array = new Float32Array();
  for (let i = 0; i < text.length; i += BATCH)
    [expected = expected] = await llama.decode(rowsFor(sequence, text.slice(i, i + BATCH)));
  return { device, llama, expected, owned: owned.move() };
}

test("Llama.decode() gives the device steps of a prompt before the last is over, with the same logits", async () => {
  const { device, llama, expected, owned } = await open();
  using _owned = owned;
  const underWay = watchSubmissions(device, () => {});
  using sequence = llama.sequence();
  const [logits] = await llama.decode(rowsFor(sequence, text));
  expect(largestDifference(logits, Float64Array.from(expected))).toBeLessThan(SAME);
  expect(underWay.length).toBe(8);
  expect([Math.min(...underWay), Math.max(...underWay)]).toEqual([1, 3]);
});

test("Llama.decode() keeps the steps before one that fails", async () => {
  const { device, llama, expected, owned } = await open();
  using _owned = owned;
  using sequence = llama.sequence();
  const underWay = watchSubmissions(device, (number) => {
    if (number === 3) throw new BridgeError("execution", "The step failed");
  });
  expect(String(await llama.decode(rowsFor(sequence, text)).catch(String))).toContain("The step failed");
  expect(sequence.tokens).toEqual(text.slice(0, 3 * BATCH));
  expect(underWay.length).toBe(3);
  Reflect.deleteProperty(device.queue, "submit");
  const [logits] = await llama.decode(rowsFor(sequence, text.slice(3 * BATCH)));
  expect(largestDifference(logits, Float64Array.from(expected))).toBeLessThan(SAME);
});

test("Llama.decode() that is aborted keeps the steps that were on their way", async () => {
  const { device, llama, expected, owned } = await open();
  using _owned = owned;
  using sequence = llama.sequence();
  const stop = new AbortController();
  watchSubmissions(device, (number) => {
    if (number === 1) stop.abort(new Error("Changed my mind"));
  });
  const aborted = llama.decode(rowsFor(sequence, text), { signal: stop.signal });
  expect(String(await aborted.catch(String))).toContain("Changed my mind");
  expect(sequence.tokens).toEqual(text.slice(0, 2 * BATCH));
  Reflect.deleteProperty(device.queue, "submit");
  const [logits] = await llama.decode(rowsFor(sequence, text.slice(2 * BATCH)));
  expect(largestDifference(logits, Float64Array.from(expected))).toBeLessThan(SAME);
});

test.each([
  ["cpu-x86-64-v4+avx512vnni", true, 3],
  ["cpu-x86-64-v4+amx", true, 1],
  ["applegpu_g13g", false, 1],
])(
  "a prompt of 300 rows takes few steps where many rows at once are faster: %s",
  async (architecture, serialLanes, steps) => {
    using device = deviceAs({ architecture, serialLanes });
    using llama = await Llama.load(models.q8_0, { device });
    using sequence = llama.sequence();
    const underWay = watchSubmissions(device, () => {});
    const tokens = Array.from({ length: 300 }, (_, i) => 1 + i);
    await llama.decode(rowsFor(sequence, tokens));
    expect(underWay.length).toBe(steps);
  },
);

import { expect, setDefaultTimeout, test } from "bun:test";
import { ContextFullError, type KvType, Llama, type Row, type Sequence } from "../../src/llama/index.ts";
import { Device, ReleasedError } from "../../src/runtime/index.ts";
import { goldenTokens, readGolden } from "./golden.ts";
import { largestDifference, models } from "./oracle.ts";
import { roundingOfLogits } from "./rounding.ts";

// Work is bounded by the tests themselves; a machine may be slow or busy.
setDefaultTimeout(120_000);

const tokens = goldenTokens(await readGolden(), 120);

/** Rows that continue the sequence; only the last wants logits. */
function rowsFor(sequence: Sequence, following: readonly number[]): Row[] {
  const start = sequence.length;
  return following.map((token, i) => ({
    token,
    position: start + i,
    sequence,
    wantsLogits: i === following.length - 1,
  }));
}

/** Logits after the tokens, in a sequence of their own. */
async function alone(llama: Llama, text: readonly number[]): Promise<Float32Array> {
  using sequence = llama.sequence();
  const [logits] = await llama.decode(rowsFor(sequence, text));
  return logits;
}

/** Kernels for one row and for many add in another order, so that equal texts differ in the last bits. */
const SAME = 1e-4 + roundingOfLogits("q8_0");

const load = (maxSequences: number): Promise<Llama> =>
  Llama.load(models.q8_0, { maxSequences, kvType: "f32" });

test("Llama.decode() computes several sequences in one batch as it does each alone", async () => {
  using llama = await load(4);
  const texts = [tokens.slice(0, 37), [1, ...tokens.slice(50, 60)], [1, ...tokens.slice(80, 119)]];
  const expected: Float32Array[] = [];
  for (const text of texts) expected.push(await alone(llama, text));

  const sequences = texts.map(() => llama.sequence());
  const rows = texts.map((text, i) => rowsFor(sequences[i], text));
  // Interleaved, as they would be when they arrive at different times.
  const mixed: Row[] = [];
  for (let i = 0; i < 40; i++) mixed.push(...rows.flatMap((list) => list.slice(i, i + 1)));
  const logits = await llama.decode(mixed);
  const order = mixed.filter((row) => row.wantsLogits).map(({ sequence }) => sequences.indexOf(sequence));
  expect(order.toSorted()).toEqual([0, 1, 2]);
  order.forEach((text, i) => {
    expect(largestDifference(logits[i], expected[text]), `text ${text}`).toBeLessThan(SAME);
  });

  // One more token of each, in one step.
  const next = await llama.decode(sequences.flatMap((sequence) => rowsFor(sequence, [500])));
  for (const sequence of sequences) sequence[Symbol.dispose]();
  for (const [i, text] of texts.entries()) {
    expect(largestDifference(next[i], await alone(llama, [...text, 500]))).toBeLessThan(SAME);
  }
});

test("Llama.decode() gives logits for every row that wants them, also where a step has no room for all", async () => {
  using llama = await load(1);
  const text = tokens.slice(0, 40);
  using sequence = llama.sequence();
  const all = await llama.decode(rowsFor(sequence, text).map((row) => ({ ...row, wantsLogits: true })));
  sequence[Symbol.dispose]();
  expect(all.length).toBe(40);
  for (const position of [0, 15, 16, 17, 31, 39]) {
    const expected = await alone(llama, text.slice(0, position + 1));
    expect(largestDifference(all[position], expected), `position ${position}`).toBeLessThan(SAME);
  }
});

/**
 * The same of each type of cache. What is rounded may fall to the other side of an edge where the last bits differ: a step of
 * F16 or of Q8_0 in some element, which moves logits less than rounding all of them does (see model.test.ts).
 */
const sameOf: Readonly<Record<KvType, number>> = { f32: SAME, f16: 3e-3 + SAME, q8_0: 5e-2 + SAME };
const kvTypes = ["f32", "f16", "q8_0"] as const satisfies KvType[];

test.each(kvTypes)(
  "Sequence.rewind() lets another continuation follow as if the first had never been, with a cache of %s",
  async (kvType) => {
    // A batch smaller than the texts: they go in several steps, the last of which is not full.
    using llama = await Llama.load(models.q8_0, { maxSequences: 2, kvType, batchSize: 24 });
    const other = [1, ...tokens.slice(70, 100)];
    using sequence = llama.sequence();
    await llama.decode(rowsFor(sequence, tokens.slice(0, 75)));
    for (const length of [33, 20, 1]) {
      sequence.rewind(length);
      const [logits] = await llama.decode(rowsFor(sequence, other));
      const expected = await alone(llama, [...tokens.slice(0, length), ...other]);
      expect(largestDifference(logits, expected), `rewound to ${length}`).toBeLessThan(sameOf[kvType]);
    }
    expect(() => sequence.rewind(1000)).toThrow("Cannot rewind sequence");
  },
);

test.each(kvTypes)(
  "Sequence.fork() shares a prefix: both sides go on as if each had computed it, with a cache of %s",
  async (kvType) => {
    using llama = await Llama.load(models.q8_0, { maxSequences: 4, kvType });
    // 40 positions are a full block and a part of one, 64 are two full ones.
    for (const length of [40, 64]) {
      const prefix = tokens.slice(0, length);
      using first = llama.sequence();
      await llama.decode(rowsFor(first, prefix));
      using second = first.fork();
      using third = first.fork(10);
      expect(second.tokens).toEqual(prefix);
      const ends = [tokens.slice(70, 90), tokens.slice(90, 110), tokens.slice(100, 120)];
      const logits = await llama.decode([first, second, third].flatMap((s, i) => rowsFor(s, ends[i])));
      const texts = [
        [...prefix, ...ends[0]],
        [...prefix, ...ends[1]],
        [...prefix.slice(0, 10), ...ends[2]],
      ];
      for (const [i, text] of texts.entries()) {
        expect(largestDifference(logits[i], await alone(llama, text)), `${length} shared, ${i}`).toBeLessThan(
          sameOf[kvType],
        );
      }
    }
  },
);

test("Sequence.fork() outlives the sequence it was made from", async () => {
  using llama = await load(3);
  const first = llama.sequence();
  await llama.decode(rowsFor(first, tokens.slice(0, 40)));
  using second = first.fork();
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  using noise = llama.sequence();
  await llama.decode(rowsFor(noise, [1, ...tokens.slice(60, 110)]));
  const [logits] = await llama.decode(rowsFor(second, [500]));
  noise[Symbol.dispose]();
  expect(largestDifference(logits, await alone(llama, [...tokens.slice(0, 40), 500]))).toBeLessThan(SAME);
  expect(() => first.rewind(0)).toThrow("was disposed");
  expect(() => first.fork()).toThrow("was disposed");
});

test("Llama.decode() refuses rows that cannot be, and changes nothing", async () => {
  using llama = await load(2);
  using other = await load(1);
  using sequence = llama.sequence();
  using foreign = other.sequence();
  const closed = llama.sequence();
  closed[Symbol.dispose]();
  await llama.decode(rowsFor(sequence, tokens.slice(0, 5)));
  const row = (change: Partial<Row>): Row[] => [{ token: 5, position: 5, sequence, ...change }];
  const cases: [Row[], string][] = [
    [row({ token: 4096 }), "Token 4096 is not in the vocabulary of 4096"],
    [row({ token: -1 }), "Token -1 is not in the vocabulary"],
    [row({ token: 1.5 }), "Token 1.5 is not in the vocabulary"],
    [row({ position: 4 }), "Position 4 does not follow: the next of sequence 0 is 5"],
    [row({ position: 6 }), "Position 6 does not follow"],
    [[...row({}), ...row({})], "Position 5 does not follow: the next of sequence 0 is 6"],
    [row({ sequence: foreign, position: 0 }), "belongs to another model"],
    [row({ sequence: closed, position: 0 }), "was disposed"],
  ];
  for (const [rows, message] of cases) expect(llama.decode(rows)).rejects.toThrow(message);
  const tooMany = Array.from({ length: 508 }, (_, i) => ({ token: 5, position: 5 + i, sequence }));
  await expect(llama.decode(tooMany)).rejects.toThrow(ContextFullError);
  expect(await llama.decode([])).toEqual([]);
  expect(sequence.length).toBe(5);
  using last = llama.sequence();
  expect(() => llama.sequence()).toThrow("all 2 are in use");
  expect(last.length).toBe(0);
});

test("Llama.decode() runs calls one after the other, whoever waits for them", async () => {
  using llama = await load(3);
  const texts = [tokens.slice(0, 50), [1, ...tokens.slice(60, 100)], [1, 500]];
  const sequences = texts.map(() => llama.sequence());
  let running = true;
  let mostInFlight = 0;
  const watch = async (): Promise<void> => {
    while (running) {
      mostInFlight = Math.max(mostInFlight, Device.statistics().inFlight);
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const watching = watch();
  const together = await Promise.all(texts.map((text, i) => llama.decode(rowsFor(sequences[i], text))));
  running = false;
  await watching;
  expect(mostInFlight).toBe(1);
  for (const sequence of sequences) sequence[Symbol.dispose]();
  for (const [i, text] of texts.entries()) {
    expect(largestDifference(together[i][0], await alone(llama, text))).toBeLessThan(SAME);
  }
});

test("Llama.decode() leaves the sequences as they were when the device fails", async () => {
  using device = Device.open();
  using llama = await Llama.load(models.q8_0, { device, maxSequences: 2 });
  using first = llama.sequence();
  using second = llama.sequence();
  await llama.decode(rowsFor(first, tokens.slice(0, 5)));
  device[Symbol.dispose](); // its queue goes with it
  const rows = [...rowsFor(first, tokens.slice(5, 40)), ...rowsFor(second, tokens.slice(0, 3))];
  expect(await llama.decode(rows).catch((error: unknown) => error)).toBeInstanceOf(ReleasedError);
  expect(first.tokens).toEqual(tokens.slice(0, 5));
  expect(second.length).toBe(0);
});

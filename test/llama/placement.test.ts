// Models on devices with other limits and other memory than this machine's: the same logits, bit by bit, or an error
// that says what is too much.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { Buffer } from "node:buffer";
import { closeSync, openSync, truncateSync, writeSync } from "node:fs";
import { join } from "node:path";
import { openGguf } from "../../src/gguf/index.ts";
import { Llama, type LoadOptions, MemoryError, ModelError } from "../../src/llama/index.ts";
import type { Device, DeviceInfo } from "../../src/runtime/index.ts";
import { deviceAs, deviceWithoutMappings } from "./devices.ts";
import { expectNoMoreThan, type LiveObjects, liveObjects } from "./live.ts";
import { models, putTogether } from "./oracle.ts";
import { TemporaryFolder } from "./temporary.ts";
import { tinyModel } from "./tiny_model.ts";

// Work is bounded by the tests themselves; a machine may be slow or busy.
setDefaultTimeout(120_000);

const folder = new TemporaryFolder();
let before: LiveObjects;

beforeAll(async () => {
  before = await liveObjects();
});

afterAll(() => folder[Symbol.dispose]());

/** A little over the largest tensor, 4096 rows of 256 in Q8_0: five buffers of weights, and some of the cache. */
const SMALL_BUFFER = 1.2 * 2 ** 20;

/** Logits after the last token of some text, and after a token more in a copy of its sequence; with a greedy text. */
async function behaviour(path: string, device: Device, options: LoadOptions = {}) {
  using llama = await Llama.load(path, { device, batchSize: 32, maxSequences: 2, ...options });
  const tokens = llama.tokenizer.encode("It is a truth universally acknowledged");
  using sequence = llama.sequence();
  const rows = tokens.map((token, position) => ({
    token,
    position,
    sequence,
    wantsLogits: position === tokens.length - 1,
  }));
  const [logits] = await llama.decode(rows);
  // The fork shares the last block and writes into it: it gets a copy of its own, in every buffer of the cache.
  using fork = sequence.fork();
  const next = { token: tokens[1], position: tokens.length, wantsLogits: true };
  const [forked] = await llama.decode([{ ...next, sequence: fork }]);
  sequence[Symbol.dispose]();
  fork[Symbol.dispose]();
  let text = "";
  for await (const piece of llama.generate("Emma was", { temperature: 0, maxTokens: 24 })) text += piece;
  return { logits: Float32Array.of(...logits, ...forked), text, statistics: llama.statistics };
}

/** What loading throws. Fails if it does not. */
async function loadError(changes: Partial<DeviceInfo>, options: LoadOptions = {}): Promise<Error> {
  using device = deviceAs(changes);
  let error: unknown;
  try {
    using llama = await Llama.load(models.q8_0, { ...options, device });
    error = new Error(`${llama.config.name} was loaded`);
  } catch (thrown) {
    error = thrown;
  }
  if (error instanceof Error) return error;
  throw new TypeError(`${error} is no error`);
}

describe("Llama on other devices", () => {
  test("Llama gives the same logits and text wherever its weights are, in one buffer or in many", async () => {
    using plain = deviceAs({ weightStorage: "shared" });
    const expected = await behaviour(models.q8_0, plain);
    expect(expected.statistics).toMatchObject({ weightPlacement: "mapped", weightBuffers: 1 });
    expect(expected.text.length).toBeGreaterThan(20);
    plain.dispose();

    const small = { maxBufferLength: SMALL_BUFFER };
    const ways = [
      ["mapped", 6, () => deviceAs({ weightStorage: "shared", ...small })],
      ["private", 1, () => deviceAs({ weightStorage: "private" })],
      ["private", 6, () => deviceAs({ weightStorage: "private", ...small })],
      ["copied", 1, () => deviceWithoutMappings({ weightStorage: "shared" })],
      ["copied", 6, () => deviceWithoutMappings({ weightStorage: "shared", ...small })],
    ] as const;
    for (const [weightPlacement, weightBuffers, open] of ways) {
      using device = open();
      const { logits, text, statistics } = await behaviour(models.q8_0, device);
      expect(statistics).toMatchObject({
        weightPlacement,
        weightBuffers,
        weightBytes: expected.statistics.weightBytes,
        kvBytes: expected.statistics.kvBytes,
        barriersPerToken: expected.statistics.barriersPerToken,
      });
      const label = `${weightPlacement} in ${weightBuffers}`;
      expect(text, label).toBe(expected.text);
      expect(Buffer.compare(asBytes(logits), asBytes(expected.logits)), label).toBe(0);
    }
    await expectNoMoreThan(before);
  });

  test("Llama.load() stops in the midst of placing the weights when aborted", async () => {
    const reason = new Error("Changed my mind");
    {
      using device = deviceAs({ weightStorage: "private", maxBufferLength: SMALL_BUFFER });
      const stop = new AbortController();
      const fractions: number[] = [];
      const loading = Llama.load(models.q8_0, {
        device,
        batchSize: 32,
        signal: stop.signal,
        onProgress: ({ stage, fraction }) => {
          if (stage === "placing the weights") fractions.push(fraction);
          if (fractions.length === 3) stop.abort(reason);
        },
      });
      expect(await loading.catch((error: unknown) => error)).toBe(reason);
      expect(fractions.length).toBe(3);
    }
    await expectNoMoreThan(before);
  });

  test("Llama.load() finds weights that lie beyond 4 GiB in the file", async () => {
    const { metadata, tensors } = tinyModel();
    const contiguous = folder.write("contiguous.gguf", putTogether({ metadata, tensors }));
    const sparse = join(folder.path, "sparse.gguf");
    writeSparse(sparse, tensors.length);
    using plain = deviceAs({ weightStorage: "shared" });
    const expected = await behaviour(contiguous, plain);
    for (const weightStorage of ["shared", "private"] as const) {
      using device = deviceAs({ weightStorage });
      const { logits, text, statistics } = await behaviour(sparse, device);
      expect(statistics.weightBuffers).toBe(3);
      expect(text).toBe(expected.text);
      expect(Buffer.compare(asBytes(logits), asBytes(expected.logits))).toBe(0);
    }
  });
});

describe("Llama on devices with too little memory", () => {
  test("Llama.load() says what takes how much of the working set, and goes on if it is told to", async () => {
    const workingSet = 8_000_000; // the weights alone are 6.1 MB, the cache 3.1 MB
    const error = await loadError({ workingSet });
    expect(error).toBeInstanceOf(MemoryError);
    expect(error.message).toMatch(
      /^Cannot hold the model in the 8000000 bytes that are best used on \S+: it needs \d+, for weights of 61\d{5} bytes and a KV cache of 3145728 bytes; load with a smaller contextLength or batchSize, with kvType "f16", use a file with a smaller quantisation, or try anyway with exceedWorkingSet$/,
    );
    expect(error).toHaveProperty("available", workingSet);
    // With activations: what fits without them does not with them, but the advice that it gives helps.
    const close = { workingSet: 9_500_000 };
    expect((await loadError(close)).message).toMatch(/and activations of \d+ bytes; load with a smaller/);
    expect((await loadError(close, { kvType: "f16", batchSize: 8 })).message).toMatch(/ was loaded$/);
    for (const options of [{ workingSet }, { workingSet: 1 }]) {
      expect((await loadError(options, { exceedWorkingSet: true })).message).toMatch(/ was loaded$/);
    }
    // Where the system does not say how much there is.
    expect((await loadError({ workingSet: 0 })).message).toMatch(/ was loaded$/);
    await expectNoMoreThan(before);
  });

  test("Llama.load() names what is over the largest buffer: a tensor, the keys of a layer, or activations", async () => {
    const tensor = await loadError({ maxBufferLength: 2 ** 20 });
    expect(tensor).toBeInstanceOf(ModelError);
    expect(tensor).toHaveProperty("field", "token_embd.weight");
    const keys = await loadError({ maxBufferLength: SMALL_BUFFER }, { maxSequences: 8 });
    expect(keys).toBeInstanceOf(MemoryError);
    expect(keys.message).toContain("the keys of one layer take 2097152");
    const activations = await loadError({ maxBufferLength: SMALL_BUFFER }, { batchSize: 512 });
    expect(activations).toBeInstanceOf(MemoryError);
    expect(activations.message).toContain("load with a smaller batchSize");
    await expectNoMoreThan(before);
  });
});

/** The tiny model with its tensors in three places: behind the header, across 4 GiB, and at 5 GiB. */
function writeSparse(path: string, tensorCount: number): void {
  const { metadata, tensors } = tinyModel();
  const starts = [0, 2 ** 32 - 8192, 5 * 2 ** 30];
  const perPlace = Math.ceil(tensorCount / starts.length);
  const ends = [...starts];
  const placed = tensors.map((tensor, i) => {
    const place = Math.floor(i / perPlace);
    const offset = ends[place];
    ends[place] = Math.ceil((offset + tensor.data.length) / 32) * 32;
    return { ...tensor, offset };
  });
  const header = putTogether({
    metadata,
    tensors: placed.map((tensor) => ({ ...tensor, data: new Uint8Array(0) })),
  });
  const file = openSync(path, "w");
  try {
    writeSync(file, header, 0, header.length, 0);
    for (const { data, offset } of placed) writeSync(file, data, 0, data.length, header.length + offset);
  } finally {
    closeSync(file);
  }
  truncateSync(path, header.length + ends[2]);
  const offsets = [...openGguf(path).tensors.values()].map(({ offset }) => offset);
  expect(Math.max(...offsets)).toBeGreaterThan(5 * 2 ** 30);
}

function asBytes({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

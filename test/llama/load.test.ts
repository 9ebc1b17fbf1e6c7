import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { GgufError } from "../../src/gguf/index.ts";
import { Llama, type LoadOptions, type LoadProgress, ModelError } from "../../src/llama/index.ts";
import { BridgeError, countNativeCalls, Device } from "../../src/runtime/index.ts";
import { expectNoMoreThan, liveObjects } from "./live.ts";
import { type ModelParts, models, putTogether } from "./oracle.ts";
import { TemporaryFolder } from "./temporary.ts";
import { tinyModel } from "./tiny_model.ts";

// Work is bounded by the tests themselves; a machine may be slow or busy.
setDefaultTimeout(120_000);

const folder = new TemporaryFolder();
afterAll(() => folder[Symbol.dispose]());

/** The tiny model after a change, as bytes. */
function broken(change: (parts: ModelParts) => void): Uint8Array {
  const parts = tinyModel();
  change(parts);
  return putTogether(parts);
}

/** What loading throws. Fails if it does not. */
async function loadError(path: string, options?: LoadOptions): Promise<unknown> {
  try {
    using llama = await Llama.load(path, options);
    throw new Error(`${path} was loaded as ${llama.config.name}`);
  } catch (error) {
    return error;
  }
}

test("Llama.load() refuses broken files before it touches a device", async () => {
  const whole = readFileSync(models.q8_0);
  const dropTensor = (parts: ModelParts, name: string): void => {
    parts.tensors.splice(
      parts.tensors.findIndex((tensor) => tensor.name === name),
      1,
    );
  };
  const cases: [string, Uint8Array, new (...args: never[]) => Error, string][] = [
    ["an empty file", new Uint8Array(0), GgufError, ""],
    ["not GGUF", new TextEncoder().encode("#!/bin/sh\necho this is no model at all\n"), GgufError, ""],
    ["a cut header", whole.subarray(0, 1000), GgufError, ""],
    ["cut tensor data", whole.subarray(0, whole.length - 1), GgufError, "the file has only"],
    [
      "no architecture",
      broken(({ metadata }) => metadata.delete("general.architecture")),
      GgufError,
      "general.architecture",
    ],
    [
      "another one",
      broken(({ metadata }) => metadata.set("general.architecture", "bert")),
      ModelError,
      '"bert"',
    ],
    [
      "no layers",
      broken(({ metadata }) => metadata.delete("llama.block_count")),
      GgufError,
      "llama.block_count",
    ],
    [
      "too many layers",
      broken(({ metadata }) => metadata.set("llama.block_count", 3)),
      ModelError,
      "blk.2.attn_norm.weight",
    ],
    [
      "no embedding",
      broken((parts) => dropTensor(parts, "token_embd.weight")),
      ModelError,
      "token_embd.weight",
    ],
    [
      "no tokens",
      broken(({ metadata }) => metadata.delete("tokenizer.ggml.tokens")),
      GgufError,
      "tokenizer.ggml.tokens",
    ],
    [
      "no tokenizer",
      broken(({ metadata }) => metadata.delete("tokenizer.ggml.model")),
      TypeError,
      "tokenizer.ggml.model",
    ],
    [
      "another tokenizer",
      broken(({ metadata }) => metadata.set("tokenizer.ggml.model", "bert")),
      RangeError,
      '"bert"',
    ],
    [
      "another shape",
      broken(({ metadata }) => metadata.set("llama.feed_forward_length", 128)),
      ModelError,
      "[128, 64]",
    ],
  ];
  const before = await liveObjects();
  using calls = countNativeCalls();
  for (const [name, bytes, type, message] of cases) {
    const path = folder.write("broken.gguf", bytes);
    const error = await loadError(path);
    expect(error, name).toBeInstanceOf(type);
    expect(String(error), name).toContain(message);
  }
  expect(String(await loadError(folder.path))).toContain("it is a directory");
  expect(String(await loadError(`${folder.path}/none.gguf`))).toContain("there is no such file");
  expect(Object.fromEntries(calls.calls)).toEqual({});
  await expectNoMoreThan(before);
});

test("Llama.load() refuses options out of range", async () => {
  const before = await liveObjects();
  const cases: [LoadOptions, string][] = [
    [
      { contextLength: 513 },
      "contextLength must be a whole number from 1 to 512 (what the model was trained for), not 513",
    ],
    [{ contextLength: 0 }, "contextLength must be"],
    [{ batchSize: 1.5 }, "batchSize must be"],
    [{ maxSequences: Number.NaN }, "maxSequences must be"],
    [{ kvType: "q4_0" as "f16" }, 'kvType must be "f16", "f32" or "q8_0", not "q4_0"'],
  ];
  for (const [options, message] of cases) {
    const error = await loadError(models.q8_0, options);
    expect(error).toBeInstanceOf(RangeError);
    expect(String(error)).toContain(message);
  }
  await expectNoMoreThan(before);
});

test("Llama.load() leaves nothing behind when the device is missing or the cache too large", async () => {
  const before = await liveObjects();
  const missing = await loadError(models.q8_0, { device: "abacus" });
  expect(missing).toBeInstanceOf(BridgeError);
  expect(missing).toMatchObject({
    code: "not-found",
    message: expect.stringContaining('"abacus"; there is'),
  });
  // 65536 contexts of 512 positions are 51 TB of keys and values in F32.
  const large = await loadError(models.q8_0, { maxSequences: 65536, kvType: "f32" });
  expect(String(large)).toMatch(/KV cache of \d+ bytes/);
  await expectNoMoreThan(before);
});

test("Llama.load() tells its progress, and stops at any part of it when aborted", async () => {
  const before = await liveObjects();
  const progress: LoadProgress[] = [];
  using _loaded = await Llama.load(models.q8_0, { onProgress: (p) => progress.push(p) });
  _loaded[Symbol.dispose]();
  // Weights that are copied are told of piece by piece.
  expect([...new Set(progress.map(({ stage }) => stage))]).toEqual([
    "reading the file",
    "opening the device",
    "placing the weights",
    "preparing kernels",
    "ready",
  ]);
  const fractions = progress.map(({ fraction }) => fraction);
  expect(fractions).toEqual(fractions.toSorted((a, b) => a - b));
  expect(fractions.at(-1)).toBe(1);

  const reason = new Error("Changed my mind");
  expect(await loadError(models.q8_0, { signal: AbortSignal.abort(reason) })).toBe(reason);
  for (const stage of new Set(progress.map(({ stage }) => stage))) {
    const stop = new AbortController();
    const onProgress = (p: LoadProgress): void => {
      if (p.stage === stage) stop.abort(reason);
    };
    expect(await loadError(models.q8_0, { signal: stop.signal, onProgress }), stage).toBe(reason);
  }
  await expectNoMoreThan(before);
});

test("Llama.load() opens a device by name and owns it, and only borrows one that it is given", async () => {
  const before = await liveObjects();
  {
    using llama = await Llama.load(models.q8_0, { device: "cpu" });
    expect(llama.device.info.backend).toBe("cpu");
    expect(Device.liveHandles().device).toBe(before.handles.device + 1);
  }
  await expectNoMoreThan(before);

  using device = Device.open();
  const first = await Llama.load(models.q8_0, { device });
  using second = await Llama.load(models.f16, { device });
  expect(first.device).toBe(device);
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  using sequence = second.sequence();
  const [logits] = await second.decode([{ token: 1, position: 0, sequence, wantsLogits: true }]);
  expect(logits.length).toBe(4096);
});

test("Llama.load() with kvType q8_0 takes 34 bytes for 32 elements, and needs heads of whole blocks", async () => {
  using llama = await Llama.load(models.q8_0, { kvType: "q8_0" });
  expect(llama.statistics.kvBytes).toBe(512 * 6 * 2 * 4 * 34);
  const error = await loadError(folder.write("heads.gguf", putTogether(tinyModel())), { kvType: "q8_0" });
  expect(error).toBeInstanceOf(RangeError);
  expect(String(error)).toContain(
    'kvType "q8_0" needs heads of whole blocks of 32 elements, and those of the model have 16: use "f16"',
  );
});

test("Llama.statistics counts what the model holds and did", async () => {
  using llama = await Llama.load(models.q8_0, { kvType: "f16", maxSequences: 2 });
  expect(llama.statistics.promptTokensPerSecond).toBeNaN();
  for await (const _ of llama.generate("Emma was", { maxTokens: 5, seed: 1 })) {
    // only run
  }
  const statistics = llama.statistics;
  expect(statistics.promptTokens).toBe(llama.tokenizer.encode("Emma was").length);
  expect(statistics.generatedTokens).toBe(4); // the first of the five came with the prompt
  // 2 sequences x 512 positions x 6 layers x keys and values x 4 heads x 32 x 2 bytes
  expect(statistics.kvBytes).toBe(2 * 512 * 6 * 2 * 4 * 32 * 2);
  // 5,767,168 parameters in Q8_0, 34 bytes for 32, and 13 norms of 256 in F32
  expect(statistics.weightBytes).toBe((5_767_168 / 32) * 34 + 13 * 256 * 4);
  expect(statistics.loadSeconds).toBeGreaterThan(0);
  expect(statistics.generationTokensPerSecond).toBeGreaterThan(0);
});

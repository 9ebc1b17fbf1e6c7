/** Tokens that the device chooses, several steps ahead: the same ones as the host's, and nothing left of what was in vain. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { isDeepStrictEqual } from "node:util";
import { type GenerateOptions, type GenerateResult, Llama, type Row } from "../../src/llama/index.ts";
import { Device, ReleasedError } from "../../src/runtime/index.ts";
import { mulberry32, randomInteger } from "../reference/random.ts";
import { expectNoMoreThan, liveObjects } from "./live.ts";
import { largestDifference, putTogether } from "./oracle.ts";
import { roundingOfLogits } from "./rounding.ts";
import { TemporaryFolder } from "./temporary.ts";
import { chainModel, tinyModel } from "./tiny_model.ts";

setDefaultTimeout(120_000);

const folder = new TemporaryFolder();
const tiny = folder.write("tiny.gguf", putTogether(tinyModel()));
const device = Device.open();
/** One where the host chooses, and some where the device does. */
let host: Llama;
let ahead: Llama[];

beforeAll(async () => {
  const load = (tokensInFlight: number): Promise<Llama> =>
    Llama.load(tiny, { device, tokensInFlight, maxSequences: 2, batchSize: 8 });
  host = await load(0);
  ahead = [await load(1), await load(2), await load(5), await load(16)];
});

afterAll(() => {
  for (const model of [host, ...ahead]) model[Symbol.dispose]();
  device[Symbol.dispose]();
  folder[Symbol.dispose]();
});

type Outcome = {
  readonly pieces: string[];
  readonly result: GenerateResult;
  readonly tokens: readonly number[];
};

/** A generation to its end, and the tokens that its sequence holds then. */
async function outcome(model: Llama, prompt: readonly number[], options: GenerateOptions): Promise<Outcome> {
  using sequence = model.sequence();
  const generation = model.generate(prompt, { ...options, sequence });
  const pieces: string[] = [];
  for (;;) {
    const next = await generation.next();
    if (next.done) return { pieces, result: next.value, tokens: [...sequence.tokens] };
    pieces.push(next.value);
  }
}

function randomOptions(random: () => number): GenerateOptions {
  const one = <T>(...values: readonly T[]): T => values[randomInteger(random, values.length)] as T;
  return {
    temperature: one(0, 0.3, 0.8, 1, 1.7),
    topK: one(0, 1, 5, 40, 1000),
    topP: one(1, 0.95, 0.6),
    minP: one(0, 0.05, 0.3),
    repeatPenalty: one(1, 1, 1, 1.3),
    maxTokens: one(0, 1, 2, 12, 40),
    seed: randomInteger(random, 2 ** 31),
  };
}

test("a device ahead of the host gives the host's texts, for many seeds and options", async () => {
  for (let seed = 0; seed < 150; seed++) {
    const random = mulberry32(seed);
    const options = randomOptions(random);
    const prompt = Array.from(
      { length: 1 + randomInteger(random, 20) },
      () => 3 + randomInteger(random, 256),
    );
    const expected = await outcome(host, prompt, options);
    // A string from the middle of the text ends it early.
    const text = expected.pieces.join("");
    const stop = text.slice(text.length >> 1, (text.length >> 1) + 2);
    const stopped = stop === "" ? options : { ...options, stop };
    const expectedStopped = await outcome(host, prompt, stopped);
    const model = ahead[seed % ahead.length] as Llama;
    for (const [given, wanted] of [
      [options, expected],
      [stopped, expectedStopped],
    ] as const) {
      const got = await outcome(model, prompt, given);
      if (!isDeepStrictEqual(got, wanted)) {
        const flags = JSON.stringify(given);
        throw new Error(`Seed ${seed}: ${JSON.stringify(got)}, not ${JSON.stringify(wanted)}; ${flags}`);
      }
    }
  }
});

test("two generations share a device that is ahead of both", async () => {
  const options = (seed: number): GenerateOptions => ({ seed, maxTokens: 40, minP: 0 });
  const alone = [await outcome(host, [5, 6], options(1)), await outcome(host, [7], options(2))];
  for (const model of ahead) {
    const together = [outcome(model, [5, 6], options(1)), outcome(model, [7], options(2))];
    expect(await Promise.all(together)).toEqual(alone);
  }
});

test("a sequence shows only what was asked for, and can be forked, rewound and read in between", async () => {
  const prompt = [5, 6, 7];
  const options: GenerateOptions = { seed: 9, maxTokens: 60, minP: 0, topP: 1 };
  const expected = await outcome(host, prompt, options);
  for (const model of ahead) {
    using sequence = model.sequence();
    const generation = model.generate(prompt, { ...options, sequence });
    const pieces: string[] = [];
    for (let turn = 0; ; turn++) {
      const next = await generation.next();
      if (next.done) break;
      pieces.push(next.value);
      // No more than the tokens before the last one that was shown, however far the device is.
      expect(sequence.tokens).toEqual(expected.tokens.slice(0, sequence.length));
      expect(sequence.length).toBeLessThan(prompt.length + 2 * pieces.length + 8);
      if (turn % 3 === 1) sequence.rewind(sequence.length);
      if (turn % 5 === 2) {
        using fork = sequence.fork();
        const [logits] = await model.decode([
          { token: 8, position: fork.length, sequence: fork, wantsLogits: true },
        ]);
        using alone = host.sequence();
        const rows = [...sequence.tokens, 8].map((token, position) => ({ token, position, sequence: alone }));
        const last = { ...rows.pop(), wantsLogits: true } as Row;
        const [wanted] = await host.decode([...rows, last]);
        const error = largestDifference(wanted ?? [NaN], logits ?? []);
        expect(error).toBeLessThan(1e-4 + roundingOfLogits("f16")); // rows of a batch are added up in another order
      }
      if (turn % 7 === 3) expect(() => sequence.rewind(sequence.length + 1)).toThrow("Cannot rewind");
    }
    expect(pieces).toEqual(expected.pieces);
    expect(sequence.tokens).toEqual(expected.tokens);
  }
});

test("a device ahead of the host fills the context and no more", async () => {
  const texts = new Set<string>();
  for (const tokensInFlight of [0, 1, 4, 32]) {
    // Prompts go through the step of one row as well.
    using model = await Llama.load(tiny, { device, tokensInFlight, contextLength: 40, batchSize: 1 });
    const prompt = Array.from({ length: 30 }, (_, i) => 10 + i);
    const filled = await outcome(model, prompt, { seed: 3 });
    expect(filled.result).toMatchObject({ reason: "maxTokens", generatedTokens: 10 });
    texts.add(filled.pieces.join(""));
    const error = await outcome(model, prompt, { seed: 3, maxTokens: 11 + 1 }).catch(
      (thrown: unknown) => thrown,
    );
    expect(error).toMatchObject({ name: "ContextFullError", used: 40, requested: 1, limit: 40 });
  }
  expect(texts.size).toBe(1);
});

test("logits that are NaN are an error at the token that has them, as where the host chooses", async () => {
  const bytes = [...new TextEncoder().encode("Abcdef")].map((byte) => byte + 3);
  const parts = chainModel(bytes);
  const broken = bytes[4] as number; // "e", whose row of the embedding is NaN
  const tensors = parts.tensors.map((tensor) => {
    if (tensor.name !== "token_embd.weight") return tensor;
    const data = tensor.data.slice();
    new Float32Array(data.buffer, data.byteOffset + 4 * 64 * broken, 64).fill(Number.NaN);
    return { ...tensor, data };
  });
  const path = folder.write("broken.gguf", putTogether({ ...parts, tensors }));
  const seen: unknown[] = [];
  for (const tokensInFlight of [0, 1, 4, 16]) {
    using model = await Llama.load(path, { device, tokensInFlight });
    let text = "";
    const generate = async (): Promise<void> => {
      for await (const piece of model.generate("A", { temperature: 0, maxTokens: 20 })) text += piece;
    };
    const error = await generate().catch((thrown: unknown) => thrown);
    seen.push([text, error instanceof RangeError, String(error)]);
  }
  const message =
    "RangeError: Cannot choose a token: the logit of token 0 is NaN; the model's output is damaged";
  expect(seen).toEqual([0, 1, 4, 16].map(() => ["bcde", true, message]));
});

test("nothing stays alive when a generation is left or its model goes while steps are in flight", async () => {
  const before = await liveObjects();
  for (const leaves of [true, false]) {
    const model = await Llama.load(tiny, { device, tokensInFlight: 5 });
    const generate = async (): Promise<void> => {
      for await (const _ of model.generate([5, 6], { seed: 1 })) {
        if (leaves) break;
        setImmediate(() => model[Symbol.dispose]());
      }
    };
    const error = await generate().catch((thrown: unknown) => thrown);
    if (leaves) expect(error).toBeUndefined();
    else expect(error).toBeInstanceOf(ReleasedError);
    model[Symbol.dispose]();
  }
  await expectNoMoreThan(before);
});

test("a model that was disposed gives no more tokens, those neither that it has chosen already", async () => {
  for (const tokensInFlight of [0, 1, 32]) {
    const model = await Llama.load(tiny, { device, tokensInFlight });
    const generation = model.generate([5, 6], { seed: 1, minP: 0 });
    for (let i = 0; i < 20; i++) await generation.next();
    const { generatedTokens } = model.statistics;
    model[Symbol.dispose]();
    await expect(
      (async () => {
        for await (const _ of generation);
      })(),
    ).rejects.toThrow(ReleasedError);
    expect(model.statistics.generatedTokens).toBe(generatedTokens);
  }
});

test("Llama.load() refuses a number of tokens in flight that there cannot be", async () => {
  for (const tokensInFlight of [-1, 1.5, 33, Number.NaN]) {
    await expect(Llama.load(tiny, { device, tokensInFlight })).rejects.toThrow("tokensInFlight must be");
  }
});

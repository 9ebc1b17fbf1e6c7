import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { setTimeout as sleep } from "node:timers/promises";
import {
  ContextFullError,
  type GenerateOptions,
  type GenerateResult,
  Llama,
  type LoadOptions,
} from "../../src/llama/index.ts";
import { ReleasedError } from "../../src/runtime/index.ts";
import { expectNoMoreThan, liveObjects } from "./live.ts";
import { models, putTogether } from "./oracle.ts";
import { TemporaryFolder } from "./temporary.ts";
import { chainModel } from "./tiny_model.ts";

// Work is bounded by the tests themselves; a machine may be slow or busy.
setDefaultTimeout(120_000);

const folder = new TemporaryFolder();

afterAll(() => {
  folder[Symbol.dispose]();
});

type Collected = { readonly pieces: string[]; readonly text: string; readonly result: GenerateResult };

/** Runs a generation to its end. */
async function collect(
  model: Llama,
  prompt: string | readonly number[],
  options: GenerateOptions,
): Promise<Collected> {
  const generation = model.generate(prompt, options);
  const pieces: string[] = [];
  for (;;) {
    const next = await generation.next();
    if (next.done) return { pieces, text: pieces.join(""), result: next.value };
    pieces.push(next.value);
  }
}

/** Fails unless the model could open all its sequences, which means that none was kept. */
function expectAllSequencesFree(model: Llama, count: number): void {
  const sequences = Array.from({ length: count }, () => model.sequence());
  for (const sequence of sequences) sequence[Symbol.dispose]();
}

/** Tokens are chosen by the host, and by the device. */
for (const tokensInFlight of [0, 3]) describeGenerate(tokensInFlight);

function describeGenerate(tokensInFlight: number): void {
  const load = (path: string, options: LoadOptions = {}): Promise<Llama> =>
    Llama.load(path, { tokensInFlight, ...options });
  let llama: Llama;

  beforeAll(async () => {
    llama = await load(models.q8_0, { maxSequences: 2 });
  });

  afterAll(() => {
    llama[Symbol.dispose]();
  });

  describe(`Llama.generate with ${tokensInFlight} tokens in flight`, () => {
    test("Llama.generate() gives the same text for the same seed, and others for other seeds", async () => {
      const options = { maxTokens: 24, temperature: 0.9 };
      const first = await collect(llama, "Elizabeth", { ...options, seed: 7 });
      const again = await collect(llama, "Elizabeth", { ...options, seed: 7 });
      const other = await collect(llama, "Elizabeth", { ...options, seed: 8 });
      expect(first).toEqual(again);
      expect(other.text).not.toBe(first.text);
      expect(first.result).toEqual({
        reason: "maxTokens",
        promptTokens: llama.tokenizer.encode("Elizabeth").length,
        reusedTokens: 0,
        generatedTokens: 24,
      });
    });

    test("Llama.generate() takes token ids as they are", async () => {
      const options = { maxTokens: 8, temperature: 0 };
      const ids = llama.tokenizer.encode("Elizabeth");
      expect((await collect(llama, ids, options)).text).toBe(
        (await collect(llama, "Elizabeth", options)).text,
      );
    });

    test("Llama.generate() takes an empty prompt, and no tokens for an answer", async () => {
      expect((await collect(llama, "", { maxTokens: 4, seed: 1 })).result.promptTokens).toBe(1);
      const none = await collect(llama, "Elizabeth", { maxTokens: 0 });
      expect(none).toMatchObject({ text: "", result: { reason: "maxTokens", generatedTokens: 0 } });
      await expect(collect(llama, [], {})).rejects.toThrow("empty prompt");
    });

    test("Llama.generate() ends before a stop string, wherever tokens are cut", async () => {
      const whole = (await collect(llama, "Elizabeth", { maxTokens: 40, temperature: 0 })).text;
      for (const [from, to] of [
        [10, 11],
        [13, 24],
        [20, 60],
      ]) {
        const stop = whole.slice(from, to);
        const { text, result, pieces } = await collect(llama, "Elizabeth", {
          maxTokens: 40,
          temperature: 0,
          stop,
        });
        expect(text, JSON.stringify(stop)).toBe(whole.slice(0, whole.indexOf(stop)));
        expect(result.reason).toBe("stopString");
        expect(pieces.every((piece) => piece !== "")).toBe(true);
      }
      const several = await collect(llama, "Elizabeth", {
        maxTokens: 40,
        temperature: 0,
        stop: ["\u0000", whole.slice(5, 9)],
      });
      expect(several.text).toBe(whole.slice(0, whole.indexOf(whole.slice(5, 9))));
      await expect(collect(llama, "Elizabeth", { stop: [""] })).rejects.toThrow(RangeError);
    });

    test("Llama.generate() refuses options out of range before it computes anything", async () => {
      for (const options of [
        { temperature: -1 },
        { topP: 2 },
        { maxTokens: -1 },
        { maxTokens: Number.NaN },
      ]) {
        await expect(collect(llama, "Elizabeth", options), JSON.stringify(options)).rejects.toThrow(
          RangeError,
        );
      }
      expectAllSequencesFree(llama, 2);
    });

    test("Llama.generate() runs several texts at a time, each as if it were alone", async () => {
      const options = (seed: number): GenerateOptions => ({ maxTokens: 20, seed });
      const alone = [
        await collect(llama, "Emma", options(1)),
        await collect(llama, "In the beginning", options(2)),
      ];
      const together = await Promise.all([
        collect(llama, "Emma", options(1)),
        collect(llama, "In the beginning", options(2)),
      ]);
      expect(together).toEqual([alone[0], alone[1]]);
      const third = [1, 2, 3].map((seed) => collect(llama, "Emma", options(seed)));
      const settled = await Promise.allSettled(third);
      expect(settled.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "fulfilled", "rejected"]);
      expectAllSequencesFree(llama, 2);
    });

    test("Llama.generate() goes on in a sequence without computing its beginning again", async () => {
      using sequence = llama.sequence();
      const prompt = "Mr. Darcy walked across the room";
      const first = await collect(llama, prompt, { maxTokens: 10, temperature: 0, sequence });
      expect(first.result.reusedTokens).toBe(0);
      const length = first.result.promptTokens;
      expect(sequence.length).toBe(length + 9); // the last token was never fed
      const tokens = [...sequence.tokens, ...llama.tokenizer.encode(" and", { addBos: false })];
      const second = await collect(llama, tokens, { maxTokens: 10, temperature: 0, sequence });
      expect(second.result.reusedTokens).toBe(length + 9);
      expect(second.text).toBe((await collect(llama, tokens, { maxTokens: 10, temperature: 0 })).text);
      // The same prompt once more: all but its last token is there.
      const again = await collect(llama, prompt, { maxTokens: 10, temperature: 0, sequence });
      expect(again.result.reusedTokens).toBe(length - 1);
      expect(again.text).toBe(first.text);
    });
  });

  describe(`Llama.generate in a sequence, with ${tokensInFlight} tokens in flight`, () => {
    test("Llama.generate() refuses a sequence that is in use, disposed or another model's, and leaves it alone", async () => {
      using other = await load(models.q8_0);
      using foreign = other.sequence();
      await other.decode([{ token: 1, position: 0, sequence: foreign }]);
      await expect(collect(llama, "Emma", { sequence: foreign })).rejects.toThrow("belongs to another model");
      expect(foreign.length).toBe(1);

      using sequence = llama.sequence();
      const running = llama.generate("Emma", { seed: 1, sequence });
      await running.next();
      await expect(collect(llama, "Emma", { sequence })).rejects.toThrow("is in use by another generation");
      for await (const _ of running) break;
      expect((await collect(llama, "Emma", { sequence, maxTokens: 2 })).result.generatedTokens).toBe(2);

      sequence[Symbol.dispose]();
      await expect(collect(llama, "Emma", { sequence })).rejects.toThrow("was disposed");
      await sleep(1);
      expectAllSequencesFree(llama, 2);
    });

    test("Llama.generate() fails rather than going on in a sequence that was rewound under it", async () => {
      using sequence = llama.sequence();
      const running = llama.generate("Emma was the daughter of", { seed: 1, sequence });
      await running.next();
      sequence.rewind(3);
      const rest = async (): Promise<void> => {
        for await (const _ of running) sequence.rewind(3);
      };
      await expect(rest()).rejects.toThrow("does not follow");
      await sleep(20);
      expect(sequence.length).toBe(3);
    });
  });

  describe(`Llama.generate, ended early, with ${tokensInFlight} tokens in flight`, () => {
    test("Llama.generate() stops when its signal is aborted, with the signal's reason", async () => {
      const before = await liveObjects();
      const reason = new Error("Enough");
      await expect(collect(llama, "Emma", { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
      const stop = new AbortController();
      let pieces = 0;
      const generation = async (): Promise<void> => {
        for await (const _ of llama.generate("Emma", { seed: 1, signal: stop.signal })) {
          if (++pieces === 5) stop.abort(reason);
        }
      };
      expect(await generation().catch((error: unknown) => error)).toBe(reason);
      expect(pieces).toBe(5);
      expectAllSequencesFree(llama, 2);
      await expectNoMoreThan(before);
    });

    test("Llama.generate() stops between the batches of a prompt", async () => {
      using model = await load(models.q8_0, { batchSize: 8 });
      const stop = new AbortController();
      const tokens = Array.from({ length: 500 }, () => 300);
      const generation = collect(model, tokens, { signal: stop.signal, maxTokens: 1 });
      setImmediate(() => stop.abort());
      const error = await generation.catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ name: "AbortError" });
      expect(model.statistics.promptTokens).toBe(0);
      expectAllSequencesFree(model, 1);
    });

    test("Llama.generate() gives its sequence back when the loop is left or throws", async () => {
      for await (const _ of llama.generate("Emma", { seed: 1 })) break;
      const failing = async (): Promise<void> => {
        for await (const _ of llama.generate("Emma", { seed: 1 })) throw new Error("Caller's own");
      };
      await expect(failing()).rejects.toThrow("Caller's own");
      await new Promise((resolve) => setTimeout(resolve, 1));
      expectAllSequencesFree(llama, 2);
    });

    test("Llama.generate() ends with a ReleasedError when the model is disposed under it", async () => {
      const before = await liveObjects();
      const model = await load(models.q8_0);
      let pieces = 0;
      const generation = async (): Promise<void> => {
        for await (const _ of model.generate("Emma", { seed: 1 })) {
          // Dispose while the next token is being computed.
          if (++pieces === 3) setImmediate(() => model[Symbol.dispose]());
        }
      };
      expect(await generation().catch((error: unknown) => error)).toBeInstanceOf(ReleasedError);
      expect(() => model.sequence()).toThrow(ReleasedError);
      await expect(model.decode([])).rejects.toThrow(ReleasedError);
      await sleep(1);
      await expectNoMoreThan(before);
    });
  });

  describe(`Llama.generate at the end of the context, with ${tokensInFlight} tokens in flight`, () => {
    test("Llama.generate() fills the context by default, and says with counts when more was asked for", async () => {
      using model = await load(models.q8_0, { contextLength: 40 });
      const prompt = Array.from({ length: 30 }, (_, i) => (i === 0 ? 1 : 300 + i));
      const filled = await collect(model, prompt, { seed: 3 });
      expect(filled.result).toMatchObject({ reason: "maxTokens", generatedTokens: 10 });

      let text = "";
      const tooMany = async (): Promise<void> => {
        for await (const piece of model.generate(prompt, { seed: 3, maxTokens: 100 })) text += piece;
      };
      const error = await tooMany().catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(ContextFullError);
      expect(error).toMatchObject({ used: 40, requested: 1, limit: 40 });
      expect(text.startsWith(filled.text)).toBe(true);
      expectAllSequencesFree(model, 1);
    });

    test("Llama.generate() refuses a prompt that is too long, with counts", async () => {
      using model = await load(models.q8_0, { contextLength: 40 });
      const error = await collect(model, Array(41).fill(300), {}).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(ContextFullError);
      expect(error).toMatchObject({ used: 0, requested: 41, limit: 40 });
      expect(String(error)).toContain("a prompt of 41 tokens: the context holds 40");
    });
  });

  describe(`Llama.generate on a model of bytes, with ${tokensInFlight} tokens in flight`, () => {
    const target = "é🙂 ok";
    const bytes = [...new TextEncoder().encode(`A${target}`)].map((byte) => byte + 3); // byte pieces begin at id 3
    const END = 2;

    test("Llama.generate() gives whole characters, one token of which each byte is, and ends at the end token", async () => {
      const path = folder.write("chain.gguf", putTogether(chainModel([...bytes, END])));
      using model = await load(path);
      const { pieces, result } = await collect(model, "A", { temperature: 0 });
      expect(pieces).toEqual(["é", "🙂", " ", "o", "k"]);
      expect(result).toMatchObject({ reason: "endOfText", generatedTokens: bytes.length - 1 });

      const stopped = await collect(model, "A", { temperature: 0, stop: "🙂 o" });
      expect(stopped).toMatchObject({ pieces: ["é"], result: { reason: "stopString" } });
    });

    test("Llama.generate() gives U+FFFD for a character that the end cuts off", async () => {
      const path = folder.write("cut.gguf", putTogether(chainModel([...bytes, END])));
      using model = await load(path);
      const { pieces } = await collect(model, "A", { temperature: 0, maxTokens: 4 });
      expect(pieces).toEqual(["é", "\uFFFD"]);
    });
  });
}

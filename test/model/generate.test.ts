// A model without JavaScript gives the tokens and the text that TypeScript does.
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { type ExportOptions, Llama } from "../../src/llama/index.ts";
import type { SamplerOptions } from "../../src/sample/index.ts";
import { tinyModel } from "../llama/tiny_model.ts";
import { austen, austenF16, Bundle, prose } from "./models.ts";
import { END, embedding, FULL, NO_TOKEN, Session } from "./session.ts";

// Work is bounded by the tests themselves; a machine may be slow or busy.
setDefaultTimeout(120_000);

const bundle = new Bundle();
const session = new Session();
const before = await session.live();

afterAll(async () => {
  await session[Symbol.asyncDispose]();
  bundle[Symbol.dispose]();
});

/** Loads a model as TypeScript does and exports it to a plan, with the same options. */
async function both(model: string, options: ExportOptions): Promise<{ llama: Llama; plan: string }> {
  const plan = `${Bun.hash(model + JSON.stringify(options))}.bmplan`;
  bundle.export(model, plan, options);
  const { contextLength, batchSize, kvType } = options;
  const set = Object.entries({ contextLength, batchSize, kvType }).filter(([, value]) => value !== undefined);
  return { llama: await Llama.load(model, { device: "cpu", ...Object.fromEntries(set) }), plan };
}

/** What TypeScript makes of a prompt: the tokens that its sequence holds then, and the text. */
async function reference(llama: Llama, prompt: string, maxTokens: number, sampling: SamplerOptions) {
  using sequence = llama.sequence();
  let text = "";
  const stream = llama.generate(prompt, { maxTokens, sequence, ...sampling });
  for (;;) {
    const { done, value } = await stream.next();
    if (done) return { tokens: [...sequence.tokens], text, result: value };
    text += value;
  }
}

function command(options: SamplerOptions): string {
  const { temperature = 0.8, topK = 40, topP = 0.95, minP = 0.05, repeatPenalty = 1, seed = 0 } = options;
  const lastN = Math.min(options.repeatLastN ?? 64, 0xffffffff);
  return `sampling ${temperature} ${topK} ${topP} ${minP} ${repeatPenalty} ${lastN} ${seed}`;
}

/** Generates with both, and holds one against the other. */
async function compare(
  llama: Llama,
  prompt: string,
  maxTokens: number,
  sampling: SamplerOptions,
): Promise<void> {
  const expected = await reference(llama, prompt, maxTokens, sampling);
  await session.expect("rewind 0");
  await session.expect(command(sampling));
  await session.prompt(prompt);
  const found = await session.next(maxTokens);
  const tokens = [...llama.tokenizer.encode(prompt, { addEos: false }), ...found.tokens];
  if (found.status === END) tokens.pop();
  // The last token of a text that was cut short is not computed, so that the sequence does not hold it.
  if (expected.result.reason === "maxTokens") tokens.pop();
  expect(tokens).toEqual(expected.tokens);
  expect(found.status).toBe(expected.result.reason === "endOfText" ? END : 0);
  expect(found.text).toBe(expected.text);
}

const long = prose.slice(0, 500);
const samplings: readonly SamplerOptions[] = [
  { temperature: 0 },
  { seed: 1 },
  { seed: 2 ** 53 - 1, temperature: 1.5, topK: 0, topP: 1, minP: 0 },
  { seed: 3, temperature: 1, topK: 5, topP: 0.5 },
  { seed: 4, topK: 0, topP: 0.9, minP: 0, repeatPenalty: 1.3, repeatLastN: 20 },
  { seed: 5, topK: 0, topP: 1, minP: 0.2, repeatPenalty: 0.8, repeatLastN: Number.POSITIVE_INFINITY },
];

describe("a model without JavaScript", () => {
  const cases: readonly [name: string, model: string, options: ExportOptions][] = [
    ["q8_0, f32 cache", austen, { contextLength: 200, kvType: "f32" }],
    ["q8_0, q8_0 cache", austen, { contextLength: 200, kvType: "q8_0" }],
    ["q8_0, f16 cache, small batches", austen, { contextLength: 250, batchSize: 24, kvType: "f16" }],
    ["f16, weights in several buffers", austenF16, { contextLength: 256, maxBufferLength: 3 << 20 }],
    ["q8_0, weights and cache in several buffers", austen, { contextLength: 256, maxBufferLength: 1200000 }],
  ];
  for (const [name, model, options] of cases) {
    test(`generates as TypeScript does: ${name}`, async () => {
      const { llama, plan } = await both(bundle.copy(model), options);
      using _ = llama;
      await session.open(bundle.path, plan);
      for (const sampling of samplings) await compare(llama, "It is a truth", 30, sampling);
      for (const prompt of ["M", "Mr. Darcy", long, " ", "naïve 🙂 <s>"]) {
        await compare(llama, prompt, 20, { temperature: 0 });
      }
      await session.expect("close");
    });
  }

  test("the kernels of Apple's GPUs give the same text", async () => {
    const path = bundle.copy(austen);
    bundle.export(path, "apple.bmplan", { target: "apple", contextLength: 128 });
    bundle.export(path, "cpu.bmplan", { target: "cpu", contextLength: 128 });
    const texts: string[] = [];
    for (const plan of ["apple.bmplan", "cpu.bmplan"]) {
      await session.open(bundle.path, plan);
      await session.prompt(prose.slice(0, 200));
      texts.push((await session.next(20)).text);
      await session.expect("close");
    }
    expect(texts[0]).toBe(texts[1] as string);
  });

  test("text comes in whole characters, and ends as TypeScript's where the context is full", async () => {
    const path = bundle.write("bytes.gguf", tinyModel());
    const { llama, plan } = await both(path, { contextLength: 90, batchSize: 8 });
    using _ = llama;
    await session.open(bundle.path, plan);
    for (let seed = 0; seed < 12; seed++) {
      const sampling = { seed, temperature: 3, topK: 0, topP: 1, minP: 0 };
      const room = 90 - llama.tokenizer.encode("é🙂").length;
      const expected = await reference(llama, "é🙂", room, sampling);
      await session.expect("rewind 0");
      await session.expect(command(sampling));
      await session.prompt("é🙂");
      const found = await session.next(1000);
      expect(found.status).toBe(expected.result.reason === "endOfText" ? END : FULL);
      expect(found.text).toBe(expected.text);
      const decoder = new TextDecoder("utf-8", { fatal: true });
      for (const piece of found.pieces) decoder.decode(piece);
      expect(found.tokens.at(-1)).toBe(found.status === FULL ? NO_TOKEN : llama.tokenizer.eos);
      // With little room the end is told when all text was given.
      await session.expect("rewind 0");
      await session.expect(command(sampling));
      await session.prompt("é🙂");
      const slowly = await session.next(1000, 5);
      expect([slowly.status, slowly.text]).toEqual([found.status, found.text]);
      // Both states last.
      const again = await session.next(3);
      expect([again.status, again.text]).toEqual([found.status, ""]);
    }
    await session.expect("close");
  });

  test("text that does not fit comes with the next calls, whole", async () => {
    await session.open(bundle.path, "cpu.bmplan");
    await session.prompt("Emma");
    const whole = await session.next(12);
    await session.expect("rewind 0");
    await session.prompt("Emma");
    const parts = await session.next(60, 5);
    expect(parts.text.startsWith(whole.text)).toBe(true);
    expect(parts.pieces.every((piece) => piece.length < 5)).toBe(true);
    expect(parts.tokens.filter((token) => token !== NO_TOKEN).slice(0, 12)).toEqual(whole.tokens);
    expect(parts.tokens).toContain(NO_TOKEN);
    for (const capacity of [1, 4]) {
      expect(await session.ask(`next 1 ${capacity}`)).toMatchObject({ status: 2, calls: [] });
    }
    await session.expect("rewind 0");
    await session.prompt("Emma");
    expect((await session.next(12, 0)).tokens).toEqual(whole.tokens);
    await session.expect("close");
  });

  test("a text goes on after a prompt within it, and can be rewound", async () => {
    await session.open(bundle.path, "cpu.bmplan");
    await session.prompt("It is a");
    const first = await session.next(4);
    await session.prompt(" and then", 0);
    const second = await session.next(8);
    const [used] = (await session.expect("numbers")).numbers as number[];

    // The same tokens at once.
    const tokens = [
      ...(await session.tokenize("It is a")),
      ...first.tokens,
      ...(await session.tokenize(" and then", 2)),
    ];
    expect(used).toBe(tokens.length + 8);
    await session.expect("rewind 0");
    await session.expect(`tokens ${tokens.join(" ")}`);
    expect((await session.next(8)).tokens).toEqual(second.tokens);
    // Back to the end of the prompt: its last token is computed again.
    await session.expect(`rewind ${tokens.length}`);
    expect((await session.next(8)).tokens).toEqual(second.tokens);
    await session.expect("close");
  });

  test("what cannot be done is said, and changes nothing", async () => {
    await session.open(bundle.path, "cpu.bmplan");
    expect((await session.ask("prompt 0 ")).message).toBeUndefined(); // the begin token alone
    await session.expect("rewind 0");
    expect(await session.ask("next 1 100")).toMatchObject({ status: 2 });
    expect((await session.ask("tokens")).message).toContain("empty prompt");
    expect((await session.ask("tokens 5 4096")).message).toContain('"4096" is not in the vocabulary');
    expect((await session.ask("rewind 1")).message).toContain("cannot be rewound");
    expect((await session.ask("prompt 8 41")).message).toContain('flags "0x8"');
    expect((await session.ask("prompt 0 41ff42")).message).toContain('byte "1" of "3"');
    expect((await session.ask("sampling -1 0 1 0 1 0 0")).message).toContain("temperature must be");
    expect((await session.ask("sampling 1 0 0 0 1 0 0")).message).toContain("Top-p");
    expect((await session.ask("sampling 1 0 1 2 1 0 0")).message).toContain("Min-p");
    expect((await session.ask("sampling 1 0 1 0 0 0 0")).message).toContain("penalty");
    expect((await session.ask("sampling 1 0 1 0 1 0 0.5")).message).toContain("seed");
    await session.prompt("Emma");
    const { tokens } = await session.next(5);
    const tooLong = await session.ask(`tokens ${Array.from({ length: 128 }, () => 7).join(" ")}`);
    expect(tooLong).toMatchObject({ error: 3 });
    expect(tooLong.message).toContain('the context holds "128"');
    await session.expect("rewind 0");
    await session.prompt("Emma");
    expect((await session.next(5)).tokens).toEqual(tokens);
    await session.expect("close");
    expect((await session.ask("next 1 100")).status).toBe(1);
    expect((await session.ask("numbers")).message).toContain("was released");
  });

  test("two models at the same time do not disturb each other", async () => {
    const first = await session.open(bundle.path, "cpu.bmplan");
    await session.prompt("Emma");
    const alone = await session.next(10);
    const second = await session.open(bundle.path, "apple.bmplan");
    await session.prompt("Emma");
    await session.expect(`use ${first}`);
    await session.expect("rewind 0");
    await session.prompt("Emma");
    const tokens: number[][] = [[], []];
    for (let i = 0; i < 10; i++) {
      for (const [which, handle] of [first, second].entries()) {
        await session.expect(`use ${handle}`);
        tokens[which]?.push(...(await session.next(1)).tokens);
      }
    }
    expect(tokens).toEqual([alone.tokens, alone.tokens]);
    for (const handle of [first, second]) {
      await session.expect(`use ${handle}`);
      await session.expect("close");
    }
  });

  test("threads that share a model take turns", async () => {
    await session.open(bundle.path, "cpu.bmplan");
    await session.prompt("Emma");
    const alone = await session.next(60);
    await session.expect("rewind 0");
    await session.prompt("Emma");
    const { status, tokens } = await session.expect("share 15");
    const ascending = (a: number, b: number): number => a - b;
    expect(status).toBe(0);
    expect((tokens as number[]).sort(ascending)).toEqual(alone.tokens.sort(ascending));
    await session.expect("close");
  });

  test("a model that is released while another thread generates ends that thread's calls", async () => {
    for (const milliseconds of [0, 1, 20]) {
      await session.open(bundle.path, "cpu.bmplan");
      await session.prompt("Emma");
      expect(await session.expect(`race ${milliseconds}`)).toMatchObject({ released: 0, status: 1 });
    }
  });

  test("nothing is left when models are closed", async () => {
    const after = await session.live();
    expect(after.handles).toBe(0);
    expect({ ...after, objects: 0 }).toEqual({ ...before, objects: 0 });
    // What a device keeps for good has been made once; closing more models adds nothing.
    for (let i = 0; i < 3; i++) {
      await session.open(bundle.path, "cpu.bmplan");
      await session.prompt("Emma");
      await session.next(2);
      await session.expect("close");
    }
    expect(await session.settled(after.objects)).toEqual(after);
  });
});

test("the C program of docs/embedding.md builds and writes the text", async () => {
  const plan = join(bundle.path, "app.bmplan");
  bundle.export(bundle.copy(austen), "app.bmplan", { contextLength: 40 });
  expect(await Bun.file(plan).exists()).toBe(true);
  await session.open(bundle.path, "app.bmplan");
  await session.prompt("It is a truth");
  const { text, status } = await session.next(100);
  expect(status).toBe(FULL);
  await session.expect("close");
  const { exitCode, stdout, stderr } = Bun.spawnSync([embedding], { cwd: bundle.path });
  expect([exitCode, stderr.toString(), stdout.toString()]).toEqual([0, "", text]);
});

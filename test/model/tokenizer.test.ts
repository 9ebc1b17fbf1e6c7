// The tokenizers in C give the tokens that those in TypeScript give.
import { afterAll, describe, expect, test } from "bun:test";
import { openGguf } from "../../src/gguf/index.ts";
import { type Tokenizer, tokenizerFromMetadata } from "../../src/text/index.ts";
import { awkwardStrings } from "../corpus/strings.ts";
import { tinyModel } from "../llama/tiny_model.ts";
import { mulberry32, randomInteger } from "../reference/random.ts";
import { austen, Bundle, bytePairVocabulary, modelWithVocabulary, prose } from "./models.ts";
import { Session } from "./session.ts";

const bundle = new Bundle();
const session = new Session();

afterAll(async () => {
  await session[Symbol.asyncDispose]();
  bundle[Symbol.dispose]();
});

/** What random strings are made of: all that pre-tokenizers and special tokens distinguish. */
const fragments: readonly string[] = [
  ..."abcxyzIMSTDRVEL'\"’ \t\n\r\v\f.,;!?$+<=>^~|#@&*()[]{}0123456789_-/\\`%",
  ..."éßäИж你世の세สहع٣Ⅷ½²ǅʰ̈̃🙂🏽\u200d\ufeff\u00a0\u2003\u2028\u3000\u0085\u001f\u0000¡¿«»—…§¶€",
  "'s",
  "'LL",
  "'rE",
  "  ",
  "   ",
  "\r\n",
  "\n\n",
  "123",
  "1234567",
  "the",
  " and",
  "ing",
  "▁",
  "Ġ",
  "<s>",
  "</s>",
  "</s> \n\t\v ",
  "<unk>",
  "<0x41>",
  "<tool>",
  "<|im_start|>",
  "<|im",
  "<|endoftext|>",
  "\u{10ffff}",
  "\u{1d555}",
  "XMLHttp",
  "ÀB",
  "Éa",
  "。、",
  "ｆ！",
  "ꞏƻ",
  "한",
  "\u1680",
];

function randomText(random: () => number): string {
  let text = "";
  for (let left = 1 + randomInteger(random, 30); left > 0; left--) {
    const fragment = fragments[randomInteger(random, fragments.length)] as string;
    text += fragment.repeat(randomInteger(random, 8) === 0 ? 1 + randomInteger(random, 5) : 1);
  }
  return text;
}

/** Holds both against each other on awkward, random and long strings. */
async function compare(tokenizer: Tokenizer, seed: number, count: number): Promise<void> {
  const random = mulberry32(seed);
  const texts = [...awkwardStrings, prose, prose.repeat(3), "a".repeat(3000), " ".repeat(2000)];
  for (let i = 0; i < count; i++) texts.push(randomText(random));
  for (const [i, text] of texts.entries()) {
    const wellFormed = text.toWellFormed();
    const parseSpecial = i % 3 === 0;
    const addBos = i % 5 === 0 ? false : undefined;
    const flags = (parseSpecial ? 1 : 0) | (addBos === false ? 2 : 0);
    const found = await session.tokenize(wellFormed, flags);
    const expected = tokenizer.encode(wellFormed, {
      parseSpecial,
      ...(addBos === undefined ? {} : { addBos }),
    });
    expect(found, `seed ${seed}, text ${i}: ${JSON.stringify(wellFormed.slice(0, 200))}`).toEqual(expected);
  }
}

async function compareModel(model: string, seed: number, count: number): Promise<void> {
  bundle.export(model, "tokenizer.bmplan", { contextLength: 32, batchSize: 1, overwrite: true });
  await session.open(bundle.path, "tokenizer.bmplan");
  await compare(tokenizerFromMetadata(openGguf(model).metadata), seed, count);
  await session.expect("close");
}

describe("tokenizers in C", () => {
  test("SentencePiece gives the same tokens, with a trained vocabulary", async () => {
    await compareModel(bundle.copy(austen), 1, 1500);
  });

  test("SentencePiece gives the same tokens, with bytes alone", async () => {
    await compareModel(bundle.write("bytes.gguf", tinyModel()), 2, 200);
  });

  test("SentencePiece gives the same tokens without a prefix, with ends and user-defined tokens", async () => {
    const { metadata, tensors } = tinyModel();
    const tokens = [...(metadata.get("tokenizer.ggml.tokens") as string[])];
    const types = (metadata.get("tokenizer.ggml.token_type") as Int32Array).slice();
    // Three bytes become texts: "ab", "▁a" of higher score, and a user-defined one.
    for (const [id, text, type] of [
      [200, "ab", 1],
      [201, "▁a", 1],
      [202, "<tool>", 4],
    ] as const) {
      tokens[id] = text;
      types[id] = type;
    }
    const scores = new Float32Array(tokens.length);
    scores[201] = 1;
    const changed = new Map(metadata)
      .set("tokenizer.ggml.tokens", tokens)
      .set("tokenizer.ggml.token_type", types)
      .set("tokenizer.ggml.scores", scores)
      .set("tokenizer.ggml.add_space_prefix", false)
      .set("tokenizer.ggml.add_eos_token", true);
    await compareModel(bundle.write("changed.gguf", { metadata: changed, tensors }), 3, 300);
  });

  test("SentencePiece gives the same tokens where control tokens take the white space after them", async () => {
    const { metadata, tensors } = tinyModel();
    const changed = new Map(metadata).set("general.name", "Phi-3 mini");
    await compareModel(bundle.write("phi3.gguf", { metadata: changed, tensors }), 4, 300);
  });

  // One of each form; names that share one differ in nothing else that C sees.
  const forms = [
    ...["llama-bpe", "dbrx", "qwen2", "gpt-2", "smollm", "default", "tekken", "gpt-4o", "seed-coder"],
    ...["deepseek-llm", "deepseek-coder", "deepseek-v3"],
  ];
  for (const [i, pre] of forms.entries()) {
    test(`byte-level BPE gives the same tokens: ${pre}`, async () => {
      const path = bundle.write(`${pre}.gguf`, modelWithVocabulary(bytePairVocabulary(pre)));
      await compareModel(path, 10 + i, 700);
    });
  }
});

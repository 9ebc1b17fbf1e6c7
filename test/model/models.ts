/** Directories with models and their plans, for the tests of this room. */
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { type ExportOptions, exportModel } from "../../src/llama/index.ts";
import { tokenTypes, type Vocabulary } from "../../src/text/index.ts";
import type { ModelParts } from "../llama/oracle.ts";
import { tinyModel } from "../llama/tiny_model.ts";
import { encodeF32, type WritableValue, writeGguf } from "../reference/gguf_writer.ts";
import { gaussianArray, mulberry32 } from "../reference/random.ts";
import { gpt2Letters, trainMerges } from "../reference/tokenizers.ts";

const root = join(import.meta.dir, "../..");
export const austen: string = join(root, "examples/models/austen-5m-q8_0.gguf");
export const austenF16: string = join(root, "test/fixtures/austen-5m-f16.gguf");
export const prose: string = readFileSync(join(root, "test/corpus/prose.txt"), "utf8");

/** A directory as an application's bundle; it goes when it is disposed. */
export class Bundle implements Disposable {
  readonly path: string = mkdtempSync(join(tmpdir(), "bun-metal-model-"));

  /** Puts a copy of a model into the bundle. Returns its path there. */
  copy(model: string): string {
    const path = join(this.path, basename(model));
    copyFileSync(model, path);
    return path;
  }

  /** Writes a model of these parts. Returns its path. */
  write(name: string, { metadata, tensors }: ModelParts): string {
    const path = join(this.path, name);
    writeFileSync(path, writeGguf([...metadata], tensors));
    return path;
  }

  /** Exports for the CPU device unless told otherwise. */
  export(model: string, plan: string, options: ExportOptions = {}): void {
    exportModel(model, join(this.path, plan), { target: "cpu", ...options });
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** A byte-level BPE vocabulary, trained on some prose, with special tokens and a byte that has no token. */
export function bytePairVocabulary(pre: string): Vocabulary {
  const letters = gpt2Letters();
  const lettersOf = (text: string): string[] =>
    [...new TextEncoder().encode(text)].map((byte) => letters[byte] as string);
  const words = `${prose} 你好 🙂🙂 été été 1234 12345`.match(/\s*\S+/g) ?? [];
  const merges = trainMerges(words.map(lettersOf), 300);
  const made = [...new Set(merges.map((merge) => merge.replace(" ", "")))];
  const special = ["<|endoftext|>", "<|im_start|>", "<tool>", "<|im"];
  // Without a token for the byte 0xFF, and without the fifth merge's result.
  const tokens = [...letters.slice(0, 255), ...made.filter((_, i) => i !== 5), ...special];
  return {
    model: "gpt2",
    pre,
    tokens,
    types: tokens.map((token) => {
      if (token === "<tool>") return tokenTypes.userDefined;
      return special.includes(token) ? tokenTypes.control : tokenTypes.normal;
    }),
    merges,
    bos: tokens.indexOf("<|endoftext|>"),
    eos: tokens.indexOf("<|endoftext|>"),
  };
}

/** The tiny model with another vocabulary and random embeddings for it. */
export function modelWithVocabulary(vocabulary: Vocabulary): ModelParts {
  const parts = tinyModel();
  const metadata = new Map<string, WritableValue>(
    [...parts.metadata].filter(([key]) => !key.startsWith("tokenizer.")),
  );
  const put = (name: string, value: WritableValue | undefined): void => {
    if (value !== undefined) metadata.set(`tokenizer.ggml.${name}`, value);
  };
  put("model", vocabulary.model);
  put("pre", vocabulary.pre);
  put("tokens", vocabulary.tokens);
  put("merges", vocabulary.merges);
  put("token_type", Int32Array.from(vocabulary.types ?? []));
  put("bos_token_id", vocabulary.bos);
  put("eos_token_id", vocabulary.eos);
  const tensors = parts.tensors.map((tensor) => {
    if (tensor.name !== "token_embd.weight") return tensor;
    const [columns] = tensor.shape;
    const count = Number(columns) * vocabulary.tokens.length;
    const data = encodeF32(gaussianArray(mulberry32(7), count, 1 / Math.sqrt(Number(columns))));
    return { ...tensor, shape: [columns, vocabulary.tokens.length], data };
  });
  return { metadata, tensors };
}

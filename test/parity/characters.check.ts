/**
 * Every character of Unicode, after and before what may become one word with it, by every form of pre-tokenizer. The
 * vocabulary's merges reach over each place where the text may be cut, so that tokens tell where it was.
 */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tokenizerFromMetadata } from "../../src/text/index.ts";
import { isKnown } from "../corpus/random_texts.ts";
import { type WritableValue, writeGguf } from "../reference/gguf_writer.ts";
import { gpt2Letters } from "../reference/tokenizers.ts";
import { recordedVocabularies } from "../text/recorded.ts";
import { loadVocabulary } from "./llama_cpp.ts";

/** Merges of what stands before a character with its first byte, and of its last byte with what stands after it. */
function vocabulary(): Map<string, WritableValue> {
  const letters = gpt2Letters();
  const [space, end] = [letters[0x20], letters[0x0a]];
  const made = new Set<string>();
  letters.forEach((letter, byte) => {
    if (byte >= 0x80)
      for (const before of ["a", "A", "1", ".", letters[0xa9], space]) made.add(`${before} ${letter}`);
    if (byte >= 0x80 && byte < 0xc0)
      for (const after of ["b", "B", "2", ",", letters[0xc3], end]) made.add(`${letter} ${after}`);
  });
  const merges = [...made];
  const tokens = [...letters, ...merges.map((merge) => merge.replace(" ", ""))];
  return new Map<string, WritableValue>([
    ["tokenizer.ggml.tokens", tokens],
    ["tokenizer.ggml.token_type", new Int32Array(tokens.length).fill(1)],
    ["tokenizer.ggml.merges", merges],
    ["tokenizer.ggml.bos_token_id", 0],
    ["tokenizer.ggml.eos_token_id", 0],
  ]);
}

/** A character in every neighbourhood. U+00E9 is there because DeepSeek LLM cuts words at the letters of ASCII, too. */
const around = (c: string): string => `a${c}b é${c}é A${c}B 1${c}2 .${c}, ${c}\n${c}${c}b  ${c} `;

const characters = Array.from({ length: 0x110000 }, (_, code) => code)
  // Ideographs and syllables are alike: one in sixteen of those within their blocks is enough.
  .filter((code) => !((code >= 0x3500 && code < 0xd700) || code >= 0x20100) || code % 16 === 0)
  .filter((code) => code < 0xd800 || code > 0xdfff)
  .map((code) => String.fromCodePoint(code))
  .filter(isKnown);

const directory = mkdtempSync(join(tmpdir(), "bun-metal-parity-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

for (const [name, metadata] of recordedVocabularies()) {
  if (metadata.get("tokenizer.ggml.model") !== "gpt2") continue;
  test(`${name} cuts text at the same places around ${characters.length} characters`, async () => {
    const changed = new Map([...metadata, ...vocabulary()]);
    const path = join(directory, `${name}.gguf`);
    writeFileSync(path, writeGguf([...changed]));
    const ours = tokenizerFromMetadata(changed);
    const theirs = await loadVocabulary(path);
    const differs = (text: string): boolean =>
      ours.encode(text, { addBos: false }).join() !== theirs.tokenize(text, false).join();
    const different: string[] = [];
    for (let at = 0; at < characters.length; at += 64) {
      const some = characters.slice(at, at + 64);
      if (!differs(some.map(around).join(""))) continue;
      different.push(...some.filter((character) => differs(around(character))));
    }
    await theirs.dispose();
    rmSync(path);
    expect(different.map((character) => character.codePointAt(0)?.toString(16))).toEqual([]);
  });
}

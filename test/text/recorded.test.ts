// llama.cpp's tokens, as `make parity` recorded them: for every form of pre-tokenizer and every rule for spaces.
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { tokenizerFromMetadata } from "../../src/text/index.ts";
import { digestTokens, recordedPath, recordedTexts, recordedVocabularies } from "./recorded.ts";

const recorded = JSON.parse(readFileSync(recordedPath, "utf8")) as Readonly<
  Record<string, readonly string[]>
>;
const vocabularies = recordedVocabularies();

describe("encode() gives llama.cpp's tokens", () => {
  test("for every vocabulary that was recorded", () => {
    expect([...vocabularies.keys()].sort()).toEqual(Object.keys(recorded).sort());
  });

  for (const [name, metadata] of vocabularies) {
    test(name, () => {
      const tokenizer = tokenizerFromMetadata(metadata);
      const digests = recorded[name] ?? [];
      const texts = recordedTexts(metadata);
      expect(digests).toHaveLength(texts.length);
      for (const [i, text] of texts.entries()) {
        const ids = tokenizer.encode(text, { addBos: false, addEos: false, parseSpecial: i % 2 === 0 });
        expect(digestTokens(ids), `text ${i}, ${JSON.stringify(text)}, became ${ids}`).toBe(digests[i] ?? "");
      }
    });
  }
});

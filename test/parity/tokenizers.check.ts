/**
 * The tokenizers against llama.cpp's, on vocabularies of real models and at least 3,000 texts for each family.
 *
 * This directory is a workspace of its own, so that nothing of it is needed for anything else: `make parity` installs it
 * and runs every `*.check.ts` of it, one for each subject. llama_cpp.ts opens llama.cpp.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openGguf } from "../../src/gguf/index.ts";
import { tokenizerFromMetadata } from "../../src/text/index.ts";
import { randomTexts } from "../corpus/random_texts.ts";
import { writeGguf } from "../reference/gguf_writer.ts";
import { loadVocabulary } from "./llama_cpp.ts";
import { families, fileMetadata } from "./vocabularies.ts";

const TEXTS = 4000;
const directory = mkdtempSync(join(tmpdir(), "bun-metal-parity-"));

afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe("tokenizers against llama.cpp", () => {
  for (const [i, family] of families.entries()) {
    test(`${family.name}: the same tokens on ${TEXTS} texts, and the same text of them`, async () => {
      const path = join(directory, `${i}.gguf`);
      const metadata = await fileMetadata(family);
      writeFileSync(path, writeGguf([...metadata]));
      const ours = tokenizerFromMetadata(openGguf(path).metadata);
      const theirs = await loadVocabulary(path);
      try {
        const types = metadata.get("tokenizer.ggml.token_type") as Int32Array;
        const tokens = metadata.get("tokenizer.ggml.tokens") as string[];
        const isSentencePiece = metadata.get("tokenizer.ggml.model") === "llama";
        const special = tokens.filter((_, id) => types[id] === 3 || types[id] === 4);
        const different: unknown[] = [];
        for (const [at, text] of randomTexts(i, TEXTS, special).entries()) {
          const parseSpecial = at % 2 === 0;
          const found = ours.encode(text, { addBos: false, addEos: false, parseSpecial });
          const wanted = [...theirs.tokenize(text, parseSpecial)];
          if (!Bun.deepEquals(found, wanted)) {
            const first = found.findIndex((id, k) => id !== wanted[k]);
            const part = (ids: number[]) =>
              ids.slice(Math.max(0, first - 2), first + 5).map((id) => [id, tokens[id]]);
            different.push({ parseSpecial, text, found: part(found), wanted: part(wanted) });
          } else if (family.decodesExactly) {
            const theirText = theirs.detokenize(Uint32Array.from(wanted), parseSpecial);
            expect(ours.decode(found, { special: parseSpecial }), `seed ${i}, text ${at}`).toBe(theirText);
          }
          // SentencePiece writes spaces as U+2581, and reads all of these as spaces.
          const promised = isSentencePiece ? text.replaceAll("\u2581", " ") : text;
          if (!parseSpecial) expect(ours.decode(found), `seed ${i}, text ${at}`).toBe(promised);
        }
        if (different.length > 0)
          console.log(different.length, JSON.stringify(different.slice(0, 8), null, 1));
        expect(different.length, `seed ${i}`).toBe(0);
        expect(ours.addBos).toBe(theirs.shouldPrependBosToken());
        const ends = tokens.flatMap((_, id) => (ours.isEndOfGeneration(id) ? [id] : []));
        expect(ends).toEqual(tokens.flatMap((_, id) => (theirs.isEogToken(id) ? [id] : [])));
      } finally {
        await theirs.dispose();
        rmSync(path);
      }
    }, 300_000);
  }
});

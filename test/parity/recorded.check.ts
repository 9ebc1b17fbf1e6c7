/**
 * What test/fixtures/tokens.json says of llama.cpp's tokens, which the tests that need no llama.cpp go by. With
 * `make parity RECORD=1` it is written anew.
 */
import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeGguf } from "../reference/gguf_writer.ts";
import { digestTokens, recordedPath, recordedTexts, recordedVocabularies } from "../text/recorded.ts";
import { loadVocabulary } from "./llama_cpp.ts";

test("llama.cpp gives the tokens that are recorded of it", async () => {
  const directory = mkdtempSync(join(tmpdir(), "bun-metal-parity-"));
  const found: Record<string, string[]> = {};
  try {
    for (const [name, metadata] of recordedVocabularies()) {
      const path = join(directory, `${name}.gguf`);
      writeFileSync(path, writeGguf([...metadata]));
      const model = await loadVocabulary(path);
      found[name] = recordedTexts(metadata).map((text, i) => digestTokens(model.tokenize(text, i % 2 === 0)));
      await model.dispose();
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  if (process.env.RECORD)
    writeFileSync(recordedPath, `${JSON.stringify(found, null, 0).replaceAll("],", "],\n")}\n`);
  expect(JSON.parse(readFileSync(recordedPath, "utf8"))).toEqual(found);
}, 120_000);

/** Models in several files, as the tests split them: llama.cpp reads them, and gives the logits of the whole. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { models, takeApart } from "../llama/oracle.ts";
import { splitModel, splitName } from "../reference/gguf_split.ts";
import { f32 } from "../reference/gguf_writer.ts";
import { type ContextSettings, LlamaCpp } from "./llama_cpp_logits.ts";

const directory = mkdtempSync(join(tmpdir(), "bun-metal-parity-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const F16 = 1;
const settings: ContextSettings = {
  threads: 1,
  batchSize: 512,
  flashAttention: false,
  kvCacheKeyType: F16,
  kvCacheValueType: F16,
};

test("llama.cpp reads the parts that tests make of a model", async () => {
  const prompt = [1, 2000, 300];
  const { metadata, tensors } = takeApart(models.q8_0);
  metadata.set("llama.rope.freq_base", f32(10000)); // a whole number that must not be written as one
  await using whole = await LlamaCpp.load(models.q8_0);
  const expected = await whole.logits(prompt, 0, settings);
  for (const [count, tensorlessFirst] of [
    [1, false],
    [2, false],
    [5, false],
    [3, true],
  ] as const) {
    const paths = splitModel(metadata, tensors, count, { tensorlessFirst }).map((bytes, part) => {
      const path = join(directory, splitName("austen", part, count));
      writeFileSync(path, bytes);
      return path;
    });
    await using split = await LlamaCpp.load(paths[0]);
    expect(await split.logits(prompt, 0, settings)).toEqual(expected);
  }
}, 60_000);

/** Logits and greedy tokens of small random models, one of each type, beside llama.cpp's. */
import { afterAll, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type QuantizeType, quantize } from "../../src/quantize/index.ts";
import { compareModel, isQuick } from "./compare_model.ts";
import { writeDequantized, writeRandomModel } from "./random_model.ts";

setDefaultTimeout(300_000);

const SEED = 4;

type Type = QuantizeType | "iq4_nl" | "iq4_xs" | "mxfp4";

/** Types that are quantised to, and those of which there are random blocks. */
const types: readonly Type[] = [
  "F32",
  "F16",
  "BF16",
  "Q8_0",
  "Q4_0",
  "Q4_1",
  "Q5_0",
  "Q5_1",
  "Q2_K",
  "Q3_K",
  "Q4_K",
  "Q5_K",
  "Q6_K",
  "iq4_nl",
  "iq4_xs",
  "mxfp4",
];
/** A few of each kind: floats, blocks, blocks of blocks, and tables. */
const quickTypes: readonly Type[] = ["F16", "Q8_0", "Q4_0", "Q4_K", "Q6_K", "iq4_xs", "mxfp4"];

const directory = mkdtempSync(join(tmpdir(), "bun-metal-parity-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

for (const type of isQuick ? quickTypes : types) {
  test(`a random model in ${type} gives the logits that llama.cpp gives`, async () => {
    const [source, path, meant] = ["f32", type, `${type}-meant`].map((name) =>
      join(directory, `${name}.gguf`),
    );
    if (type === "iq4_nl" || type === "iq4_xs" || type === "mxfp4") {
      writeRandomModel(path, SEED, type);
    } else {
      writeRandomModel(source, SEED);
      await quantize(source, path, type, { pure: true });
    }
    writeDequantized(meant, path);
    await compareModel(type, SEED, { path, meant });
  });
}

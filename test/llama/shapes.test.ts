// Random models of other shapes than the repository's own, against the float64 oracle: group sizes, head lengths, partly
// rotated heads, an output matrix of its own, each weight type.
import { expect, setDefaultTimeout, test } from "bun:test";
import { Llama } from "../../src/llama/index.ts";
import { mulberry32, randomInteger } from "../reference/random.ts";
import { largestDifference, openOracle, oracleLogits, putTogether } from "./oracle.ts";
import { roundingOfLogits } from "./rounding.ts";
import { TemporaryFolder } from "./temporary.ts";
import { type TinyModelOptions, tinyModel } from "./tiny_model.ts";

// Work is bounded by the tests themselves; a machine may be slow or busy.
setDefaultTimeout(120_000);

const cases: Partial<TinyModelOptions>[] = [
  { type: "f32", headCount: 4, headCountKv: 4, headLength: 16 },
  { type: "f16", headCount: 8, headCountKv: 1, headLength: 16 },
  { type: "q8_0", headCount: 8, headCountKv: 2, headLength: 16 },
  { type: "f32", headCount: 3, headCountKv: 1, headLength: 10, ropeDimensionCount: 6 },
  { type: "f16", headCount: 2, headCountKv: 2, headLength: 80, ropeDimensionCount: 80 },
  { type: "q8_0", headCount: 2, headCountKv: 1, headLength: 128, ropeDimensionCount: 64, isTied: false },
];

for (const [i, options] of cases.entries()) {
  const name = Object.entries(options).map(([key, value]) => `${key} ${value}`);
  test(`Llama.decode() gives the oracle's logits with ${name.join(", ")}`, async () => {
    const seed = 100 + i;
    const random = mulberry32(seed);
    using folder = new TemporaryFolder();
    const path = folder.write("tiny.gguf", putTogether(tinyModel({ ...options, seed })));
    const tokens = Array.from({ length: 40 }, () => randomInteger(random, 259));
    using llama = await Llama.load(path, { kvType: "f32", batchSize: 64 });
    using sequence = llama.sequence();
    const rows = tokens.map((token, position) => ({
      token,
      position,
      sequence,
      wantsLogits: position === 39,
    }));
    const [logits] = await llama.decode(rows);
    const expected = oracleLogits(openOracle(path), tokens);
    expect(largestDifference(logits, expected), `seed ${seed}`).toBeLessThan(
      2e-4 + roundingOfLogits(options.type ?? "f32"),
    );
  });
}

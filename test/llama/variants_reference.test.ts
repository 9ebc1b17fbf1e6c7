// The rules of the architectures, as the oracle has them, are held to llama.cpp's numbers, without any code of ours between.
import { expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { variantModel } from "./variant_model.ts";
import { variants } from "./variants.ts";

// Work is bounded by the tests themselves; a machine may be slow or busy.
setDefaultTimeout(120_000);

/** llama.cpp's cache is in F16, which moves logits: 7e-3 were seen, in 46 layers. */
const CACHE_BOUND = 1e-2;

const architectures: {
  readonly runs: Readonly<Record<string, readonly (readonly [token: number, logProbability: number])[]>>;
} = JSON.parse(readFileSync(join(import.meta.dirname, "../fixtures/architectures.json"), "utf8"));

test.each(Object.keys(architectures.runs))(
  "ReferenceLlama gives llama.cpp's probabilities for %s",
  (name) => {
    const variant = variants.find((each) => each.name === name);
    if (variant === undefined) throw new Error(`There is no variant "${name}"`);
    const tokens = Array.from({ length: 64 }, (_, i) => 3 + ((i * i * 7 + 11 * i) % 256));
    const logits = variantModel({ ...variant, type: "f32" }, 1)
      .oracle()
      .feed(tokens);
    const total = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0));
    for (const [token, logProbability] of architectures.runs[name]) {
      expect(Math.abs(logits[token] - total - logProbability), `token ${token}`).toBeLessThan(CACHE_BOUND);
    }
  },
);

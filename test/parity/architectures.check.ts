/**
 * Logits and greedy tokens of small random models of all architectures and variations, beside llama.cpp's.
 *
 * llama.cpp loads all of them. By design it differs in one: it ignores `llama.attention.sliding_window`, which is honoured
 * here (`src/llama/architectures/llama.ts` says why). So models of `llama` with a window are compared without their key,
 * and it is shown that llama.cpp does not care for it; their windows are held to float64 in `test/llama`. The windows of
 * Gemma 2 and 3 are llama.cpp's, too, and shorter than most prompts here. That of Phi 3 is ignored by both.
 *
 * llama.cpp ignores some keys more which are honoured here: `attention.scale` in all of these architectures,
 * `attn_logit_softcapping` in `llama` and `gemma3`, `final_logit_softcapping` in `llama`, and YaRN's `yarn_beta_fast` and
 * `yarn_beta_slow` in `llama`. They are in no variant; values other than the defaults are not usual in files.
 */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { putTogether } from "../llama/oracle.ts";
import { type Variant, variantModel } from "../llama/variant_model.ts";
import { variants } from "../llama/variants.ts";
import { gelu } from "../reference/llama.ts";
import { compareModel, isQuick, logitsOfLlamaCpp, type ModelFiles } from "./compare_model.ts";
import { writeDequantized } from "./random_model.ts";

setDefaultTimeout(300_000);

const SEED = 4;
const WINDOW_KEY = "attention.sliding_window";

/** Layers above which a model is too slow for `make parity-quick`. */
const MANY_LAYERS = 8;

const directory = mkdtempSync(join(tmpdir(), "bun-metal-parity-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function write(variant: Variant): ModelFiles {
  const { parts } = variantModel(variant, SEED);
  const [path, meant] = ["", " meant"].map((suffix) => join(directory, `${variant.name}${suffix}.gguf`));
  writeFileSync(path, putTogether(parts));
  writeDequantized(meant, path, [...parts.metadata]);
  return { path, meant };
}

/** GELU as llama.cpp has it: from a half to a half, and without a table where it is 0 or x. */
function tabulatedGelu(x: number): number {
  return Math.abs(x) >= 10 ? Math.max(x, 0) : Math.f16round(gelu(Math.f16round(x)));
}

function withoutWindow({ metadata, rules, ...rest }: Variant): Variant {
  const { [WINDOW_KEY]: _, ...others } = metadata ?? {};
  return {
    ...rest,
    name: `${rest.name}, which is left out`,
    metadata: others,
    rules: { ...rules, window: undefined },
  };
}

function isIgnored({ architecture, rules }: Variant): boolean {
  return architecture === "llama" && rules.window !== undefined;
}

const compared = variants.map((variant) => (isIgnored(variant) ? withoutWindow(variant) : variant));

for (const variant of compared.filter(({ layers = 2 }) => !isQuick || layers <= MANY_LAYERS)) {
  test(`${variant.name} gives the logits that llama.cpp gives`, async () => {
    const { rules } = variant;
    const { oracle } = variantModel(variant, SEED);
    const judges = {
      exact: () => oracle(),
      tabulated: () => oracle({ ...rules, activation: tabulatedGelu }),
    };
    await compareModel(variant.name, SEED, write(variant), rules.activation === gelu ? judges : undefined);
  });
}

test.each(variants.filter(isIgnored))("llama.cpp ignores the window of $name", async (variant) => {
  const [files, plain] = [variant, withoutWindow(variant)].map(write);
  expect(await logitsOfLlamaCpp(files.path)).toEqual(await logitsOfLlamaCpp(plain.path));
});

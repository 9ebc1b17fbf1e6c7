// Models of every architecture, exported and run without JavaScript, give the tokens that TypeScript gives.
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { exportTargets, Llama } from "../../src/llama/index.ts";
import { Device } from "../../src/runtime/index.ts";
import { variantModel } from "../llama/variant_model.ts";
import { variants } from "../llama/variants.ts";
import { Bundle } from "./models.ts";
import { Session } from "./session.ts";

// Work is bounded by the tests themselves; a machine may be slow or busy.
setDefaultTimeout(120_000);

const TOKENS = 12;
const PROMPT = "It is a truth universally acknowledged"; // 39 tokens: a step of 32 rows and one of 7

const bundle = new Bundle();
const session = new Session();
const device = Device.open("cpu");

afterAll(async () => {
  await session[Symbol.asyncDispose]();
  device[Symbol.dispose]();
  bundle[Symbol.dispose]();
});

const cases = variants.flatMap(({ name }) => exportTargets.map((target) => [name, target] as const));

test.each(cases)("exportModel() exports %s for %s", async (name, target) => {
  const variant = variants.find((each) => each.name === name);
  if (variant === undefined) throw new Error(`There is no variant "${name}"`);
  const file = `${name} ${target}`.replaceAll(" ", "_");
  const model = bundle.write(`${file}.gguf`, variantModel(variant, 3).parts);
  bundle.export(model, `${file}.bmplan`, { target, batchSize: 32 });
  using llama = await Llama.load(model, { device, batchSize: 32 });
  using sequence = llama.sequence();
  const stream = llama.generate(PROMPT, { maxTokens: TOKENS, temperature: 0, sequence });
  while (!(await stream.next()).done);

  await session.open(bundle.path, `${file}.bmplan`);
  await session.expect("sampling 0 40 0.95 0.05 1 64 0");
  await session.prompt(PROMPT);
  const { tokens } = await session.next(TOKENS);
  await session.expect("close");
  const before = llama.tokenizer.encode(PROMPT, { addEos: false });
  // The last token is not computed, so that the sequence does not hold it.
  expect([...before, ...tokens].slice(0, sequence.length)).toEqual([...sequence.tokens]);
  expect(sequence.length).toBeGreaterThanOrEqual(before.length);
  expect(tokens.length).toBeGreaterThan(0);
});

// Models on the CPU device of the Metal layer for Linux, as it describes itself when told by the environment: the bridge's own limits and refusals,
// where llama/placement.test.ts has only the numbers that TypeScript sees.
import { expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { commandOf, run } from "../host/process.ts";
import { models } from "../llama/oracle.ts";

// Work is bounded by the tests themselves; a machine may be slow or busy.
setDefaultTimeout(120_000);

const script = join(import.meta.dirname, "../llama/placed_model.ts");
const MAX_BUFFER = { BUN_METAL_CPU_MAX_BUFFER: "1300000" };
const DISCRETE = { BUN_METAL_CPU_PROFILE: "intel-discrete" };

async function placed(environment: Readonly<Record<string, string>>): Promise<Record<string, unknown>> {
  const command = commandOf(script, [models.q8_0, "{}"], ["--allow-all"]);
  const { stdout, stderr } = await run(command, { environment });
  expect(stderr).toBe("");
  return JSON.parse(stdout);
}

test("Llama gives the same logits and text with small buffers, and where no memory is wrapped", async () => {
  const { logits, text, ...where } = await placed({});
  expect(where).toEqual({ weightPlacement: "mapped", weightBuffers: 1 });
  const weightBuffers = 5;
  expect(await placed(MAX_BUFFER)).toEqual({ logits, text, weightPlacement: "mapped", weightBuffers });
  const copied = await placed({ ...MAX_BUFFER, BUN_METAL_CPU_REFUSE: "nocopy" });
  expect(copied).toEqual({ logits, text, weightPlacement: "copied", weightBuffers });
});

test("Llama gives the same text on a device with memory of its own, and logits that do not depend on buffers", async () => {
  const { text } = await placed({});
  const whole = await placed(DISCRETE);
  expect(whole).toMatchObject({ text, weightPlacement: "private", weightBuffers: 1 });
  expect(await placed({ ...DISCRETE, ...MAX_BUFFER })).toEqual({ ...whole, weightBuffers: 5 });
});

test("Llama.load() refuses what is over the limits that the system tells", async () => {
  expect(await placed({ BUN_METAL_CPU_WORKING_SET: "8000000" })).toEqual({
    error: expect.stringMatching(/^MemoryError: Cannot hold the model in the 8000000 bytes/),
  });
  expect(await placed({ BUN_METAL_CPU_MAX_BUFFER: "1000000" })).toEqual({
    error: expect.stringContaining('Cannot place tensor "token_embd.weight"'),
  });
});

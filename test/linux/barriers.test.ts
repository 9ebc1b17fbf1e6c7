// Plans on the CPU device with BUN_METAL_CPU_CHECK=shuffle: what may overlap runs in random order, so that a barrier that is
// missing is found.
import { expect, test } from "bun:test";
import { join } from "node:path";
import { commandOf, run } from "../host/process.ts";

async function runShuffled(mode: "barriers" | "no-barriers"): Promise<{ seed: number; error: number }> {
  const command = commandOf(join(import.meta.dirname, "random_runs.ts"), ["2000", "30", mode]);
  const { stdout, stderr, code } = await run(command, { environment: { BUN_METAL_CPU_CHECK: "shuffle" } });
  if (code !== 0) throw new Error(`random_runs.ts failed: ${stderr}`);
  return JSON.parse(stdout);
}

test("Plan has the barriers that it needs: commands between them may run in any order", async () => {
  expect((await runShuffled("barriers")).error).toBeLessThan(2e-4);
}, 60_000);

test("Plan without barriers is found out by the same check", async () => {
  expect((await runShuffled("no-barriers")).error).toBeGreaterThan(1e-2);
}, 60_000);

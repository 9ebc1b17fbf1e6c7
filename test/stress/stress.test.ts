// Thousands of objects, five threads, and nothing left behind; and a control that shows that the check can fail.
import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { loadBridge } from "../../src/ffi/index.ts";
import type { SoakReport } from "./soak.ts";

async function soak(scale: number, environment: Record<string, string> = {}): Promise<SoakReport> {
  const child = Bun.spawn([process.execPath, "run", join(import.meta.dir, "soak.ts"), String(scale)], {
    env: { ...process.env, ...environment },
    stdout: "pipe",
    stderr: "inherit",
  });
  const [code, output] = await Promise.all([child.exited, new Response(child.stdout).text()]);
  expect(code).toBe(0);
  return JSON.parse(output);
}

/** What is wrong with a run: the one check, for the library and for its control. */
function faults({ leaks, leaksAtEnd, residentBefore, residentAfter }: SoakReport): string[] {
  const growth = residentAfter / residentBefore - 1;
  const resident = growth > 0.05 ? [`resident memory: ${(100 * growth).toFixed(1)} % more`] : [];
  return [...leaks, ...leaksAtEnd.map((leak) => `at the end, ${leak}`), ...resident];
}

describe("stress", () => {
  test("200,000 buffers and 20,000 program runs on five threads leave nothing behind", async () => {
    const report = await soak(1);
    expect(faults(report)).toEqual([]);
    expect(report.threads).toBe(5);
    expect(report.aliveAtOnce).toBe(10_000);
    expect(report.created).toBeGreaterThanOrEqual(200_000);
    expect(report.programRuns).toBeGreaterThanOrEqual(20_000);
  });

  test("the same bridge built without its pools fails the check", async () => {
    const library = loadBridge().path;
    const control = join(
      dirname(library),
      library.endsWith(".dylib") ? "libbun_metal_without_pools.dylib" : "libbun_metal_without_pools.so",
    );
    if (!existsSync(control)) {
      const root = join(import.meta.dir, "../..");
      expect(Bun.spawnSync(["make", "without-pools"], { cwd: root }).exitCode).toBe(0);
    }
    const found = faults(await soak(0.05, { BUN_METAL_LIBRARY: control }));
    expect(found).toContainEqual(expect.stringMatching(/^Objective-C objects: \d+ before, \d+ after$/));
    expect(found).toContainEqual(expect.stringMatching(/^objects without a pool: \d+ before, \d+ after$/));
  });
});

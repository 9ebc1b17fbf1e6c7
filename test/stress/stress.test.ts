// Thousands of objects, five threads, and nothing left behind; and a control that shows that the check can fail.
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { locateLibrary } from "../../src/ffi/locate.ts";
import { Device } from "../../src/runtime/index.ts";
import type { SoakReport } from "./soak.ts";

async function soak(scale: number, environment: Record<string, string> = {}): Promise<SoakReport> {
  const child = Bun.spawn([process.execPath, "run", join(import.meta.dirname, "soak.ts"), String(scale)], {
    env: { ...process.env, ...environment },
    stdout: "pipe",
    stderr: "inherit",
  });
  const [code, output] = await Promise.all([child.exited, new Response(child.stdout).text()]);
  expect(code).toBe(0);
  return JSON.parse(output);
}

/** Milliseconds: far over what a run takes on two busy cores, so that only a hang is stopped. */
const patience = 300_000;

/** What is wrong with a run: the one check, for the library and for its control. */
function faults({ leaks, leaksAtEnd, residentBefore, residentAfter }: SoakReport): string[] {
  const growth = residentAfter / residentBefore - 1;
  const resident = growth > 0.05 ? [`resident memory: ${(100 * growth).toFixed(1)} % more`] : [];
  return [...leaks, ...leaksAtEnd.map((leak) => `at the end, ${leak}`), ...resident];
}

describe("stress", () => {
  test(
    "200,000 buffers and 20,000 program runs on five threads leave nothing behind",
    async () => {
      const report = await soak(1);
      expect(faults(report)).toEqual([]);
      expect(report.threads).toBe(5);
      expect(report.aliveAtOnce).toBe(10_000);
      expect(report.created).toBeGreaterThanOrEqual(200_000);
      expect(report.programRuns).toBeGreaterThanOrEqual(20_000);
    },
    patience,
  );

  test(
    "the same bridge built without its pools fails the check",
    async () => {
      const built = Bun.spawnSync(["make", "without-pools"], { cwd: join(import.meta.dirname, "../..") });
      expect(built.exitCode).toBe(0);
      const control = locateLibrary({ override: undefined }).replace(/(\.\w+)$/, "_without_pools$1");
      // Where the platform counts no objects, only memory tells, and it takes more work to see.
      const countsObjects = !Number.isNaN(Device.statistics().objects);
      const found = faults(await soak(countsObjects ? 0.05 : 1, { BUN_METAL_LIBRARY: control }));
      const signs = countsObjects
        ? [/^Objective-C objects: \d+ before, \d+ after$/, /^objects without a pool: \d+ before, \d+ after$/]
        : [/^resident memory/];
      for (const sign of signs) expect(found).toContainEqual(expect.stringMatching(sign));
    },
    patience,
  );
});

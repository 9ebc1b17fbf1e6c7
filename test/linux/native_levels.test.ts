// The kernels for each level of instructions that this machine has, and their originals in MSL, by the cases of
// test/kernels. Native products are left out: test/native/native_products_test.c holds those of every level to float64.
import { beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { Device } from "../../src/runtime/index.ts";
import { type Finished, run } from "../host/process.ts";

// Work is bounded by the tests themselves; a machine may be slow or busy.
setDefaultTimeout(300_000);

/** Those of a kind of machine, of which each has the first two. */
const levels: readonly string[] =
  process.arch === "x64"
    ? ["msl", "x86-64-v2", "avx2", "avx512vnni", "amx"]
    : ["msl", "neon", "dotprod", "i8mm"];
const cases = join(import.meta.dirname, "../kernels/kernels.test.ts");

function testKernels(level: string): Promise<Finished> {
  const filter = level === "msl" ? [] : ["-t", "kernels (?!mat)"];
  return run([process.execPath, "test", "--timeout", "180000", cases, ...filter], {
    environment: { BUN_METAL_CPU_NATIVE: level },
  });
}

/** All levels but the one that the tests of this process use, side by side. */
let others: ReadonlyMap<string, Promise<Finished>>;

beforeAll(() => {
  using device = Device.open();
  const { architecture } = device.info;
  others = new Map(
    levels.filter((level) => !architecture.endsWith(`+${level}`)).map((level) => [level, testKernels(level)]),
  );
});

describe("BUN_METAL_CPU_NATIVE", () => {
  test("is refused where it names no level", async () => {
    const { code, stderr } = await testKernels("avx3");
    expect(code).not.toBe(0);
    expect(stderr).toContain("BUN_METAL_CPU_NATIVE is 'avx3', which is none of: msl, ");
  });

  levels.forEach((level, i) => {
    test(`${level}: kernels match their references`, async () => {
      const finished = await others.get(level);
      if (finished === undefined) return; // test/kernels itself has run them
      const { code, stderr } = finished;
      if (
        i > 1 &&
        stderr.includes(`BUN_METAL_CPU_NATIVE is '${level}', whose instructions this machine lacks`)
      ) {
        console.log(`${level}: this machine lacks its instructions`);
        return;
      }
      expect(code, stderr.slice(-4000)).toBe(0);
      expect(stderr).toMatch(/^ *[1-9]\d{2,} pass$/m);
    });
  });
});

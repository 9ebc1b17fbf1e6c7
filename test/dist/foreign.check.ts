// The library for the architecture that this machine is not, under QEMU: the native tests, the kernels against their
// references with a Bun of that architecture, and the installed package writing what it writes here.
import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { dist, execute, filesBelow, outputOf, root, tool } from "./distribution.ts";
import { Installation } from "./installation.ts";

const [machine, platform] = process.arch === "arm64" ? ["x86_64", "linux-x64"] : ["aarch64", "linux-arm64"];
/** How a program of the other architecture is started. */
const emulated = [tool(`qemu-${machine}`), "-L", `/usr/${machine}-linux-gnu`];
/** Processors that QEMU can stand in for, and the level of native kernels that they have. */
const processors: Readonly<Record<string, string>> =
  machine === "aarch64"
    ? { "cortex-a57": "neon", "neoverse-n1": "dotprod", max: "i8mm" }
    : { Nehalem: "x86-64-v2", max: "avx2" };
const bun = [...emulated, tool(`bun-${machine}/package/bin/bun`)];
const library = join(dist, platform, "libbun_metal.so");

/** Runs tests of the repository in the other architecture's Bun, with the library that ships. */
async function runTests(...args: string[]): Promise<void> {
  const { code, stderr } = await execute([...bun, "test", "--timeout", "180000", ...args], {
    environment: { ...process.env, BUN_METAL_LIBRARY: library },
  });
  const failed = stderr.split("\n").filter((line) => line !== "" && !line.startsWith("(pass)"));
  expect(code, failed.join("\n")).toBe(0);
  expect(Number(/^ *(\d+) pass$/m.exec(stderr)?.[1])).toBeGreaterThan(10);
}

describe(`native tests for ${machine}`, () => {
  const built = join(root, "build/dist", platform, "native");
  // cpu_run takes a kernel to run; those of the CUDA device need a library that stands for CUDA's driver.
  const others = ["cpu_run", "cuda", "cuda_graph", "cuda_native"];
  const programs = filesBelow(join(root, "test/native"))
    .filter((file) => /_test\.[cm]$/.test(file))
    .map((file) => basename(file).replace(/_test\..$/, ""))
    .filter((name) => !others.includes(name));

  test("there are programs", () => {
    expect(programs.length).toBeGreaterThan(5);
    expect(programs.filter((name) => !existsSync(join(built, name)))).toEqual([]);
  });

  for (const name of programs) {
    test(`${name} passes`, async () => {
      const { code, stdout, stderr } = await execute([...emulated, join(built, name)]);
      const failed = stdout.split("\n").filter((line) => line !== "" && !line.startsWith("ok "));
      expect(code, `${failed.join("\n")}\n${stderr}`).toBe(0);
      expect(stdout).toContain("ok ");
    });
  }
});

describe("native kernels", () => {
  for (const [processor, level] of Object.entries(processors)) {
    test(`are of level ${level} for ${processor}`, async () => {
      const program = join(root, "build/dist", platform, "native/native_levels");
      const { code, stdout, stderr } = await execute([...emulated, "-cpu", processor, program]);
      expect(stdout, stderr).toBe(`ok   native kernels of level ${level}\n`);
      expect(code).toBe(0);
    });
  }
});

describe(`the library for ${machine}`, () => {
  test("kernels match their references", async () => {
    // One of each family: QEMU takes minutes for all of them.
    const families =
      "rmsnorm_f32|softmax_f32|silu_mul_f32|rope_half_f32|argmax_f32|embed_q8_0|convert_q8_0_f16|kv_store_f16|matvec_rows_f32|matmul_f16|matmul_q4_k";
    await runTests("test/kernels", "-t", `\\b(${families}) matches`);
  });

  test("Metal Shading Language is compiled at run time, and means the same", async () => {
    await runTests("test/linux/msl_simd.test.ts");
  });

  test("the installed package writes what it writes on this machine", async () => {
    using app = new Installation();
    await app.install();
    const here = await app.run([process.execPath, "main.ts"]);
    const there = await app.run([...bun, "main.ts"]);
    expect(there).toEqual(here);
    expect(there.code).toBe(0);
    expect(await outputOf([...bun, "-p", "process.arch"])).toBe(
      process.arch === "arm64" ? "x64\n" : "arm64\n",
    );
  });
});

// What only a real GPU can show: memory that is out, and kernels that break it. Skipped where there is none.
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { Device } from "../../src/runtime/index.ts";
import { type Finished, run, scriptCommand } from "../host/process.ts";

// Work is bounded by the tests themselves; a machine may be slow or busy.
setDefaultTimeout(120_000);

const gpu = Device.list().find(({ backend }) => backend === "cuda");
if (gpu === undefined) console.log("no NVIDIA GPU: the tests of test/linux/gpu.test.ts are skipped");

const library = JSON.stringify(join(import.meta.dirname, "../../mod.ts"));

/** Runs a script in a process of its own: what it breaks stays broken there. */
function inScript(body: string, environment: Readonly<Record<string, string>> = {}): Promise<Finished> {
  const imports = `import { Device, OutOfMemoryError, ProgramBuilder } from ${library};`;
  return run(scriptCommand(`${imports} ${body}`), { environment });
}

/** Writes far outside of its buffer, then goes on as if nothing had been. */
const breaking = `
  using device = Device.open("cuda");
  using library = device.compile(\`
    #include <metal_stdlib>
    kernel void far_away(device uint *x [[buffer(0)]], constant ulong &offset [[buffer(1)]]) { x[offset] = 1; }\`);
  using buffer = device.buffer(4096, { storage: "private" });
  using program = new ProgramBuilder(device)
    .dispatch({ pipeline: library.pipeline("far_away"), buffers: [{ buffer }], constants: { 1: BigUint64Array.of(1n << 44n) },
      threadgroups: [1], threadsPerThreadgroup: [1] })
    .build();
  const told = [];
  for (let i = 0; i < 2; i++) {
    try {
      await device.queue.submit(program);
    } catch (error) {
      told.push(error.code + ": " + error.message);
    }
  }
  try {
    device.buffer(64, { storage: "private" });
  } catch (error) {
    told.push(error.code + ": " + error.message);
  }
  console.log(JSON.stringify(told));`;

describe.skipIf(gpu === undefined)("a GPU", () => {
  test("says how much memory it lacks", async () => {
    const { stdout, stderr } = await inScript(`
      using device = Device.open("cuda");
      const buffers = [];
      try {
        for (;;) buffers.push(device.buffer(2 ** 33, { storage: "private" }));
      } catch (error) {
        const { asked, available, total } = error;
        console.log(JSON.stringify({ isTyped: error instanceof OutOfMemoryError, asked, available, total }));
      }
      for (const buffer of buffers) buffer.dispose();
      device.buffer(2 ** 20, { storage: "private" }).dispose();`);
    expect(stderr).toBe("");
    const { isTyped, asked, available, total } = JSON.parse(stdout);
    expect([isTyped, asked, total]).toEqual([true, 2 ** 33, gpu?.maxBufferLength]);
    expect(available).toBeGreaterThan(0);
    expect(available).toBeLessThan(2 ** 33);
  });

  test("that a kernel breaks fails all that comes after, and nothing hangs", async () => {
    const { code, stdout, stderr } = await inScript(breaking);
    expect(stderr).toBe("");
    expect(code).toBe(0);
    const [first, second, third] = JSON.parse(stdout);
    expect(first).toMatch(/^execution: .*CUDA_ERROR_ILLEGAL_ADDRESS/);
    expect(second).toMatch(/^execution: .*An earlier command broke the device: .*CUDA_ERROR_ILLEGAL_ADDRESS/);
    expect(third).toMatch(/^memory: .*An earlier command broke the device/);
  });

  test("tells which kernel broke it, where commands are waited for", async () => {
    const { stdout } = await inScript(breaking, { BUN_METAL_CUDA_CHECK: "sync" });
    expect(JSON.parse(stdout)[0]).toContain("kernel 'far_away', 1 x 1 x 1 threads");
  });
});

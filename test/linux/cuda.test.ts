// Devices of the CUDA driver as JavaScript sees them, over the library of test/linux/fake_cuda: no kernel runs there.
// test/native/cuda_*.m hold what commands do.
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { commandOf, run, scriptCommand } from "../host/process.ts";
import { built, ScratchDirectory } from "./msl_tool.ts";

// Work is bounded by the tests themselves; a machine may be slow or busy.
setDefaultTimeout(60_000);

const root = join(import.meta.dirname, "../..");
const fake = join(built, "fake-cuda");
/** The tests themselves may run on a GPU; these have devices of their own. */
const cuda = { LD_LIBRARY_PATH: fake, BUN_METAL_DEVICE: "", FAKE_CUDA_DEVICES: "2" };

/** What `bun-metal devices` calls the devices that there are. */
async function listed(environment: Readonly<Record<string, string>>): Promise<string[]> {
  const command = commandOf(join(root, "src/cli/main.ts"), ["devices"], ["--allow-all"]);
  const { stdout, stderr } = await run(command, { environment });
  expect(stderr).toBe("");
  return stdout
    .trim()
    .split("\n")
    .map((line) => line.replace(/ \(.*/, "").replace(/^cpu .*/, "cpu"));
}

function inScript(body: string, environment: Readonly<Record<string, string>> = {}): Promise<string> {
  const imports = `import { Device, OutOfMemoryError } from ${JSON.stringify(join(root, "mod.ts"))};`;
  return run(scriptCommand(`${imports} ${body}`), {
    environment: { ...cuda, ...environment },
  }).then(({ code, stdout, stderr }) => {
    expect([code, stderr]).toEqual([0, ""]);
    return stdout;
  });
}

describe("CUDA devices", () => {
  test("the library that stands for CUDA's is there", () => {
    expect(existsSync(join(fake, "libcuda.so.1")), "make test-artifacts builds it").toBe(true);
  });

  test("are listed, in the order of their kind", async () => {
    expect(await listed(cuda)).toEqual(["cpu", "cuda     Fake GPU 0", "cuda:1   Fake GPU 1"]);
    const names = await listed({ ...cuda, BUN_METAL_DEVICE: "cuda" });
    expect(names.toSorted()).toEqual(["cpu", "cuda     Fake GPU 0", "cuda:1   Fake GPU 1"]);
  });

  test("are not listed where they are switched off, too old, or not there", async () => {
    const [off, old, none, another] = await Promise.all([
      listed({ ...cuda, BUN_METAL_CUDA: "off" }),
      listed({ ...cuda, FAKE_CUDA_MAJOR: "7" }),
      listed({ ...cuda, FAKE_CUDA_DEVICES: "0" }),
      listed({ ...cuda, BUN_METAL_CPU_PROFILE: "apple7" }),
    ]);
    expect([off, old, none, another]).toEqual([["cpu"], ["cpu"], ["cpu"], ["cpu"]]);
  });

  test("are refused with settings that cannot be meant", async () => {
    const command = commandOf(join(root, "src/cli/main.ts"), ["devices"], ["--allow-all"]);
    for (const name of ["BUN_METAL_CUDA", "BUN_METAL_CUDA_CHECK", "BUN_METAL_CUDA_NATIVE"]) {
      const { code, stderr } = await run(command, { environment: { ...cuda, [name]: "on" } });
      expect(code).toBe(1);
      expect(stderr).toContain(`${name} is "on", which it cannot be`);
    }
  });

  test("are opened by name", async () => {
    const body = `for (const name of ["cuda", "cuda:0", "cuda:1", "cpu", "auto"]) {
      using device = Device.open(name);
      console.log(device.info.id, device.info.name, device.info.unifiedMemory, device.info.weightStorage);
    }`;
    expect(
      (await inScript(body))
        .trim()
        .split("\n")
        .map((line) => line.replace(/^cpu .*? (?=true)/, "cpu ")),
    ).toEqual([
      "cuda Fake GPU 0 false private",
      "cuda Fake GPU 0 false private",
      "cuda:1 Fake GPU 1 false private",
      "cpu true shared",
      "cuda Fake GPU 0 false private",
    ]);
  });

  test("say how much memory was asked for, is left, and is there", async () => {
    const body = `using device = Device.open("cuda");
    using half = device.buffer(2 ** 29, { storage: "private" });
    try {
      device.buffer(2 ** 29 + 4, { storage: "private" });
    } catch (error) {
      const { name, code, asked, available, total, message } = error;
      console.log(JSON.stringify({ isTyped: error instanceof OutOfMemoryError, name, code, asked, available, total, message }));
    }`;
    const asked = 2 ** 29 + 4;
    expect(JSON.parse(await inScript(body))).toEqual({
      isTyped: true,
      name: "OutOfMemoryError",
      code: "memory",
      asked,
      available: 2 ** 29,
      total: 2 ** 30,
      message: expect.stringContaining(
        `has no ${asked} bytes (513 MiB) left: ${2 ** 29} of ${2 ** 30} bytes (512 of 1024 MiB)`,
      ),
    });
  });

  test("end with the process while kernels are compiled", async () => {
    const body = `const device = Device.open("cuda");
    for (const name of device.shaders().functionNames.slice(0, 40)) device.shaders().pipeline(name);
    console.log("made");`;
    for (const end of ["", "process.exit(0);"]) {
      expect(await inScript(body + end, { FAKE_CUDA_COMPILE_MS: "150" })).toBe("made\n");
    }
  });

  test("compile what may stand in for a shader that ships, and not the shader, when its pipeline is made", async () => {
    using folder = new ScratchDirectory();
    const list = folder.file("compiled");
    const body = `import { existsSync, readFileSync } from "node:fs";
    using device = Device.open("cuda");
    const names = ["matvec_fused_q8_0", "attention_tiled_64_f32", "embed_q8_0", "gather_rows_f32", "matvec_tiled_q6_k", "matvec_experts_mxfp4"];
    for (const name of names) device.shaders().pipeline(name);
    const compiled = () => existsSync(${JSON.stringify(list)}) ? readFileSync(${JSON.stringify(list)}, "utf8").trim().split("\\n") : [];
    const isThere = (name) => compiled().some((kernel) => kernel.includes(name));
    const wanted = ["matvec_q8_0_any", "matvec_q8_0_aligned", "attention_tiled_64_f32", "embed_tokens", "gather_rows_f32",
      "matvec_q6_k_any", "matvec_mxfp4_any"];
    for (let turn = 0; turn < 2000 && !wanted.every(isThere); turn++) await new Promise((r) => setTimeout(r, 5));
    await new Promise((r) => setTimeout(r, 50)); // for what should not come
    console.log(JSON.stringify([wanted.filter((name) => !isThere(name)), compiled()]));`;
    const [missing, compiled] = JSON.parse(await inScript(body, { FAKE_CUDA_COMPILED: list })) as string[][];
    expect(missing, compiled.join()).toEqual([]);
    // Entries of shaders have a number in front. Only the one for which nothing stands in is among them.
    expect(compiled.filter((kernel) => kernel.startsWith("bm_")).join()).toMatch(/^bm_\d+_gather_rows_f32$/);
  });

  test("bring bytes to memory of their own and back", async () => {
    const body = `using device = Device.open("cuda");
    using buffer = device.buffer(9_000_001, { storage: "private" });
    const bytes = new Uint8Array(9_000_001);
    for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 2654435761) >>> 13;
    buffer.upload(bytes);
    const back = new Uint8Array(bytes.length);
    buffer.download(back);
    console.log(Buffer.compare(bytes, back), device.queue.gpuSeconds > 0);`;
    expect(await inScript(body)).toBe("0 true\n");
  });
});

describe("native kernels of CUDA devices", () => {
  const program = join(built, "native/cuda_native");

  for (const [name, value] of [
    ["BUN_METAL_CUDA_NATIVE", "off"],
    ["BUN_METAL_CUDA_NATIVE", "serial"],
    ["FAKE_CUDA_MAJOR", "8"],
  ] as const) {
    test(`are used as they may be with ${name}=${value}`, async () => {
      const { code, stdout, stderr } = await run([program], { environment: { ...cuda, [name]: value } });
      expect(stdout + stderr).toMatch(/^ok .*\n$/);
      expect(code).toBe(0);
    });
  }

  test("are refused where they are of another build than the library", async () => {
    using folder = new ScratchDirectory();
    mkdirSync(folder.file("cuda"));
    mkdirSync(folder.file("linux"));
    const library = folder.file("linux/libbun_metal.so");
    symlinkSync(join(built, "metal"), folder.file("linux/metal"));
    copyFileSync(join(built, "libbun_metal.so"), library);
    writeFileSync(folder.file("cuda/native.kernels"), "of another build");
    const source = `extern "C" void bun_metal_has_native_kernels() {}
      kernel void clear(device float *x [[buffer(0)]], uint i [[thread_position_in_grid]]) { x[i] = 0; }`;
    const body = `import { Device, ProgramBuilder } from ${JSON.stringify(join(root, "mod.ts"))};
      using device = Device.open("cuda");
      using library = device.compile(${JSON.stringify(source)}, { name: "own.metal" });
      using pipeline = library.pipeline("clear");
      using buffer = device.buffer(128);
      using program = new ProgramBuilder(device)
        .dispatch({ pipeline, buffers: [{ buffer }], threadgroups: [1], threadsPerThreadgroup: [32] })
        .build();
      await device.queue.submit(program).then(() => console.log("done"), (error) => console.log(error.message));`;
    const environment = { ...cuda, BUN_METAL_LIBRARY: library };
    const outcome = await run(scriptCommand(body), { environment });
    expect(outcome.stdout + outcome.stderr).toContain(
      "/cuda/native.kernels' is damaged, or of another build than this library",
    );
    const off = await run(scriptCommand(body), {
      environment: { ...environment, BUN_METAL_CUDA_NATIVE: "off" },
    });
    expect(off.stdout + off.stderr).toBe("done\n");
  });
});

// The cache of compiled pipelines: written once, found by the next process, and never in the way.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Device } from "../../src/runtime/index.ts";
import { run, scriptCommand } from "../host/process.ts";

const root = join(import.meta.dirname, "../..");
let scratch: string;
let hasCache: boolean;
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "bun-metal-cache-"));
  using device = Device.open();
  hasCache = device.info.features.includes("shader-cache");
});
afterAll(() => rmSync(scratch, { recursive: true }));

/** A process that makes two pipelines of the shaders that ship and runs a program: what it says of its cache. */
async function use(environment: Readonly<Record<string, string>>, disable = "") {
  const script = `
    import { Device, ProgramBuilder } from "${root}/src/runtime/index.ts";
    using device = Device.open();
    const shaders = device.shaders();
    shaders.pipeline("silu_f32");
    using x = device.bufferFrom(Float32Array.of(1, 2, 3, 4));
    using program = new ProgramBuilder(device)
      .dispatch({
        pipeline: shaders.pipeline("add_f32"),
        buffers: [{ buffer: x }, { buffer: x }, { buffer: x }],
        constants: { 3: Uint32Array.of(4) },
        threadgroups: [1],
        threadsPerThreadgroup: [1],
      })
      .build();
    device.queue.run(program);
    const { shaderCacheHits, shaderCacheMisses, shaderCacheFailures } = Device.statistics();
    console.log(JSON.stringify([shaderCacheHits, shaderCacheMisses, shaderCacheFailures]));`;
  // Bun has a cache of its own below XDG_CACHE_HOME, and takes a relative path for one.
  const { code, stdout, stderr } = await run(scriptCommand(script), {
    cwd: scratch,
    environment: { BUN_METAL_DISABLE: disable, ...environment },
  });
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout) as [hits: number, misses: number, failures: number];
}

describe("shader cache", () => {
  test("a second process finds what the first has compiled, whatever happened to the file", async () => {
    if (!hasCache) return; // shader validation is on, or a virtual machine
    const home = join(scratch, "first");
    const environment = { XDG_CACHE_HOME: home };
    expect(await use(environment)).toEqual([0, 2, 0]);
    const directory = join(home, "bun-metal");
    const [file, ...others] = readdirSync(directory);
    expect(file).toMatch(/^shaders-[0-9a-f]{16}\.metalar$/);
    expect(others).toEqual([]);
    expect(await use(environment)).toEqual([2, 0, 0]);
    const good = readFileSync(join(directory, file));
    for (const bad of [
      good.subarray(0, good.length >> 1),
      new TextEncoder().encode("nonsense"),
      new Uint8Array(),
    ]) {
      writeFileSync(join(directory, file), bad);
      expect(await use(environment)).toEqual([0, 2, 0]);
      expect(await use(environment)).toEqual([2, 0, 0]);
    }
    expect(await use(environment, "shader-cache")).toEqual([0, 0, 0]);
    expect(readdirSync(directory)).toEqual([file]);
  });

  test("a directory that cannot be made or written is done without", async () => {
    if (!hasCache) return;
    writeFileSync(join(scratch, "file"), "");
    expect(await use({ XDG_CACHE_HOME: join(scratch, "file", "below") })).toEqual([0, 0, 0]);
    expect(await use({ XDG_CACHE_HOME: "relative", HOME: "" })).toEqual([0, 0, 0]);
    const home = join(scratch, "second");
    expect(await use({ XDG_CACHE_HOME: "", HOME: scratch })).toEqual([0, 2, 0]);
    expect(readdirSync(join(scratch, ".cache", "bun-metal"))).toHaveLength(1);
    // Something that no file can take the place of.
    const [name] = readdirSync(join(scratch, ".cache", "bun-metal"));
    mkdirSync(join(home, "bun-metal", name, "full"), { recursive: true });
    expect(await use({ XDG_CACHE_HOME: home })).toEqual([0, 2, 1]);
    expect(readdirSync(join(home, "bun-metal"))).toEqual([name]);
  });
});

// The shaders that ship: where the bridge takes them from, and the source that it carries.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { loadBridge } from "../../src/ffi/index.ts";
import { Device } from "../../src/runtime/index.ts";
import { type Finished, run, scriptCommand } from "../host/process.ts";

// All shaders are compiled from source here; a machine may be slow or busy.
setDefaultTimeout(120_000);

const root = join(import.meta.dirname, "../..");
const built = loadBridge().path;
const compiled = join(dirname(built), "shaders.metallib");
/** The headers that the CPU device's compiler needs. */
const headers = join(dirname(built), "metal");

let scratch: string;
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "bun-metal-shaders-"));
});
afterAll(() => rmSync(scratch, { recursive: true }));

/** Kernel names that a process with a copy of the native library, and `files` beside it, finds; or its error. */
async function shadersBeside(files: Readonly<Record<string, "compiled" | "damaged">>, withHeaders: boolean) {
  const directory = mkdtempSync(join(scratch, "case-"));
  copyFileSync(built, join(directory, basename(built)));
  if (withHeaders) symlinkSync(headers, join(directory, "metal"));
  for (const [name, state] of Object.entries(files)) {
    if (state === "compiled") copyFileSync(compiled, join(directory, name));
    else writeFileSync(join(directory, name), "MTLB and nothing else");
  }
  const script = `
    import { Device } from "${root}/src/runtime/index.ts";
    using device = Device.open();
    try {
      console.log(JSON.stringify(device.shaders().functionNames.toSorted()));
    } catch (error) {
      console.log(JSON.stringify({ code: error.code, message: error.message }));
    }`;
  const environment = { BUN_METAL_LIBRARY: join(directory, basename(built)) };
  const { code, stdout, stderr } = await run(scriptCommand(script), { environment });
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout) as unknown;
}

/** The lines of a text, each with the file and the line number that `#line` directives give it. */
function numberedLines(text: string): Map<string, string> {
  const lines = new Map<string, string>();
  let [file, number] = ["", 0];
  for (const line of text.split("\n")) {
    const directive = /^#line (\d+) "(.*)"$/.exec(line);
    if (directive !== null) [file, number] = [directive[2], Number(directive[1])];
    else lines.set(`${file}:${number++}`, line);
  }
  return lines;
}

describe("scripts/shader_source.sh", () => {
  const joinShaders = (...args: string[]): Promise<Finished> =>
    run(["sh", "scripts/shader_source.sh", ...args], { cwd: root });

  test("joins the shaders, each file once, with the names and numbers of their lines", async () => {
    const files = readdirSync(join(root, "shaders"))
      .filter((name) => /\.(metal|h)$/.test(name))
      .sort();
    const sources = files.filter((file) => file.endsWith(".metal")).map((file) => `shaders/${file}`);
    const joined = numberedLines((await joinShaders(...sources)).stdout);
    let count = 0;
    for (const file of files) {
      const lines = readFileSync(join(root, "shaders", file), "utf8")
        .replace(/\n$/, "")
        .split("\n");
      for (const [i, line] of lines.entries()) {
        if (/^#include "/.test(line)) continue;
        expect(joined.get(`${file}:${i + 1}`), `${file}:${i + 1}`).toBe(line);
        count++;
      }
    }
    expect(count).toBeGreaterThan(500);
    expect([...joined.values()].filter((line) => /#include "|pragma once/.test(line))).toEqual([]);
  });

  test("--header writes the same text as a C string", async () => {
    const file = join(scratch, "quotes.metal");
    writeFileSync(file, 'a "quoted\\" line\n\n#pragma once\n\tlast');
    const text = (await joinShaders(file)).stdout;
    expect(text).toBe('#line 1 "quotes.metal"\na "quoted\\" line\n\n\n\tlast\n');
    const literals = (await joinShaders("--header", file)).stdout.trim().split("\n");
    expect(literals.map((literal) => JSON.parse(literal.replaceAll("\t", "\\t"))).join("")).toBe(text);
  });

  test("fails where a file cannot be read", async () => {
    for (const option of [[], ["--header"]]) {
      const result = await joinShaders(...option, "shaders/nothing.metal");
      expect(result.code).not.toBe(0);
      expect(result.stderr).toContain("cannot read shaders/nothing.metal");
    }
  });
});

describe("Device.shaders", () => {
  let names: readonly string[];
  let level: string;
  let isCpu: boolean;
  beforeAll(() => {
    using device = Device.open();
    names = device.shaders().functionNames.toSorted();
    isCpu = device.info.architecture.startsWith("cpu-");
    level = device.info.architecture
      .replace(/^cpu-/, "")
      .replace(/\+.*/, "")
      .replace(/^armv8.*/, "aarch64");
  });

  test("Device.shaders() is made once, and goes with the device", () => {
    const device = Device.open();
    const shaders = device.shaders();
    expect(device.shaders()).toBe(shaders);
    expect(shaders.functionNames).toContain("matvec_q8_0");
    device.dispose();
    expect(shaders.disposed).toBe(true);
  });

  test("Device.shaders() takes compiled shaders beside the native library, of any level or the machine's", async () => {
    if (!existsSync(compiled) || !isCpu) return; // Apple's: there is the source alone; and a GPU has a file of its own
    expect(await shadersBeside({ "shaders.metallib": "compiled" }, false)).toEqual(names);
    expect(await shadersBeside({ [`shaders-${level}.metallib`]: "compiled" }, false)).toEqual(names);
    const both = { "shaders.metallib": "damaged", [`shaders-${level}.metallib`]: "compiled" } as const;
    expect(await shadersBeside(both, false)).toEqual(names);
  });

  test("Device.shaders() compiles the source that the native library carries where nothing else serves", async () => {
    if (!existsSync(headers)) return; // Apple's: every other test does
    const damaged = { "shaders.metallib": "damaged" } as const;
    // Beside each other: the source is one text, which keeps one processor busy.
    const [alone, besideDamaged, withoutHeaders] = await Promise.all([
      shadersBeside({}, true),
      shadersBeside(damaged, true),
      shadersBeside(damaged, false),
    ]);
    expect(alone).toEqual(names);
    expect(besideDamaged).toEqual(names);
    expect(withoutHeaders).toEqual({
      code: "compile",
      message: expect.stringContaining("The shaders that ship do not compile"),
    });
  });
});

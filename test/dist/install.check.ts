// The package installed where there is nothing but a runtime: it generates what the clone generates, under Bun and Deno.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { filesBelow, linuxLibraries, outputOf, root, tool } from "./distribution.ts";
import { Installation, writeExample } from "./installation.ts";

const bun = process.execPath;
const deno = process.env.DENO || tool("deno", "deno/node_modules/.bin/deno");
const asAsked = ["run", "--no-prompt", "--allow-ffi", "--allow-read"];
const platform = process.arch === "arm64" ? "linux-arm64" : "linux-x64";

let app: Installation;
/** What the clone's own build writes. */
let expected: string;

beforeAll(async () => {
  app = new Installation();
  await app.install();
  const clone = mkdtempSync(join(tmpdir(), "bun-metal-clone-"));
  mkdirSync(join(clone, "node_modules"));
  symlinkSync(root, join(clone, "node_modules/bun-metal"));
  writeExample(clone);
  expected = await outputOf([bun, "main.ts"], { cwd: clone });
  rmSync(clone, { recursive: true });
});
afterAll(() => app[Symbol.dispose]());

/** Starts the example as on another system: what process says about it is changed before anything else runs. */
function pretend(facts: Readonly<Record<string, string>>): string {
  const changes = Object.entries(facts).map(
    ([name, value]) => `Object.defineProperty(process, "${name}", { value: "${value}" });`,
  );
  writeFileSync(join(app.directory, "pretend.ts"), changes.join("\n"));
  return join(app.directory, "pretend.ts");
}

/** Whether this machine runs a level: by what tells it from the one below. */
function hasLevel(level: string): boolean {
  const flag = { "x86-64-v3": "avx2", "x86-64-v4": "avx512vl" }[level];
  return flag === undefined || readFileSync("/proc/cpuinfo", "utf8").includes(` ${flag} `);
}

describe("the installed package", () => {
  test("bun add brings the package and the one for chat templates, and needs no other", () => {
    expect(existsSync(app.file("package.json"))).toBe(true);
    const packages = filesBelow(join(app.directory, "node_modules"))
      .map((file) => /(?:^|node_modules\/)((?:@[^/]+\/)?[^/]+)\/package\.json$/.exec(file)?.[1])
      .filter((name) => name !== undefined);
    expect([...new Set(packages)].sort()).toEqual(["@huggingface/jinja", "bun-metal"]);
  });

  test("the README's example writes under Bun what the clone writes", async () => {
    const { code, stdout, stderr } = await app.run([bun, "main.ts"]);
    expect(stderr).toBe("");
    expect(code).toBe(0);
    expect(stdout.split(" ").length).toBeGreaterThan(8);
    expect(stdout).toBe(expected);
  });

  test("the README's example writes under Deno what the clone writes, with the permissions that it asks for", async () => {
    const { code, stdout, stderr } = await app.run([deno, ...asAsked, "main.ts"]);
    expect(stderr).toBe("");
    expect(code).toBe(0);
    expect(stdout).toBe(expected);
  });

  test("the package's types are found and hold, under Deno", async () => {
    const { code, stderr } = await app.run([deno, "check", "main.ts"]);
    expect(stderr).not.toContain("error");
    expect(code).toBe(0);
    writeFileSync(
      join(app.directory, "wrong.ts"),
      'import { Llama } from "bun-metal";\nawait Llama.load(7);\n',
    );
    const wrong = await app.run([deno, "check", "wrong.ts"]);
    expect(wrong.stderr).toContain("not assignable to parameter of type 'string'");
    expect(wrong.code).toBe(1);
  });

  test("the package's command runs", async () => {
    const command = join(app.directory, "node_modules/.bin/bun-metal");
    const { code, stdout, stderr } = await app.run([command, "--help"]);
    expect(stderr).toBe("");
    expect(stdout).toContain("bun-metal");
    expect(code).toBe(0);
  });

  const levels = linuxLibraries.find(({ directory }) => directory === platform)?.shaders ?? {};
  for (const level of Object.values(levels)) {
    test(`the shaders for ${level} are loaded, and write the same text`, async () => {
      if (!hasLevel(level)) {
        console.warn(`This machine lacks ${level}: its shaders were not run`);
        return;
      }
      // Without a compiler, shaders that were not found or not taken are an error.
      const { code, stdout, stderr } = await app.run([bun, "main.ts"], { BUN_METAL_CPU_LEVEL: level });
      expect(stderr).toBe("");
      expect(code).toBe(0);
      expect(stdout).toBe(expected);
    });
  }

  test("no compiler is needed for the shaders, and a kernel of one's own says that it needs one", async () => {
    const source = "kernel void k(device float *x [[buffer(0)]]) { x[0] = 1; }";
    const script = `import { Device } from "bun-metal";
      using device = Device.open();
      using library = device.compile(${JSON.stringify(source)});
      console.log(library.functionNames.join());`;
    writeFileSync(join(app.directory, "kernel.ts"), script);
    const without = await app.run([bun, "kernel.ts"]);
    expect(without.stderr).toContain("compiling MSL needs clang, which was not found: install clang-19");
    const withClang = await app.run([bun, "kernel.ts"], { PATH: process.env.PATH ?? "" });
    expect(withClang).toEqual({ code: 0, stdout: "k\n", stderr: "" });
  });

  test("BUN_METAL_LIBRARY names another library, in both runtimes", async () => {
    const elsewhere = join(app.directory, "elsewhere");
    cpSync(app.file(`dist/${platform}`), elsewhere, { recursive: true });
    renameSync(app.file("dist"), app.file("moved"));
    try {
      mkdirSync(app.file("dist"));
      symlinkSync(app.file("moved/js"), app.file("dist/js"));
      const environment = { BUN_METAL_LIBRARY: join(elsewhere, "libbun_metal.so") };
      const missing = await app.run([bun, "main.ts"]);
      expect(missing.stderr).toContain('Cannot find the native library for platform "linux"');
      expect((await app.run([bun, "main.ts"], environment)).stdout).toBe(expected);
      const allowed = [...asAsked, "--allow-env=BUN_METAL_LIBRARY", "main.ts"];
      expect((await app.run([deno, ...allowed], environment)).stdout).toBe(expected);
      const wrong = await app.run([bun, "main.ts"], { BUN_METAL_LIBRARY: "/nowhere.so" });
      expect(wrong.stderr).toContain('BUN_METAL_LIBRARY names: "/nowhere.so" does not exist');
    } finally {
      rmSync(app.file("dist"), { recursive: true });
      renameSync(app.file("moved"), app.file("dist"));
    }
  });

  test("a system that is not supported is told what is", async () => {
    const windows = await app.run([bun, "--preload", pretend({ platform: "win32" }), "main.ts"]);
    expect(windows.code).toBe(1);
    expect(windows.stderr).toContain('no native library for platform "win32"');
    expect(windows.stderr).toContain("macOS 13 or newer (arm64, x64) and on Linux with glibc 2.34 or newer");
    const narrow = await app.run([bun, "--preload", pretend({ arch: "ia32" }), "main.ts"]);
    expect(narrow.stderr).toContain('architecture "ia32"');
  });

  test("a library of another architecture is an error that names it", async () => {
    const other = linuxLibraries.find(({ directory }) => directory !== platform)?.directory ?? "";
    const library = app.file(`dist/${other}/libbun_metal.so`);
    const { code, stderr } = await app.run([bun, "main.ts"], { BUN_METAL_LIBRARY: library });
    expect(code).toBe(1);
    expect(stderr).toContain(`Cannot open the native library "${library}"`);
  });
});

// The examples as a person runs them: their own processes, their output and their exit codes; in Deno with no more
// permissions than they ask for.
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { cpSync, existsSync, readdirSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Device } from "../../src/runtime/index.ts";
import {
  commandOf,
  type Finished,
  finish,
  interrupt,
  permissions,
  run,
  runsDeno,
  start,
} from "../host/process.ts";
import { models } from "./oracle.ts";
import { TemporaryFolder } from "./temporary.ts";

// Work is bounded by the tests themselves; a machine may be slow or busy.
setDefaultTimeout(120_000);

const root = join(import.meta.dirname, "../..");
const examples = join(root, "examples");

// Not the repository: a default path must not depend on where one stands.
const cwd = tmpdir();

/** Runs an example to its end. */
function example(
  file: string,
  args: readonly string[] = [],
  options: ExampleOptions = {},
): Promise<Finished> {
  return run(commandOf(file, args, options.allowed), { cwd, environment: options.environment });
}

type ExampleOptions = {
  readonly environment?: Readonly<Record<string, string>>;
  /** Deno's permissions, where they are not those that the examples ask for. */
  readonly allowed?: readonly string[];
};

const program = join(examples, "llama.ts");
const llama = (...args: string[]): Promise<Finished> => example(program, args);

/** What Deno lacks, and what is said then. */
const missingPermissions: [string[], ExampleOptions, string][] = [
  [[], { allowed: ["--allow-read"] }, "--allow-ffi"],
  [[], { allowed: ["--allow-ffi"] }, "--allow-read"],
];

describe("examples/llama.ts", () => {
  test("examples/llama.ts writes a paragraph with the repository's model, prompt first, and nothing else", async () => {
    const { code, stdout, stderr } = await llama("--seed", "1");
    expect(stderr).toBe("");
    expect(code).toBe(0);
    expect(stdout).toStartWith("It is a truth universally acknowledged, that");
    expect(stdout).toEndWith("\n");
    expect(stdout.split(/\s+/).length).toBeGreaterThan(60);
  });

  test("examples/llama.ts takes every option", async () => {
    const prompt = "In the beginning";
    const args = ["--model", models.f16, "--prompt", prompt, "--tokens", "12", "--device", "cpu"];
    const first = await llama(...args, "--temperature=0.5", "--seed", "42");
    const again = await llama(...args, "--temperature", "0.5", "--seed", "42");
    const other = await llama(...args, "--temperature", "1.5", "--seed", "43");
    expect(first.code).toBe(0);
    expect(first.stdout).toStartWith(prompt);
    expect(again.stdout).toBe(first.stdout);
    expect(other.stdout).not.toBe(first.stdout);
  });

  test("examples/llama.ts --stats prints times, memory and what is alive, which is nothing at the end", async () => {
    const { code, stdout, stderr } = await llama("--tokens", "8", "--seed", "1", "--stats");
    expect(code).toBe(0);
    expect(stdout.split("\n").length).toBe(2);
    using device = Device.open();
    const placement = device.info.weightStorage === "private" ? "private" : "mapped";
    for (const line of [
      /^device +\S/m,
      /^load +\d+ ms$/m,
      /^prompt +\d+ tokens, \d+ tok\/s$/m,
      /^generation +7 tokens, \d+ tok\/s$/m,
      /^per token +\d+ dispatches, \d+ barriers$/m,
      new RegExp(`^memory +weights 6\\.1 MB ${placement}, KV cache 3\\.1 MB, activations \\d`, "m"),
      /^live objects +\d+, without pool 0$/m,
      /^live handles +device 1, .*program 2,/m,
      /^live handles +device 0, buffer 0, library 0, pipeline 0, queue 0, program 0,/m,
    ]) {
      expect(stderr).toMatch(line);
    }
  });

  test("examples/llama.ts --help lists every option", async () => {
    const { code, stdout } = await llama("--help");
    expect(code).toBe(0);
    for (const option of ["model", "prompt", "tokens", "temperature", "seed", "device", "stats", "help"]) {
      expect(stdout).toContain(`--${option}`);
    }
  });

  test("examples/llama.ts answers mistyped options and bad values with one line and exit code 2", async () => {
    const cases: [string[], string][] = [
      [["--tokns", "3"], "Unknown option '--tokns'"],
      [["--tokens"], "'--tokens <value>' argument missing"],
      [["--tokens", "many"], "--tokens must be a whole number from 1 on, not 'many'"],
      [["--tokens", "0"], "--tokens must be a whole number from 1 on, not '0'"],
      [["--tokens", ""], "--tokens must be a whole number from 1 on, not ''"],
      [["--temperature", "-1"], "--temperature"],
      [["--temperature=-1"], "--temperature must be a number from 0 on, not '-1'"],
      [["--seed", "1.5"], "--seed must be a whole number from 0 on, not '1.5'"],
      [["--stats=3"], "'--stats' does not take an argument"],
      [["hello"], "Unexpected argument 'hello'"],
    ];
    const results = await Promise.all(cases.map(([args]) => llama(...args)));
    for (const [i, [args, message]] of cases.entries()) {
      const { code, stdout, stderr } = results[i];
      expect(code, args.join(" ")).toBe(2);
      expect(stdout).toBe("");
      expect(stderr).toContain(message);
      expect(stderr.trimEnd().split("\n").length, stderr).toBe(1);
    }
  });

  test("examples/llama.ts answers a missing file, device or library with one line and exit code 1", async () => {
    const elsewhere = {
      environment: { BUN_METAL_LIBRARY: "/none.so" },
      allowed: [...permissions, "--allow-env=BUN_METAL_LIBRARY"],
    };
    const cases: [string[], ExampleOptions, string][] = [
      [["--model", "none.gguf"], {}, "there is no such file"],
      [["--model", program], {}, "Error: Cannot"],
      [["--device", "abacus"], {}, 'Cannot open device "abacus"; there is "'],
      [[], elsewhere, '"/none.so" does not exist'],
      ...(runsDeno ? missingPermissions : []),
    ];
    const results = await Promise.all(cases.map(([args, options]) => example(program, args, options)));
    for (const [i, [args, , message]] of cases.entries()) {
      const { code, stderr } = results[i];
      expect(code, args.join(" ")).toBe(1);
      expect(stderr).toContain(message);
      expect(stderr.trimEnd().split("\n").length, stderr).toBe(1);
    }
  });

  test("examples/llama.ts in a clone that was not built says how to build it", async () => {
    using folder = new TemporaryFolder();
    for (const part of ["mod.ts", "package.json", "src", "examples"])
      cpSync(join(root, part), join(folder.path, part), { recursive: true });
    symlinkSync(join(root, "node_modules"), join(folder.path, "node_modules"));
    const { code, stdout, stderr } = await example(join(folder.path, "examples/llama.ts"));
    expect(code).toBe(1);
    expect(stdout).toBe("");
    expect(stderr).toContain("make build");
    expect(stderr.trimEnd().split("\n").length, stderr).toBe(1);
  });

  test("examples/llama.ts stops cleanly at an interrupt", async () => {
    const child = start(commandOf(program, ["--tokens", "400", "--seed", "1", "--stats"]), { cwd });
    let length = 0;
    // Well into the text, so that it is the generation that is interrupted.
    child.stdout?.on("data", (bytes: Uint8Array) => {
      const before = length;
      length += bytes.length;
      if (before < 100 && length >= 100) interrupt(child);
    });
    const { code, stderr } = await finish(child);
    expect(code).toBe(130);
    expect(stderr).toBe("");
  });

  test("examples/llama.ts stops without a word when its reader goes away", async () => {
    const quoted = commandOf(program, ["--tokens", "400", "--seed", "1"]).map((word) => `"${word}"`);
    const pipe = `${quoted.join(" ")} | head -c 60; echo " [\${PIPESTATUS[0]}]"`;
    const { stdout, stderr } = await run(["bash", "-c", pipe], { cwd });
    expect(stdout).toMatch(/^It is a truth universally acknowledged, that[^[]* \[0\]\n$/);
    expect(stderr).toBe("");
  });
});

test("examples/custom_kernel.ts compiles a kernel and runs it", async () => {
  const { code, stdout, stderr } = await example(join(examples, "custom_kernel.ts"));
  expect(stderr).toBe("");
  expect(code).toBe(0);
  expect(stdout).toMatch(/^2 \* x \+ 1 on .+: 1 3 5 7 9 \.\.\.\n$/);
});

test("every example is run by a test of this file", () => {
  const files = readdirSync(examples).filter((name) => name.endsWith(".ts"));
  expect(files.toSorted()).toEqual(["custom_kernel.ts", "llama.ts"]);
  expect(existsSync(join(examples, "models/austen-5m-q8_0.gguf"))).toBe(true);
});

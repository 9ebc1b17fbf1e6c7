// The command line as a user meets it: what it prints, how it exits, and what it leaves on the disk.
import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tinyModel } from "../llama/tiny_model.ts";
import { writeGguf } from "../reference/gguf_writer.ts";

const main = join(import.meta.dir, "../../src/cli/main.ts");
const directory = mkdtempSync(join(tmpdir(), "bun-metal-cli-"));
const model = join(directory, "tiny.gguf");
const parts = tinyModel();
writeFileSync(model, writeGguf([...parts.metadata], parts.tensors));

afterAll(() => rmSync(directory, { recursive: true, force: true }));

type Ended = { readonly status: number; readonly out: string; readonly errors: string };

function run(...args: string[]): Ended {
  return runCommand([process.execPath, main, ...args]);
}

function runCommand(command: string[]): Ended {
  const { exitCode, stdout, stderr } = Bun.spawnSync(command, { cwd: directory });
  return { status: exitCode, out: stdout.toString(), errors: stderr.toString() };
}

/** Files of the directory that are no model. */
function written(): string[] {
  return readdirSync(directory).filter((name) => name !== "tiny.gguf");
}

describe("bun-metal", () => {
  test("says what it can do", () => {
    for (const args of [["--help"], ["help"], ["export", "--help"], ["quantize", "-h"], ["devices", "-h"]]) {
      const { status, out, errors } = run(...args);
      expect([status, errors]).toEqual([0, ""]);
      expect(out).toContain("Usage: bun-metal");
    }
  });

  test("lists the devices", () => {
    const { status, out } = run("devices");
    expect(status).toBe(0);
    expect(out).toMatch(/^(cpu|metal|cuda)\S* .+ \(.+\), buffers up to [\d.]+ GiB$/m);
  });

  const mistakes: readonly [args: string[], message: RegExp][] = [
    [[], /A command is missing[\s\S]+Usage/],
    [["exprot"], /no command "exprot": the commands are devices, export, quantize/],
    [["export"], /The model is missing/],
    [["export", "tiny.gguf"], /--out is missing/],
    [["export", "tiny.gguf", "--out"], /"bun-metal export --help" lists the options/],
    [["export", "tiny.gguf", "--otu", "a.bmplan"], /--otu.*"bun-metal export --help"/],
    [["export", "tiny.gguf", "more.gguf", "--out", "a.bmplan"], /"more.gguf" was given too/],
    [["export", "tiny.gguf", "--out", "a.bmplan", "--target", "vulkan"], /--target takes apple or cpu/],
    [["export", "tiny.gguf", "--out", "a.bmplan", "--kv", "f64"], /--kv takes f16 or f32 or q8_0/],
    [["export", "tiny.gguf", "--out", "a.bmplan", "--context", "-1"], /--context/],
    [["export", "tiny.gguf", "--out", "a.bmplan", "--context", "many"], /whole number, not "many"/],
    [["quantize"], /The model is missing/],
    [["quantize", "tiny.gguf"], /The file to write is missing/],
    [["quantize", "tiny.gguf", "a.gguf", "b.gguf"], /"b.gguf" was given too/],
    [["quantize", "tiny.gguf", "a.gguf", "--type", "Q4_X"], /--type takes F32 or F16 .* not "Q4_X"/],
    [["quantize", "tiny.gguf", "a.gguf", "--typo"], /"bun-metal quantize --help" lists the options/],
    [["devices", "all"], /devices takes no arguments/],
  ];
  for (const [args, message] of mistakes) {
    test(`bun-metal ${args.join(" ")} is a mistake of the user's`, () => {
      const { status, out, errors } = run(...args);
      expect([status, out]).toEqual([2, ""]);
      expect(errors).toMatch(message);
      expect(written()).toEqual([]);
    });
  }

  const failures: readonly [args: string[], message: RegExp][] = [
    [["none.gguf", "--out", "a.bmplan"], /there is no such file/],
    [[".", "--out", "a.bmplan"], /is a directory/],
    [["tiny.gguf", "--out", "none/a.bmplan"], /Cannot write "none\/a.bmplan": its directory does not exist/],
    [["tiny.gguf", "--out", "tiny.gguf/a.bmplan"], /a part of its path is not a directory/],
    [
      ["tiny.gguf", "--out", "a.bmplan", "--context", "97"],
      /contextLength must be a whole number from 1 to 96/,
    ],
    [["tiny.gguf", "--out", "a.bmplan", "--context", "0"], /contextLength/],
    [["tiny.gguf", "--out", "a.bmplan", "--batch", "0"], /batchSize/],
    [["tiny.gguf", "--out", "a.bmplan", "--page-size", "5000"], /pageSize must be a power of two/],
    [["tiny.gguf", "--out", "a.bmplan", "--max-buffer", "100"], /maxBufferLength/],
    [["tiny.gguf", "--out", "a.bmplan", "--max-buffer", "16384"], /Cannot (place tensor|hold a KV cache)/],
    [["tiny.gguf", "--out", "tiny.gguf", "--force"], /it is the model itself/],
    [["tiny.gguf", "--out", ".", "--force"], /Cannot write "\."/],
  ];
  for (const [args, message] of failures) {
    test(`bun-metal export ${args.join(" ")} fails, and leaves nothing`, () => {
      const { status, out, errors } = run("export", ...args);
      expect([status, out]).toEqual([1, ""]);
      expect(errors).toMatch(message);
      expect(errors.trimEnd().split("\n")).toHaveLength(1);
      expect(written()).toEqual([]);
    });
  }

  const refusals: readonly [args: string[], message: RegExp][] = [
    [["none.gguf", "a.gguf"], /there is no such file/],
    [["tiny.gguf", "none/a.gguf"], /Cannot write "none\/a.gguf": its directory does not exist/],
    [["tiny.gguf", "tiny.gguf", "--force"], /it is the model itself/],
    [["tiny.gguf", ".", "--force"], /Cannot write "\."/],
  ];
  for (const [args, message] of refusals) {
    test(`bun-metal quantize ${args.join(" ")} fails, and leaves nothing`, () => {
      const { status, out, errors } = run("quantize", ...args);
      expect([status, out]).toEqual([1, ""]);
      expect(errors).toMatch(message);
      expect(errors.trimEnd().split("\n")).toHaveLength(1);
      expect(written()).toEqual([]);
    });
  }

  test("quantises, replaces only when told to, and not what is quantised already", () => {
    const first = run("quantize", "tiny.gguf", "a.gguf", "--type", "q8_0");
    expect(first).toMatchObject({ status: 0, errors: "" });
    expect(first.out).toMatch(/^a\.gguf: [\d.]+ MB, from [\d.]+ MB\n20 tensors: .*15 in Q8_0/);
    const bytes = readFileSync(join(directory, "a.gguf"));
    expect(run("quantize", "tiny.gguf", "a.gguf").errors).toContain("it exists already");
    expect(readFileSync(join(directory, "a.gguf"))).toEqual(bytes);
    expect(run("quantize", "tiny.gguf", "a.gguf", "--type", "Q4_0", "--pure", "--force").out).toContain(
      "15 in Q4_0",
    );
    const again = run("quantize", "a.gguf", "b.gguf", "--type", "Q8_0");
    expect([again.status, again.out]).toEqual([1, ""]);
    expect(again.errors).toContain("its type is q4_0");
    expect(written()).toEqual(["a.gguf"]);
    rmSync(join(directory, "a.gguf"));
  });

  test("a disk that is full leaves nothing half-written, of a model or a plan", () => {
    // A limit of the file's size fails as a full disk does, in the middle of writing.
    const script = 'trap "" XFSZ; ulimit -f 8; exec "$@"';
    for (const [name, args] of [
      ["a.bmplan", ["export", "tiny.gguf", "--out", "a.bmplan"]],
      ["a.gguf", ["quantize", "tiny.gguf", "a.gguf", "--type", "F16"]],
    ] as const) {
      const { status, errors } = runCommand(["sh", "-c", script, "sh", process.execPath, main, ...args]);
      expect(status).toBe(1);
      expect(errors).toContain(`Cannot write "${name}"`);
      expect(written()).toEqual([]);
    }
  });

  test("exports, replaces only when told to, and the same twice", () => {
    const first = run("export", "tiny.gguf", "--out", "a.bmplan", "--context", "64");
    expect(first).toMatchObject({ status: 0, errors: "" });
    expect(first.out).toContain("for texts of 64 tokens");
    const bytes = readFileSync(join(directory, "a.bmplan"));
    const second = run("export", "tiny.gguf", "--out", "a.bmplan");
    expect(second.status).toBe(1);
    expect(second.errors).toContain("it exists already");
    expect(readFileSync(join(directory, "a.bmplan"))).toEqual(bytes);
    expect(run("export", "tiny.gguf", "--out", "a.bmplan", "--context", "64", "--force").status).toBe(0);
    expect(readFileSync(join(directory, "a.bmplan"))).toEqual(bytes);
    mkdirSync(join(directory, "elsewhere"));
    expect(run("export", "tiny.gguf", "--out", "elsewhere/b.bmplan").out).toContain(
      'beside it, as "tiny.gguf"',
    );
    expect(written().sort()).toEqual(["a.bmplan", "elsewhere"]);
  });
});

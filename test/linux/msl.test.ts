// The MSL tool: what it refuses and how it says so, its command line, its libraries.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Device } from "../../src/runtime/index.ts";
import { mulberry32, randomInteger } from "../reference/random.ts";
import { markedLine, refusedSources } from "./msl_rules.ts";
import { changedImage, inParallel, type Outcome, runTool, ScratchDirectory, shaders } from "./msl_tool.ts";

const scratch = new ScratchDirectory();
afterAll(() => scratch[Symbol.dispose]());

const fine =
  "kernel void fine(device float *x [[buffer(0)]], uint i [[thread_position_in_grid]]) { x[i] = 1; }\n";

describe("mslc refuses", () => {
  let outcomes: Outcome[] = [];
  beforeAll(async () => {
    outcomes = await inParallel(refusedSources, 2, async ({ source }, index) => {
      writeFileSync(scratch.file(`refused${index}.metal`), source);
      return runTool("mslc", [`refused${index}.metal`, "-o", `refused${index}.metallib`], {
        directory: scratch.path,
      });
    });
  });

  for (const [index, { rule, source, says }] of refusedSources.entries()) {
    test(`mslc refuses ${rule}, with file and line`, () => {
      const { status, errors } = outcomes[index] ?? { status: -1, errors: "" };
      expect(status, errors).toBe(1);
      const [first = ""] = errors.split("\n");
      expect(first).toStartWith(`refused${index}.metal:${markedLine(source)}: error: `);
      expect(errors).toMatch(says);
      // Nothing of what happens behind the scenes shows.
      expect(errors.replace("'__local'", "")).not.toMatch(
        /__|bm_|clcpp|OpenCL|opencl|metal::detail|anonymous/,
      );
      expect(existsSync(scratch.file(`refused${index}.metallib`))).toBe(false);
    });
  }
});

describe("mslc", () => {
  const inScratch = { directory: scratch.path };

  test("mslc links several files into one library, and lists it", async () => {
    const sources = ["accepted", "simd", "sync"].map((name) => join(shaders, `${name}.metal`));
    const made = await runTool("mslc", [...sources, "-o", "all.metallib"], inScratch);
    expect(made.errors).toBe("");
    expect(made.status).toBe(0);
    const { status, output } = await runTool("mslc", ["--list", "all.metallib"], inScratch);
    expect(status).toBe(0);
    for (const name of ["language", "outer::inner::scoped", "reductions_half", "tree_sum", "matrices_f16"]) {
      expect(output.split("\n")).toContain(name);
    }
    expect(output).toContain("  buffer(2) args: constant reference, 8 bytes");
    expect(output).toContain("  threadgroup(0) extra: threadgroup, 4 bytes each");
    expect(output).toContain("  threadgroup memory: 4096 bytes");
  });

  test("mslc finds included files beside the source and in -I, and takes -D", async () => {
    writeFileSync(scratch.file("beside.h"), "#pragma once\n#define BESIDE 1\n");
    writeFileSync(
      scratch.file("includes.metal"),
      '#include "beside.h"\n#include "args.h"\n#if BESIDE != 1 || VALUE != 7\n#error "no"\n#endif\n' +
        "kernel void k(device T *x [[buffer(INDEX)]]) { x[0] = VALUE; }\n",
    );
    await Bun.write(scratch.file("include/args.h"), "#define INDEX 3\ntypedef int T;\n");
    const made = await runTool(
      "mslc",
      ["-I", "include", "-DVALUE=7", "includes.metal", "-o", "includes.metallib"],
      inScratch,
    );
    expect(made.errors).toBe("");
    const { output } = await runTool("mslc", ["--list", "includes.metallib"], inScratch);
    expect(output).toContain("buffer(3) x: device, 4 bytes");
  });

  test("mslc names the included file that is wrong, with its line", async () => {
    writeFileSync(scratch.file("wrong.h"), "\n\ninline float f(float *p) { return *p; }\n");
    writeFileSync(scratch.file("includer.metal"), `#include "wrong.h"\n${fine}`);
    const { errors } = await runTool("mslc", ["includer.metal", "-o", "includer.metallib"], inScratch);
    expect(errors).toContain("wrong.h:3: error: a pointer needs an address space");
  });

  test("mslc refuses one host name in two files", async () => {
    writeFileSync(scratch.file("one.metal"), fine);
    writeFileSync(scratch.file("two.metal"), `\n${fine}`);
    const { status, errors } = await runTool(
      "mslc",
      ["one.metal", "two.metal", "-o", "both.metallib"],
      inScratch,
    );
    expect(status).toBe(1);
    expect(errors).toContain("two.metal:2: error: the host name 'fine' is taken in 'one.metal'");
  });

  test("mslc keeps helpers of one name in two files apart", async () => {
    for (const name of ["p", "q"]) {
      writeFileSync(
        scratch.file(`${name}.metal`),
        `template <typename T> T value(T x) { return x + ${name === "p" ? 1 : 2}; }\n` +
          `kernel void ${name}(device int *x [[buffer(0)]]) { x[0] = value(1); }\n`,
      );
    }
    const made = await runTool("mslc", ["p.metal", "q.metal", "-o", "pq.metallib"], inScratch);
    expect(made.errors).toBe("");
    for (const [kernel, value] of [
      ["p", 2],
      ["q", 3],
    ] as const) {
      writeFileSync(scratch.file("int.bin"), new Uint8Array(4));
      await runTool(
        "native/cpu_run",
        ["pq.metallib", kernel, "1", "1", "1", "1", "1", "1", "0=int.bin"],
        inScratch,
      );
      expect(readFileSync(scratch.file("int.bin"))[0]).toBe(value);
    }
  });

  test("mslc says what is wrong with a command line", async () => {
    writeFileSync(scratch.file("fine.metal"), fine);
    const mistakes: [args: string[], says: string][] = [
      [[], "no source to compile"],
      [["fine.metal"], "say where to write the library: -o FILE"],
      [["fine.metal", "-o"], "'-o' needs a value behind it"],
      [["--optimise", "fine.metal", "-o", "x"], "unknown option '--optimise'"],
      [["fine.metal", "-o", "a", "-o", "b"], "there can be only one output"],
      [["fine.metal", "-o", "fine.metal"], "'fine.metal' is a source and the output"],
      [["--list"], "'--list' needs a library"],
    ];
    for (const [args, says] of mistakes) {
      const { status, errors } = await runTool("mslc", args, inScratch);
      expect(errors).toContain(says);
      expect(status).toBe(2);
    }
    const help = await runTool("mslc", ["--help"], inScratch);
    expect(help.status).toBe(0);
    expect(help.output).toContain("BUN_METAL_CLANG");
  });

  test("mslc reports files that it cannot read or write, and leaves nothing behind", async () => {
    using temporary = new ScratchDirectory(); // others make theirs beside it, meanwhile
    const cases: [args: string[], environment: Record<string, string>, says: RegExp][] = [
      [["nowhere.metal", "-o", "x"], {}, /cannot read 'nowhere.metal': No such file/],
      [[".", "-o", "x"], {}, /'.' is not a file/],
      [["fine.metal", "-o", "nowhere/x"], {}, /cannot write 'nowhere\/x': No such file/],
      [
        ["fine.metal", "-o", "x"],
        { BUN_METAL_CLANG: "/nowhere/clang" },
        /BUN_METAL_CLANG is '\/nowhere\/clang'/,
      ],
      [["fine.metal", "-o", "x"], { PATH: "/nowhere" }, /install clang-19 .* or set BUN_METAL_CLANG/],
      [["fine.metal", "-o", "x"], { TMPDIR: "/nowhere" }, /cannot make a temporary directory/],
      [["fine.metal", "-o", "x"], { BUN_METAL_CPU_LEVEL: "z80" }, /BUN_METAL_CPU_LEVEL is 'z80'/],
      [["fine.metal", "-o", "x", "--target", "z80"], {}, /'z80' is no target: there are x86-64-v2/],
      [["fine.metal", "-o", "x"], { BUN_METAL_CLANG: "/bin/false" }, /the compiler '\/bin\/false' failed/],
    ];
    for (const [args, environment, says] of cases) {
      const options = { ...inScratch, environment: { TMPDIR: temporary.path, ...environment } };
      const { status, errors } = await runTool("mslc", args, options);
      expect(errors).toMatch(says);
      expect(status).toBe(1);
    }
    expect(readdirSync(temporary.path)).toEqual([]);
  });

  test("mslc survives hostile sources with an error", async () => {
    const hostile: [name: string, source: string | Uint8Array][] = [
      ["an endless include", '#include "/dev/zero"\n'],
      ["zero bytes", new Uint8Array(10_000)],
      [
        "deep parentheses",
        `kernel void k(device int *x) { x[0] = ${"(".repeat(100_000)}1${")".repeat(100_000)}; }`,
      ],
      ["deep braces", "{".repeat(200_000)],
      ["deep templates", `template <${"template <".repeat(20_000)}`],
      ["angle brackets", `kernel void k(device int *x) { x[0] = 1 ${"< 1 ".repeat(20_000)}; }`],
      ["an open string", 'constant char c[] = "abc'],
      ["an open comment", "/* kernel void k() {}"],
      ["every byte", Uint8Array.from({ length: 4096 }, (_, i) => i * 7)],
      ["itself", '#include "hostile.metal"\n'],
      ["an endless constant", "constexpr int f(int n) { return f(n + 1); }\nconstant int v = f(0);\n"],
      ["nothing closes", "template [[host_name(\n"],
      ["half of a kernel", "kernel void k(device int *x [[buffer("],
    ];
    for (const [name, source] of hostile) {
      writeFileSync(scratch.file("hostile.metal"), source);
      const { status, errors } = await runTool(
        "mslc",
        ["hostile.metal", "-o", "hostile.metallib"],
        inScratch,
      );
      // The compiler reads the first two as empty.
      expect(status, name).toBe(["zero bytes", "an endless include"].includes(name) ? 0 : 1);
      if (status === 1) expect(errors, name).toContain("error: ");
      expect(errors.length, name).toBeLessThan(200_000);
    }
  }, 60_000);

  test("mslc survives damaged sources, whatever it says", async () => {
    const seed = 20_240_817;
    const random = mulberry32(seed);
    const original = readFileSync(join(shaders, "accepted.metal"), "utf8");
    const sources = Array.from({ length: 30 }, () => {
      let text = original;
      for (let change = 0; change <= randomInteger(random, 4); change++) {
        const at = randomInteger(random, text.length);
        const length = randomInteger(random, 40);
        const kind = randomInteger(random, 3);
        const piece = text.slice(at, at + length);
        if (kind === 0) text = text.slice(0, at) + text.slice(at + length);
        else if (kind === 1) text = text.slice(0, at) + piece + text.slice(at);
        else
          text =
            text.slice(0, at) + ("(){}[]<>;,*&\"'#@".at(randomInteger(random, 16)) ?? "") + text.slice(at);
      }
      return text;
    });
    await inParallel(sources, 2, async (source, index) => {
      const file = `damaged${index}.metal`;
      writeFileSync(scratch.file(file), source);
      const { status, errors } = await runTool("mslc", [file, "-o", `${file}lib`], inScratch);
      expect([0, 1], `seed ${seed}, source ${index}: ${errors}`).toContain(status);
      if (status === 1) expect(errors, `seed ${seed}, source ${index}`).toContain("error: ");
      expect(errors, `seed ${seed}, source ${index}`).not.toContain("the compiler '");
    });
  }, 60_000);
});

describe("BUN_METAL_CPU_CHECK", () => {
  const sync = scratch.file("sync.metallib");
  beforeAll(async () => {
    const made = await runTool("mslc", [join(shaders, "sync.metal"), "-o", sync]);
    expect(made.errors).toBe("");
  });

  /** The numbers in a buffer after a run of `kernel` with one thread per threadgroup. */
  async function numbersAfter(
    kernel: string,
    buffers: number,
    check: string,
    ...more: string[]
  ): Promise<number[]> {
    const files = Array.from({ length: buffers }, (_, i) => scratch.file(`check${i}.bin`));
    for (const path of files) writeFileSync(path, new Uint8Array(64 * 4));
    const bound = files.map((path, i) => `${i}=${path}`);
    const { status, errors } = await runTool(
      "native/cpu_run",
      [sync, kernel, "64", "1", "1", "1", "1", "1", ...bound, ...more],
      { environment: { BUN_METAL_CPU_CHECK: check, BUN_METAL_CPU_THREADS: "1" } },
    );
    expect(status, errors).toBe(0);
    return [...new Uint32Array(readFileSync(files.at(-1) ?? "").buffer)];
  }

  test("poison fills threadgroup memory before every threadgroup", async () => {
    const poisoned = await numbersAfter("unwritten", 1, "poison", "0:16");
    expect(new Set(poisoned)).toEqual(new Set([0xffffffff]));
    expect(await numbersAfter("unwritten", 1, "", "0:16")).not.toEqual(poisoned);
  });

  test("shuffle runs threadgroups in another order, the same one for the same seed", async () => {
    const inOrder = Array.from({ length: 64 }, (_, i) => i);
    expect(await numbersAfter("order", 2, "")).toEqual(inOrder);
    const shuffled = await numbersAfter("order", 2, "shuffle:12");
    expect(shuffled).not.toEqual(inOrder);
    expect(shuffled.toSorted((a, b) => a - b)).toEqual(inOrder);
    expect(await numbersAfter("order", 2, "shuffle:12")).toEqual(shuffled);
    expect(await numbersAfter("order", 2, "shuffle:13")).not.toEqual(shuffled);
  });
});

describe("instruction sets", () => {
  test("every level that this machine has computes the same half arithmetic", async () => {
    if (process.arch !== "x64") return;
    const seed = 3;
    const random = mulberry32(seed);
    const halves = Uint16Array.from(
      { length: 256 },
      () => randomInteger(random, 0x7c00) | (randomInteger(random, 2) << 15),
    );
    const results: string[] = [];
    for (const level of ["x86-64-v2", "x86-64-v3", ""]) {
      writeFileSync(scratch.file("a.bin"), halves);
      writeFileSync(scratch.file("b.bin"), halves.toReversed());
      writeFileSync(scratch.file("out.bin"), new Uint8Array(256 * 5 * 2));
      writeFileSync(scratch.file("n.bin"), new Uint32Array([256]));
      const { status, errors } = await runTool(
        "native/cpu_run",
        [
          join(shaders, "accepted.metal"),
          "halves",
          "256",
          "1",
          "1",
          "64",
          "1",
          "1",
          "0=a.bin",
          "1=b.bin",
          "2=out.bin",
          "3=n.bin",
        ],
        { directory: scratch.path, environment: { BUN_METAL_CPU_LEVEL: level } },
      );
      if (errors.includes("this machine lacks")) continue;
      expect(status, errors).toBe(0);
      results.push(readFileSync(scratch.file("out.bin")).toString("hex"));
    }
    expect(results.length).toBeGreaterThan(0);
    expect(new Set(results).size, `seed ${seed}`).toBe(1);
  });
});

describe("shader libraries", () => {
  const file = scratch.file("library.metallib");
  let bytes = new Uint8Array();
  beforeAll(async () => {
    writeFileSync(scratch.file("library.metal"), fine);
    const made = await runTool("mslc", [scratch.file("library.metal"), "-o", file]);
    expect(made.errors).toBe("");
    bytes = new Uint8Array(readFileSync(file));
  });

  /** What the device says about a file with these bytes. */
  function refusal(content: Uint8Array): string {
    const damaged = scratch.file("damaged.metallib");
    writeFileSync(damaged, content);
    using device = Device.open("cpu");
    try {
      device.loadLibrary(damaged)[Symbol.dispose]();
    } catch (error) {
      return String(error);
    }
    return "";
  }

  test("loadLibrary() takes what mslc wrote", () => {
    using device = Device.open("cpu");
    using library = device.loadLibrary(file);
    expect(library.functionNames).toEqual(["fine"]);
  });

  test("mslc --target compiles for machines of another kind, which loadLibrary() refuses here", async () => {
    const foreign = process.arch === "arm64" ? "x86-64-v2" : "armv8-a";
    const made = await runTool("mslc", [
      scratch.file("library.metal"),
      "--target",
      foreign,
      "-o",
      scratch.file("f"),
    ]);
    expect(made.errors).toBe("");
    const content = new Uint8Array(readFileSync(scratch.file("f")));
    expect(content[18]).toBe(foreign === "armv8-a" ? 183 : 62); // e_machine of ELF
    expect(refusal(content)).toContain(`was compiled for ${foreign}, which this machine lacks`);
  });

  test("loadLibrary() refuses truncated files", () => {
    for (const length of [0, 1, 4, 63, 64, 100, 1000, bytes.length >> 1, bytes.length - 1]) {
      expect(refusal(bytes.slice(0, length)), `${length} bytes`).toMatch(/not a shader library|damaged/);
    }
  });

  test("loadLibrary() refuses damaged files, before the system loads them", () => {
    const seed = 77;
    const random = mulberry32(seed);
    for (let round = 0; round < 100; round++) {
      const at = randomInteger(random, bytes.length);
      const changed = bytes.slice();
      changed[at] = (changed[at] ?? 0) ^ (1 << randomInteger(random, 8));
      expect(refusal(changed), `seed ${seed}, byte ${at}`).not.toBe("");
    }
  });

  test("loadLibrary() says what to do about other versions, other machines, other files", () => {
    const version = changedImage(bytes, (image) => image.setUint32(image.byteLength - 40, 99, true));
    expect(refusal(version)).toMatch(
      /was compiled for .*version 99 of this layer.*compile it again with mslc/,
    );
    const level = changedImage(bytes, (image) => {
      for (const [i, byte] of new TextEncoder().encode("x86-64-v9\0").entries())
        image.setUint8(image.byteLength - 80 + i, byte);
    });
    expect(refusal(level)).toContain("was compiled for x86-64-v9, which this machine lacks");
    expect(refusal(new Uint8Array(readFileSync(process.execPath).subarray(0, 100_000)))).toContain(
      "not a shader library",
    );
    const apple = new Uint8Array(1000);
    apple.set(new TextEncoder().encode("MTLB"));
    expect(refusal(apple)).toContain("Apple's Metal compiler");
  });

  test("loadLibrary() takes a library that is replaced while it is in use", async () => {
    using device = Device.open("cpu");
    using before = device.loadLibrary(file);
    writeFileSync(scratch.file("other.metal"), fine.replace("fine", "other"));
    await runTool("mslc", [scratch.file("other.metal"), "-o", file]);
    using after = device.loadLibrary(file);
    expect(before.functionNames).toEqual(["fine"]);
    expect(after.functionNames).toEqual(["other"]);
    expect(before.pipeline("fine").maxTotalThreadsPerThreadgroup).toBe(1024);
  });

  test("compile() gives errors with the name and lines of the source", () => {
    using device = Device.open("cpu");
    expect(() => device.compile(`${fine}\nvoid f(float *p) {}\n`, { name: "mine.metal" })).toThrow(
      "mine.metal:3: error: a pointer needs an address space",
    );
  });
});

// The shaders for CUDA devices, as far as they can be judged without one: what is in their library.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, normalize } from "node:path";
import { mulberry32, randomInteger } from "../reference/random.ts";
import { refusedSources } from "./msl_rules.ts";
import { built, changedImage, inParallel, runTool, ScratchDirectory, shaders } from "./msl_tool.ts";

const target = "nvptx64-sm_80";
const scratch = new ScratchDirectory();
afterAll(() => scratch[Symbol.dispose]());

/** The text of every kernel of a library, by the kernel's name. */
async function textsOf(library: string, directory: string): Promise<Map<string, string>> {
  mkdirSync(scratch.file(directory));
  const { status, errors } = await runTool("mslc", ["--ptx", library, "-o", scratch.file(directory)]);
  expect(status, errors).toBe(0);
  const texts = new Map<string, string>();
  for (const file of readdirSync(scratch.file(directory))) {
    const name = file.replace(/^bm_\d+_/, "").replace(/\.ptx$/, "");
    texts.set(name, readFileSync(join(scratch.file(directory), file), "utf8"));
  }
  return texts;
}

/** What `mslc --list` says of each kernel. */
async function kernelsOf(library: string, ...options: string[]): Promise<Map<string, string>> {
  const { status, output, errors } = await runTool("mslc", ["--list", library, ...options]);
  expect(status, errors).toBe(0);
  const kernels = output.split(/^(?=\S)/m).map((text): [string, string] => {
    const [name = "", ...lines] = text.trimEnd().split("\n");
    return [name, lines.join("\n")];
  });
  return new Map(kernels.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Names that a module uses and does not define. */
function undefinedNames(text: string): string[] {
  const defined = new Set<string>();
  for (const [, name = ""] of text.matchAll(/^(\$?\w+):/gm)) defined.add(name);
  for (const [, name = ""] of text.matchAll(/\.(?:entry|func)\s+(?:\([^)]*\)\s*)?([\w$]+)/g))
    defined.add(name);
  for (const [, name = ""] of text.matchAll(
    /\.(?:global|const|shared|local|param)\b[^;,{(]*?\s([\w$]+)(?=\s*(?:\[|=|;|,|\n|\)))/g,
  ))
    defined.add(name);
  const used = new Set<string>();
  for (const line of text.replace(/\.pragma[^;]*;/g, "").split("\n")) {
    // An instruction: a predicate, the operation with its modifiers, operands.
    const operands = /^\s*(?:\{\s*)?(?:@!?%\w+\s+)?[a-z][\w.]*\s+(.*);/.exec(line)?.[1] ?? "";
    for (const [name] of operands.matchAll(/(?<![\w$.%])[A-Za-z_$][\w$]*/g)) used.add(name);
  }
  return [...used].filter((name) => !defined.has(name));
}

let library: Map<string, string>;
beforeAll(async () => {
  library = await textsOf(normalize(join(built, "../cuda/shaders.metallib")), "library");
});

/** The text of a kernel of the library. */
function kernel(name: string): string {
  const text = library.get(name);
  if (text === undefined) throw new Error(`There is no kernel ${name}`);
  return text;
}

describe("the shaders for CUDA devices", () => {
  test("reflection finds the same kernels and arguments as for the CPU", async () => {
    const forCpu = await kernelsOf(join(built, "shaders.metallib"));
    const forCuda = await kernelsOf(normalize(join(built, "../cuda/shaders.metallib")), "--target", target);
    expect(forCuda.size).toBeGreaterThan(100);
    expect([...forCuda]).toEqual([...forCpu]);
    expect(library.size).toBe(forCuda.size);
  });

  test("every kernel's text is whole: one entry, and all that it names", () => {
    for (const [name, text] of library) {
      expect([...text.matchAll(/\.entry /g)].length, name).toBe(1);
      expect(text, name).toStartWith(".version 7.8\n.target sm_80\n.address_size 64\n");
      expect(undefinedNames(text), name).toEqual([]);
    }
    expect(undefinedNames(kernel("softmax_f32").replace(".extern .shared", "// "))).toEqual(["bm_shared"]);
    expect(undefinedNames(`${kernel("softmax_f32")}{ call.uni _Zmissing, (); }`)).toEqual(["_Zmissing"]);
  });

  test("kernels wait, exchange and multiply where their source does", () => {
    const cases: [kernel: string, has: RegExp[], hasNot: RegExp[]][] = [
      ["softmax_f32", [/bar\.sync/, /shfl\.sync/, /ld\.shared/, /ex2\.approx/], [/mma\.sync/]],
      ["matmul_q4_0", [/bar\.sync/, /mma\.sync\S*tf32/, /ld\.shared/, /st\.shared/], [/shfl\.sync/]],
      [
        "attention_tiled_128_f16",
        [/bar\.sync/, /bar\.warp\.sync/, /mma\.sync/, /movmatrix/, /shfl\.sync/],
        [],
      ],
      ["matvec_q8_0", [/shfl\.sync/], [/bar\.sync/, /\.shared\.f32/]],
      ["convert_q8_0_f16", [/cvt\.rn\.f16/], [/bar\./, /shfl/, /mma/]],
    ];
    for (const [name, has, hasNot] of cases) {
      for (const pattern of has) expect(kernel(name), name).toMatch(pattern);
      for (const pattern of hasNot) expect(kernel(name), name).not.toMatch(pattern);
    }
  });

  test("every access to memory says which, and arrays are in registers", () => {
    for (const [name, text] of library) {
      expect(text, name).not.toMatch(/^(@\S+\s+)?(ld|st)\.(volatile\.)?(v[24]\.)?[usfb]\d/m);
      const depot = /\.local [^;]*\[(\d+)\]/.exec(text)?.[1] ?? "0";
      expect(Number(depot), name).toBeLessThanOrEqual(128);
    }
  });

  test("ptxas takes kernels of every family, where there is one", async () => {
    const families = new Map(
      [...library.keys()].map((name) => [name.replace(/_(b?f16|f32|i?q\d.*|mxfp4)$/, ""), name]),
    );
    if (spawnSync("ptxas", ["--version"]).status !== 0) {
      console.warn("There is no ptxas here: no kernel was assembled");
      return;
    }
    await inParallel([...families.values()], 2, async (name) => {
      writeFileSync(scratch.file(`${name}.ptx`), kernel(name));
      for (const machine of ["sm_80", "sm_90"]) {
        const child = Bun.spawn(
          ["ptxas", `-arch=${machine}`, scratch.file(`${name}.ptx`), "-o", "/dev/null"],
          {
            stderr: "pipe",
            stdout: "pipe",
          },
        );
        const said = (await child.stderr.text()) + (await child.stdout.text());
        expect(await child.exited, `${name} for ${machine}: ${said}`).toBe(0);
      }
    });
  }, 120_000);
});

describe("mslc --target nvptx64-sm_80", () => {
  const inScratch = { directory: scratch.path };

  test("what the tests of the language compile is compiled for CUDA devices, too", async () => {
    const sources = ["accepted", "simd", "sync"].map((name) => join(shaders, `${name}.metal`));
    const made = await runTool(
      "mslc",
      [...sources, "--target", "x86-64-v2", "--target", target, "-o", "both.metallib"],
      inScratch,
    );
    expect(made.errors).toBe("");
    const forCuda = await kernelsOf(scratch.file("both.metallib"), "--target", target);
    const texts = await textsOf(scratch.file("both.metallib"), "both");
    expect(texts.size).toBe(forCuda.size);
    for (const [name, text] of texts) expect(undefinedNames(text), name).toEqual([]);
    if (process.arch === "x64")
      expect([...forCuda]).toEqual([...(await kernelsOf(scratch.file("both.metallib")))]);
  }, 60_000);

  test("a mistake is told in the same words for every target", async () => {
    const wrong = refusedSources.filter((_, i) => i % 6 === 0);
    expect(wrong.length).toBeGreaterThan(5);
    await inParallel(wrong, 2, async ({ source, rule }, i) => {
      writeFileSync(scratch.file(`wrong${i}.metal`), source);
      const [cpu, cuda] = await Promise.all(
        [[], ["--target", target]].map((options) =>
          runTool("mslc", [`wrong${i}.metal`, ...options, "-o", `wrong${i}.metallib`], inScratch),
        ),
      );
      expect(cuda?.status, rule).toBe(1);
      expect(cuda?.errors, rule).toBe(cpu?.errors ?? "");
    });
  }, 60_000);

  test("constants that are indexed stay in memory", async () => {
    writeFileSync(
      scratch.file("indexed.metal"),
      `struct Table { float values[8]; };
kernel void indexed(device float *x [[buffer(0)]], constant Table &t [[buffer(1)]], uint i [[thread_position_in_grid]]) {
  x[i] = t.values[i & 7];
}\n`,
    );
    const made = await runTool(
      "mslc",
      ["indexed.metal", "--target", target, "-o", "indexed.metallib"],
      inScratch,
    );
    expect(made.errors).toBe("");
    const text = (await textsOf(scratch.file("indexed.metallib"), "indexed")).get("indexed") ?? "";
    expect(text).not.toContain("cvta.to.global");
    expect(text).not.toContain(".local");
    expect([...text.matchAll(/ld\.global/g)].length).toBe(1);
  });

  test("a limit of threads is told to the assembler, 1024 at most", async () => {
    const bounded = (name: string, most: number): string =>
      `[[max_total_threads_per_threadgroup(${most})]] kernel void ${name}(device float *x [[buffer(0)]]) { x[0] = 1; }\n`;
    writeFileSync(scratch.file("bounded.metal"), bounded("few", 96) + bounded("many", 4096));
    const made = await runTool(
      "mslc",
      ["bounded.metal", "--target", target, "-o", "bounded.metallib"],
      inScratch,
    );
    expect(made.errors).toBe("");
    const texts = await textsOf(scratch.file("bounded.metallib"), "bounded");
    expect(texts.get("few")).toContain("\n.maxntid 96, 1, 1\n{");
    expect(texts.get("many")).toContain("\n.maxntid 1024, 1, 1\n{");
    const kernels = await kernelsOf(scratch.file("bounded.metallib"), "--target", target);
    expect(kernels.get("few")).toContain("at most 96 threads");
    expect(kernels.get("many")).not.toContain("at most");
  });

  test("a function that is nowhere is an error with the kernel's name", async () => {
    writeFileSync(
      scratch.file("missing.metal"),
      "float missing(float x);\nkernel void needs(device float *x [[buffer(0)]]) { x[0] = missing(x[0]); }\n",
    );
    const { status, errors } = await runTool(
      "mslc",
      ["missing.metal", "--target", target, "-o", "missing.metallib"],
      inScratch,
    );
    expect(status).toBe(1);
    expect(errors).toMatch(/missing\.metal.*error: /);
  });
});

describe("libraries without the slice that is asked for, and damaged ones", () => {
  let image = new Uint8Array();
  beforeAll(async () => {
    writeFileSync(
      scratch.file("small.metal"),
      `kernel void small(device float *x [[buffer(0)]], constant uint &n [[buffer(1)]], threadgroup int *t [[threadgroup(0)]],
  uint i [[thread_position_in_grid]]) { t[i] = n; x[i] = t[i ^ 1]; }\n`,
    );
    const made = await runTool("mslc", [
      scratch.file("small.metal"),
      "--target",
      target,
      "-o",
      scratch.file("small"),
    ]);
    expect(made.errors).toBe("");
    image = new Uint8Array(readFileSync(scratch.file("small")));
  });

  test("the error says which slices there are", async () => {
    const forCpu = await runTool("mslc", ["--list", scratch.file("small")]);
    expect(forCpu.errors).toMatch(/was compiled for nvptx64-sm_80, which this machine lacks.*--target/);
    expect(forCpu.status).toBe(1);
    const forCuda = await runTool("mslc", ["--list", join(built, "shaders.metallib"), "--target", target]);
    expect(forCuda.errors).toMatch(/was compiled for \S+, which a CUDA device lacks.*--target/);
    expect(forCuda.status).toBe(1);
  });

  test("truncated libraries are refused", async () => {
    for (const length of [0, 7, 31, 32, 79, 80, image.length >> 1, image.length - 1]) {
      writeFileSync(scratch.file("damaged"), image.slice(0, length));
      const { status, errors } = await runTool("mslc", [
        "--list",
        scratch.file("damaged"),
        "--target",
        target,
      ]);
      expect(errors, `${length} bytes`).toMatch(/not a shader library|damaged/);
      expect(status, `${length} bytes`).toBe(1);
    }
  });

  test("slices that are signed and make no sense are refused, or read as what they say", async () => {
    const seed = 41_000 + new Date().getDate();
    const random = mulberry32(seed);
    const rounds = Array.from({ length: 150 }, () =>
      changedImage(image, (view) => {
        for (let i = randomInteger(random, 3); i >= 0; i--) {
          view.setUint8(8 + randomInteger(random, image.length - 80 - 8), randomInteger(random, 256));
        }
      }),
    );
    let refused = 0;
    await inParallel(rounds, 2, async (content, i) => {
      writeFileSync(scratch.file(`damaged${i}`), content);
      const { status, errors } = await runTool("mslc", [
        "--list",
        scratch.file(`damaged${i}`),
        "--target",
        target,
      ]);
      expect([0, 1], `seed ${seed}, round ${i}: ${errors}`).toContain(status);
      if (status === 1) {
        expect(errors, `seed ${seed}, round ${i}`).toContain("is damaged");
        refused++;
      }
    });
    expect(refused, `seed ${seed}`).toBeGreaterThan(20);
  }, 60_000);
});

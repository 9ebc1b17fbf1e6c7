// The layers of docs/architecture.md, held by reading every import of the tree: an import goes down, never up, and
// never into the inside of a neighbour.
import { describe, expect, test } from "bun:test";
import { dirname, join, normalize, relative } from "node:path";

const root = normalize(join(import.meta.dirname, "../.."));

/** Which rooms each room may import, itself aside. */
const allowed: Readonly<Record<string, readonly string[]>> = {
  "src/ffi": [],
  "src/runtime": ["src/ffi"],
  "src/tensor": ["src/runtime"],
  "src/gguf": [],
  "src/quantize": ["src/gguf"],
  "src/text": [],
  "src/sample": [],
  "src/llama": ["src/tensor", "src/runtime", "src/gguf", "src/text", "src/sample"],
  "src/cli": ["src/llama", "src/quantize", "src/runtime"],
  "mod.ts": ["src/llama", "src/tensor", "src/runtime", "src/quantize", "src/gguf", "src/text", "src/sample"],
  examples: ["mod.ts"],
  "test/reference": [],
};

/** Rooms that run with no library and no device: they import nothing native either. */
const pure = ["src/gguf", "src/quantize", "src/text", "src/sample", "test/reference"];

type Import = { readonly file: string; readonly specifier: string; readonly target: string };

function roomOf(path: string): string | undefined {
  return Object.keys(allowed).find((room) => path === room || path.startsWith(`${room}/`));
}

/** All imports of a source text: static, type-only, re-exports and dynamic ones with a literal. */
function specifiers(source: string): string[] {
  const code = source.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
  return [...code.matchAll(/(?:\bfrom\s*|\bimport\s*\(\s*|\bimport\s+)["']([^"']+)["']/g)].map(
    (match) => match[1],
  );
}

async function importsOf(file: string): Promise<Import[]> {
  const source = await Bun.file(join(root, file)).text();
  return specifiers(source).map((specifier) => ({
    file,
    specifier,
    target: specifier.startsWith(".")
      ? relative(root, normalize(join(root, dirname(file), specifier)))
      : specifier,
  }));
}

async function sourceFiles(): Promise<string[]> {
  const files: string[] = [];
  for (const pattern of ["mod.ts", "src/**/*.ts", "examples/*.ts", "test/reference/**/*.ts"]) {
    for await (const file of new Bun.Glob(pattern).scan(root)) files.push(file);
  }
  return files.sort();
}

/** What is wrong with an import, or undefined. */
function fault({ file, specifier, target }: Import): string | undefined {
  const from = roomOf(file);
  if (from === undefined) return `${file} is in no room of docs/architecture.md`;
  if (!specifier.startsWith(".")) {
    if (specifier === "@huggingface/jinja" && !pure.includes(from))
      return `${file} imports "${specifier}", which is for src/text/jinja.ts alone`;
    if (specifier.startsWith("bun:ffi") && file !== "src/ffi/bun.ts") return `${file} imports "${specifier}"`;
    if (specifier === "@huggingface/jinja" && file === "src/text/jinja.ts") return undefined;
    if (pure.includes(from) && !/^(node:(fs|fs\/promises|path|os|buffer)|bun|bun:test)$/.test(specifier)) {
      return `${file} imports "${specifier}", but ${from} is a pure room`;
    }
    return undefined;
  }
  const to = roomOf(target);
  if (to === from) return undefined;
  if (to === undefined || !allowed[from].includes(to))
    return `${file} imports ${target}: ${from} may not use ${to}`;
  const entrance = to === "mod.ts" ? "mod.ts" : `${to}/index.ts`;
  return target === entrance ? undefined : `${file} imports ${target}, past ${entrance}`;
}

/** The first import cycle among files, or undefined. */
function cycle(graph: ReadonlyMap<string, readonly string[]>): string[] | undefined {
  const done = new Set<string>();
  const visit = (file: string, path: string[]): string[] | undefined => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return undefined;
    for (const next of graph.get(file) ?? []) {
      const found = visit(next, [...path, file]);
      if (found !== undefined) return found;
    }
    done.add(file);
    return undefined;
  };
  for (const file of graph.keys()) {
    const found = visit(file, []);
    if (found !== undefined) return found;
  }
  return undefined;
}

describe("imports", () => {
  test("imports go down the layers, through each room's index.ts", async () => {
    const all = (await Promise.all((await sourceFiles()).map(importsOf))).flat();
    expect(all.length).toBeGreaterThan(50);
    expect(all.map(fault).filter((text) => text !== undefined)).toEqual([]);
  });

  test("imports form no cycle between files", async () => {
    const graph = new Map<string, string[]>();
    for (const file of await sourceFiles()) {
      graph.set(
        file,
        (await importsOf(file)).filter((i) => i.specifier.startsWith(".")).map((i) => i.target),
      );
    }
    expect(cycle(graph)).toBeUndefined();
  });

  test("imports that go up, past an index or to a native module are found", () => {
    const check = (file: string, specifier: string, target = specifier) => fault({ file, specifier, target });
    expect(check("src/ffi/abi.ts", "../runtime/index.ts", "src/runtime/index.ts")).toContain("may not use");
    expect(check("src/llama/model.ts", "../ffi/index.ts", "src/ffi/index.ts")).toContain("may not use");
    expect(check("src/tensor/plan.ts", "../runtime/queue.ts", "src/runtime/queue.ts")).toContain("past");
    expect(check("examples/llama.ts", "../src/llama/index.ts", "src/llama/index.ts")).toContain(
      "may not use",
    );
    expect(check("src/gguf/reader.ts", "bun:ffi")).toContain("bun:ffi");
    expect(check("src/text/tokens.ts", "@huggingface/jinja")).toContain("pure room");
    expect(check("src/llama/model.ts", "@huggingface/jinja")).toContain("src/text/jinja.ts alone");
    expect(check("src/tensor/plan.ts", "../runtime/index.ts", "src/runtime/index.ts")).toBeUndefined();
    expect(
      cycle(
        new Map([
          ["a", ["b"]],
          ["b", ["a"]],
        ]),
      ),
    ).toEqual(["a", "b", "a"]);
  });

  test("specifiers() finds every form of import", () => {
    const source = `import a from "./a.ts"; import type { B } from './b.ts';\nimport "./c.ts";
      export * from "./d.ts"; const e = await import("./e.ts"); // import "./not.ts"
      /* from "./nor.ts" */`;
    const lines = source.replace(/ \/\/.*$/gm, "");
    expect(specifiers(lines)).toEqual(["./a.ts", "./b.ts", "./c.ts", "./d.ts", "./e.ts"]);
  });
});

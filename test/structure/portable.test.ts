// The tests that Deno runs use nothing that only Bun has, so that whoever changes one in Bun does not break it there.
import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join, normalize, relative } from "node:path";

const root = join(import.meta.dirname, "../..");
const home = join(root, "test/deno");

type Settings = {
  readonly test: { readonly include: readonly string[]; readonly exclude: readonly string[] };
};

/** The settings of Deno's tests, whose comments stand on lines of their own. */
function settings(): Settings {
  return JSON.parse(readFileSync(join(home, "deno.jsonc"), "utf8").replace(/^\s*\/\/.*$/gm, ""));
}

/** Every TypeScript file below a directory, relative to the repository. */
function sources(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => relative(root, join(directory, name)));
}

/** What only Bun has in a source text. */
function onlyOfBun(source: string): string[] {
  const code = source.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
  const found = code.matchAll(
    /\bBun\.\w+|\bimport\.meta\.(?:dir|path|file)\b|["']bun(?:-types|:(?!test["'])\w+)?["']/g,
  );
  return [...found].map(([text]) => text);
}

test("what Deno runs is there, and so is what it leaves out", () => {
  const { include, exclude } = settings().test;
  expect(include.length).toBeGreaterThan(0);
  const files = include.flatMap((room) => sources(normalize(join(home, room))));
  expect(files.length).toBeGreaterThan(50);
  for (const file of exclude) expect(files).toContain(relative(root, normalize(join(home, file))));
});

test("tests that Deno runs, and what they share, use nothing that only Bun has", () => {
  const { include, exclude } = settings().test;
  const leftOut = exclude.map((file) => relative(root, normalize(join(home, file))));
  const shared = ["src", "examples", "test/host", "test/reference"].map((directory) => join(root, directory));
  const faults = [...include.map((room) => normalize(join(home, room))), ...shared]
    .flatMap(sources)
    .filter((file) => !leftOut.includes(file) && file !== "src/ffi/bun.ts")
    .flatMap((file) => onlyOfBun(readFileSync(join(root, file), "utf8")).map((what) => `${file}: ${what}`));
  expect(faults).toEqual([]);
});

test("the check finds what only Bun has", () => {
  expect(onlyOfBun('import { expect } from "bun:test";\n// Bun.gc\nimport.meta.dirname;')).toEqual([]);
  expect(onlyOfBun('await Bun.sleep(1); import.meta.dir; import("bun:ffi");')).toEqual([
    "Bun.sleep",
    "import.meta.dir",
    '"bun:ffi"',
  ]);
});

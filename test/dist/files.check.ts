// What is in the package: all that it needs, nothing else, and nothing of the machine that built it.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import {
  dist,
  filesBelow,
  linuxLibraries,
  outputOf,
  readelf,
  readPackageJson,
  root,
  tarball,
} from "./distribution.ts";

/**
 * Most bytes of the tarball, and of what it unpacks to. A tenth to a fifth more than they have now: enough for the libraries to
 * grow with their code, too little for debug information or a model.
 */
const MOST_BYTES = { packed: 5_800_000, unpacked: 16_500_000 }; // native kernels of CPUs are a half of it, those of GPUs a fifth

/** Every file of the package is of one of these kinds. */
const kinds: readonly RegExp[] = [
  /^(LICENSE|README\.md|package\.json|mod\.ts)$/,
  /^src\/[\w/]+\.ts$/,
  /^dist\/js\/(mod|src\/[\w/]+)\.(js|d\.ts)$/,
  /^dist\/darwin\/bun-metal\.dylib$/,
  /^dist\/linux-(x64|arm64)\/(libbun_metal\.so|libobjc\.so\.4|libobjc\.LICENSE\.txt|metal\/(include|library|cpu|cuda)\/\w+(\.h)?)$/,
  /^dist\/cuda\/(shaders\.metallib|native\.kernels)$/,
  ...linuxLibraries.flatMap(({ directory, shaders }) =>
    Object.keys(shaders).map((file) => new RegExp(`^dist/${directory}/${file.replace(".", "\\.")}$`)),
  ),
];

let directory: string;
let files: string[];

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "bun-metal-package-"));
  await outputOf(["tar", "xzf", tarball(), "-C", directory, "--strip-components=1"]);
  files = filesBelow(directory);
});
afterAll(() => rmSync(directory, { recursive: true }));

describe("the package", () => {
  test("the package holds nothing but what it needs", () => {
    expect(files.filter((file) => !kinds.some((kind) => kind.test(file)))).toEqual([]);
  });

  test("the package holds every source, its JavaScript and its declarations", () => {
    const sources = ["mod.ts", ...filesBelow(join(root, "src")).map((file) => `src/${file}`)];
    const compiled = sources.flatMap((file) => [
      file,
      `dist/js/${file.replace(/ts$/, "js")}`,
      `dist/js/${file.replace(/ts$/, "d.ts")}`,
    ]);
    expect(compiled.filter((file) => !files.includes(file))).toEqual([]);
  });

  test("the package holds the libraries of every platform, with what lies beside them", () => {
    const needed = [
      "LICENSE",
      "README.md",
      "dist/cuda/native.kernels",
      "dist/cuda/shaders.metallib",
      "dist/darwin/bun-metal.dylib",
      ...linuxLibraries.flatMap(({ directory, shaders }) =>
        ["libbun_metal.so", "libobjc.so.4", "libobjc.LICENSE.txt", "metal/library/library.h"]
          .concat(Object.keys(shaders), "metal/include/metal_stdlib")
          .map((file) => `dist/${directory}/${file}`),
      ),
    ];
    expect(needed.filter((file) => !files.includes(file))).toEqual([]);
  });

  test("the package's entrances exist", () => {
    const { exports, bin = {} } = readPackageJson(directory);
    const targets = [
      ...Object.values(exports).flatMap((target) =>
        typeof target === "string" ? target : Object.values(target),
      ),
      ...Object.values(bin),
    ];
    expect(targets.length).toBeGreaterThan(2);
    expect(targets.filter((target) => !existsSync(join(directory, target)))).toEqual([]);
  });

  test("the package stays small", () => {
    expect(statSync(tarball()).size).toBeLessThan(MOST_BYTES.packed);
    const unpacked = files.reduce((sum, file) => sum + statSync(join(directory, file)).size, 0);
    expect(unpacked).toBeLessThan(MOST_BYTES.unpacked);
  });

  test("no file of what ships names a directory of the machine that built it", () => {
    const traces = [root, `${homedir()}/`, "/tmp/", "/home/", "/build/dist/"];
    const found: string[] = [];
    for (const file of filesBelow(dist).filter((file) => !file.endsWith(".tgz"))) {
      const bytes = readFileSync(join(dist, file));
      for (const trace of traces) if (bytes.includes(trace)) found.push(`${file}: ${trace}`);
    }
    expect(found).toEqual([]);
  });
});

describe("the libraries for Linux", () => {
  const header = readFileSync(join(root, "bridge/bun_metal.h"), "utf8").replace(/\/\*[\s\S]*?\*\//g, "");
  const declared = [...header.matchAll(/BM_EXPORT\s[^;]*?\b(bm_\w+)\s*\(/g)].map(([, name]) => name).sort();

  for (const { directory: platform, machine, shaders } of linuxLibraries) {
    const library = join(dist, platform, "libbun_metal.so");

    test(`${platform} exports the functions of bun_metal.h, and nothing else`, async () => {
      const symbols = await readelf(library, "--dyn-syms", "--wide");
      const exported = [...symbols.matchAll(/ (?:GLOBAL|WEAK) +\w+ +(?!UND)\w+ +(\S+)$/gm)].map(
        ([, name]) => name,
      );
      expect(declared.length).toBeGreaterThan(20);
      expect(exported.sort()).toEqual(declared);
    });

    test(`${platform} needs the C library, GCC's runtime, and libobjc from beside it`, async () => {
      const dynamic = await readelf(library, "--dynamic-table");
      const needed = [...dynamic.matchAll(/\(NEEDED\).*\[(.*)\]/g)].map(([, name]) => name);
      const allowed = ["libobjc.so.4", "libgcc_s.so.1", "libc.so.6", "libm.so.6"];
      expect(needed).toContain("libobjc.so.4");
      expect(needed.filter((name) => !allowed.includes(name) && !name.startsWith("ld-linux-"))).toEqual([]);
      expect(dynamic).toMatch(/\(RUNPATH\).*\[\$ORIGIN\]/);
      expect(dynamic).not.toMatch(/TEXTREL|\(RPATH\)/);
    });

    test(`${platform} is for its architecture, and needs no glibc newer than 2.34`, async () => {
      for (const file of ["libbun_metal.so", "libobjc.so.4"]) {
        const path = join(dist, platform, file);
        expect(await readelf(path, "--file-header")).toMatch(new RegExp(`Machine: +${machine}$`, "m"));
        const versions = await readelf(path, "--version-info");
        const minors = [...versions.matchAll(/GLIBC_2\.(\d+)/g)].map(([, minor]) => Number(minor));
        expect(minors.length).toBeGreaterThan(0);
        expect(Math.max(...minors)).toBeLessThanOrEqual(34);
      }
    });

    test(`${platform} is stripped, and its memory is either written or executed`, async () => {
      expect(await readelf(library, "--sections", "--wide")).not.toMatch(/\.debug_|\.symtab/);
      const segments = await readelf(library, "--program-headers", "--wide");
      expect(segments).toMatch(/GNU_STACK .* RW /);
      expect(segments).toContain("GNU_RELRO");
      expect(segments).not.toContain("RWE");
    });

    test(`${platform} has shaders of each level`, async () => {
      for (const [file, level] of Object.entries(shaders)) {
        const path = join(dist, platform, file);
        const bytes = readFileSync(path);
        const place = bytes.subarray(-80).toString("latin1"); // bridge/linux/msl/image.c
        expect(place.slice(0, place.indexOf("\0"))).toBe(level);
        expect(await readelf(path, "--file-header")).toContain(machine);
        // Compiled code calls the C library alone, by names that each has.
        const symbols = await readelf(path, "--dyn-syms", "--wide");
        const needed = [...symbols.matchAll(/ UND (\w\S*)$/gm)].map(([, name]) => name);
        expect(needed.filter((name) => !/^mem(cpy|set|move)$/.test(name))).toEqual([]);
      }
    });

    test(`${platform} brings the licence of libobjc`, () => {
      const text = readFileSync(join(dist, platform, "libobjc.LICENSE.txt"), "utf8");
      expect(text).toMatch(/package libobjc4\S*, version \d/);
      expect(text).toContain("GCC RUNTIME LIBRARY EXCEPTION\n\nVersion 3.1");
      expect(text).toContain("GNU GENERAL PUBLIC LICENSE\n                       Version 3, 29 June 2007");
      expect(text).toMatch(/source package gcc-\d+, version \d/);
    });
  }
});

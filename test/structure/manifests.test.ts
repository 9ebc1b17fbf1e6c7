// package.json and jsr.json say the same of the package, and what JSR gets is all that mod.ts needs.
import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import jsrManifest from "../../jsr.json" with { type: "json" };
import packageManifest from "../../package.json" with { type: "json" };

const root = join(import.meta.dirname, "../..");

/** Where an export's TypeScript is: the export itself, or what Bun takes of its conditions. */
function sourceOf(target: string | { readonly bun: string }): string {
  return typeof target === "string" ? target : target.bun;
}

/** The modules that a manifest exports, by name. */
function modules(exports: Readonly<Record<string, string | { readonly bun: string }>>): [string, string][] {
  return Object.entries(exports)
    .map(([name, target]): [string, string] => [name, sourceOf(target)])
    .filter(([, source]) => source.endsWith(".ts"));
}

test("jsr.json has the version and the license of package.json", () => {
  expect(jsrManifest.version).toBe(packageManifest.version);
  expect(jsrManifest.license).toBe(packageManifest.license);
  expect(jsrManifest.name).toEndWith(`/${packageManifest.name}`);
});

test("jsr.json exports the modules of package.json, and they exist", () => {
  const exported = modules(packageManifest.exports);
  expect(exported.length).toBeGreaterThan(0);
  expect(modules(jsrManifest.exports)).toEqual(exported);
  for (const [, source] of exported) expect(existsSync(join(root, source)), source).toBe(true);
});

test("jsr.json includes every exported module, all of src, and what there is to read", () => {
  const { include } = jsrManifest.publish;
  for (const [, source] of modules(jsrManifest.exports)) expect(include).toContain(source.replace("./", ""));
  for (const entry of ["src/**/*.ts", "README.md", "LICENSE"]) expect(include).toContain(entry);
});

test("jsr.json imports what package.json depends on, in the same versions", () => {
  const { dependencies } = packageManifest;
  const imports = Object.entries(dependencies).map(([name, version]) => [name, `npm:${name}@${version}`]);
  expect<Record<string, string>>(jsrManifest.imports).toEqual(Object.fromEntries(imports));
});

// src/ffi/abi.ts says what bridge/bun_metal.h says: functions, arguments, types, and every number.

import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as ffi from "../../src/ffi/index.ts";

const header = readFileSync(join(import.meta.dirname, "../../bridge/bun_metal.h"), "utf8");
const code = header.replace(/\/\*[\s\S]*?\*\//g, " ").replace(/\/\/.*$/gm, " ");

/** How a C type crosses, by the names of abi.ts. */
function nativeType(declaration: string): ffi.NativeType {
  const pointer = declaration.includes("*");
  const type = declaration
    .replace(/\b(const|void|char)\b|\*/g, (word) => (word === "void" || word === "char" ? `${word} ` : " "))
    .trim()
    .split(/\s+/)[0];
  if (pointer) return /\bconst\b/.test(declaration) ? "in" : "out";
  const plain: Readonly<Record<string, ffi.NativeType>> = {
    uint32_t: "u32",
    bm_handle: "u32",
    bm_status: "u32",
    double: "f64",
    bm_completed: "callback",
  };
  const native = plain[type];
  if (native === undefined) throw new TypeError(`No rule for the C type of "${declaration}"`);
  return native;
}

/** Signatures of all exports, in the form of abi.ts. */
function parseExports(source: string): Record<string, ffi.NativeType[]> {
  const found: Record<string, ffi.NativeType[]> = {};
  for (const [, returns, name, list] of source.matchAll(
    /BM_EXPORT\s+([\w\s]+?[\s*]+)(bm_\w+)\s*\(([^)]*)\)\s*;/g,
  )) {
    const args = list.trim() === "void" ? [] : list.split(",");
    const result = returns.includes("*") ? "pointer" : nativeType(returns);
    found[name] = [result, ...args.map((argument) => nativeType(argument))];
  }
  return found;
}

/** Constants of `#define BM_...` and of enumerations, by name. */
function parseConstants(source: string): Map<string, number> {
  const constants = new Map<string, number>();
  for (const [, name, value] of source.matchAll(/#define\s+(BM_\w+)\s+(0x[0-9A-Fa-f]+|\d+)u?\b/g)) {
    constants.set(name, Number(value));
  }
  for (const [, body] of source.matchAll(/\benum\s*\{([^}]*)\}/g)) {
    for (const [, name, value] of body.matchAll(/(BM_\w+)\s*=\s*(\d+)/g)) constants.set(name, Number(value));
  }
  return constants;
}

/** Names of the header's constants that begin with `prefix`, in the words of abi.ts, by value. */
function named(prefix: string, spell: (rest: string) => string): string[] {
  const names: string[] = [];
  for (const [name, value] of parseConstants(code)) {
    if (name.startsWith(prefix) && !name.endsWith("_COUNT")) names[value] = spell(name.slice(prefix.length));
  }
  return names;
}

const lower = (text: string): string => text.toLowerCase();
const kebab = (text: string): string => text.toLowerCase().replaceAll("_", "-");
const camel = (text: string): string =>
  text.toLowerCase().replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());

describe("abi", () => {
  test("abi declares the functions of the header, with their arguments and types", () => {
    const exports = parseExports(code);
    expect(Object.keys(exports)).toHaveLength(code.match(/^BM_EXPORT\b/gm)?.length ?? 0);
    expect(ffi.abi as Record<string, readonly string[]>).toEqual(exports);
  });

  test("abi's lists name the header's constants, in order", () => {
    expect<readonly string[]>(ffi.statusNames).toEqual(["ok", ...named("BM_ERROR_", kebab).slice(1)]);
    expect<readonly string[]>(ffi.handleKinds).toEqual(named("BM_KIND_", lower));
    expect<readonly string[]>(ffi.statisticNames).toEqual(named("BM_STATISTIC_", camel));
    expect<readonly string[]>(ffi.storageModes).toEqual(named("BM_STORAGE_", lower));
    expect<readonly string[]>(ffi.pipelineNumbers).toEqual(named("BM_PIPELINE_", (text) => camel(text)));
    // Two enumerations share the prefix BM_DEVICE_: texts 0 and 1, and numbers from 0 on.
    const texts = ["name", "architecture"];
    expect<readonly string[]>(ffi.deviceTexts).toEqual(texts);
    const constants = parseConstants(code);
    expect(texts.map((text) => constants.get(`BM_DEVICE_${text.toUpperCase()}`))).toEqual([0, 1]);
    const numbers = [...constants]
      .filter(([name]) => /^BM_DEVICE_/.test(name) && !/_(NAME|ARCHITECTURE|COUNT)$/.test(name))
      .sort(([, a], [, b]) => a - b);
    expect(numbers.map(([, value]) => value)).toEqual(numbers.map((_, i) => i));
    expect<readonly string[]>(ffi.deviceNumbers).toEqual(
      numbers.map(([name]) => camel(name.slice("BM_DEVICE_".length))),
    );
  });

  test("abi's features are the header's bits, in order", () => {
    const bits = [...parseConstants(code)].filter(([name]) => /^BM_FEATURE_(?!ALL$)/.test(name));
    const names = bits.map(([name]) => kebab(name.slice("BM_FEATURE_".length)));
    expect<readonly string[]>(ffi.featureNames).toEqual(names);
    expect(bits.map(([, value]) => value)).toEqual(names.map((_, bit) => 2 ** bit));
    expect(parseConstants(code).get("BM_FEATURE_ALL")).toBe(2 ** names.length - 1);
  });

  test("abi's numbers are the header's", () => {
    const constants = parseConstants(code);
    expect(ffi.abiVersion as number).toBe(constants.get("BM_ABI_VERSION") ?? -1);
    expect(ffi.maxInFlight as number).toBe(constants.get("BM_MAX_IN_FLIGHT") ?? -1);
    expect(ffi.maxRuns as number).toBe(constants.get("BM_MAX_RUNS") ?? -1);
    expect(ffi.ticketFailed as number).toBe(constants.get("BM_TICKET_FAILED") ?? -1);
    expect<Record<string, number | undefined>>(ffi.programFormat).toEqual({
      magic: constants.get("BM_PROGRAM_MAGIC"),
      dispatch: constants.get("BM_OP_DISPATCH"),
      copy: constants.get("BM_OP_COPY"),
      fill: constants.get("BM_OP_FILL"),
      barrier: constants.get("BM_OP_BARRIER"),
      dispatchThreads: constants.get("BM_DISPATCH_THREADS"),
      dynamicWords: constants.get("BM_DYNAMIC_WORDS"),
      maxDynamicWords: constants.get("BM_MAX_DYNAMIC_WORDS"),
    });
  });

  test("the header's parser finds differences", () => {
    const exports = parseExports(
      "BM_EXPORT void *bm_a(bm_handle b); BM_EXPORT uint32_t bm_c(const char *s, double *n, bm_completed f);",
    );
    expect(exports).toEqual({ bm_a: ["pointer", "u32"], bm_c: ["u32", "in", "out", "callback"] });
    expect(() => parseExports("BM_EXPORT float bm_d(void);")).toThrow("No rule");
  });
});

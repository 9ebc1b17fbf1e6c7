// Where the native library is looked for, and what is said where it is not there.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { locateLibrary } from "../../src/ffi/locate.ts";
import { BridgeError } from "../../src/ffi/status.ts";

let root: string;

function place(...parts: string[]): string {
  const path = join(root, ...parts);
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, "");
  return path;
}

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "bun-metal-locate-"));
});
afterAll(() => rmSync(root, { recursive: true }));

describe("locateLibrary", () => {
  test("locateLibrary() finds the build of each platform", () => {
    const search = (platform: string, architecture: string) =>
      locateLibrary({ platform, architecture, override: undefined, roots: [root] });
    const linux = place("build", "linux-x86_64", "libbun_metal.so");
    const arm = place("build", "linux-aarch64", "libbun_metal.so");
    const mac = place("build", "darwin-arm64", "libbun_metal.dylib");
    expect(search("linux", "x64")).toBe(linux);
    expect(search("linux", "arm64")).toBe(arm);
    expect(search("darwin", "arm64")).toBe(mac);
  });

  test("locateLibrary() takes BUN_METAL_LIBRARY before all else", () => {
    const mine = place("mine.so");
    expect(locateLibrary({ override: mine, roots: [] })).toBe(mine);
    const missing = join(root, "missing.so");
    expect(() => locateLibrary({ override: missing, roots: [root] })).toThrow(missing);
  });

  test("locateLibrary() names platform, architecture and place where there is none", () => {
    const search = () =>
      locateLibrary({ platform: "plan9", architecture: "mips", override: undefined, roots: [root] });
    expect(search).toThrow(BridgeError);
    expect(search).toThrow(/"plan9".*"mips".*plan9-mips.*make build/);
  });
});

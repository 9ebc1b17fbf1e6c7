// Where the native library is looked for, and what is said where it is not there.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { locateLibrary } from "../../src/ffi/locate.ts";
import { type LinuxLibc, linuxLibc, loadAdvice } from "../../src/ffi/platform.ts";
import { BridgeError } from "../../src/ffi/status.ts";

let root: string;

function place(...parts: string[]): string {
  const path = join(root, ...parts);
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, "");
  return path;
}

function thrown(act: () => unknown): BridgeError {
  try {
    act();
  } catch (error) {
    if (error instanceof BridgeError) return error;
    throw error;
  }
  throw new Error("Nothing was thrown");
}

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "bun-metal-locate-"));
});
afterAll(() => rmSync(root, { recursive: true }));

describe("locateLibrary", () => {
  const search = (
    platform: string,
    architecture: string,
    libc?: LinuxLibc,
    from: string | undefined = root,
  ) => locateLibrary({ platform, architecture, libc: () => libc, override: undefined, root: from });

  test("locateLibrary() prefers the build of a clone to what ships", () => {
    const places: [platform: string, architecture: string, built: string, shipped: string][] = [
      ["linux", "x64", "build/linux-x86_64/libbun_metal.so", "dist/linux-x64/libbun_metal.so"],
      ["linux", "arm64", "build/linux-aarch64/libbun_metal.so", "dist/linux-arm64/libbun_metal.so"],
      ["darwin", "arm64", "build/darwin-arm64/libbun_metal.dylib", "dist/darwin/bun-metal.dylib"],
      ["darwin", "x64", "build/darwin-x86_64/libbun_metal.dylib", "dist/darwin/bun-metal.dylib"],
    ];
    for (const [platform, architecture, built, shipped] of places) {
      const second = place(shipped);
      expect(search(platform, architecture)).toBe(second);
      const first = place(built);
      expect(search(platform, architecture)).toBe(first);
    }
  });

  test("locateLibrary() takes BUN_METAL_LIBRARY before all else, on any platform", () => {
    const mine = place("mine.so");
    expect(locateLibrary({ override: mine, root: undefined, platform: "win32" })).toBe(mine);
    const missing = join(root, "missing.so");
    expect(() => locateLibrary({ override: missing, root })).toThrow(missing);
  });

  test("locateLibrary() says what is supported on a platform that is not", () => {
    const platforms: [platform: string, architecture: string][] = [
      ["win32", "x64"],
      ["freebsd", "x64"],
      ["android", "arm64"],
      ["linux", "ia32"],
      ["linux", "arm"],
      ["linux", "riscv64"],
    ];
    for (const [platform, architecture] of platforms) {
      const error = thrown(() => search(platform, architecture));
      expect(error.code).toBe("unsupported");
      expect(error.message).toContain(`platform "${platform}", architecture "${architecture}"`);
      expect(error.message).toMatch(/macOS 13 or newer .*glibc 2\.34 or newer .*BUN_METAL_LIBRARY/);
    }
  });

  test("locateLibrary() refuses musl and old versions of glibc, but not a library built there", () => {
    const shipped = place("elsewhere/dist/linux-x64/libbun_metal.so");
    const from = join(root, "elsewhere");
    for (const glibc of ["2.34", "2.36", "2.100", "3.0"]) {
      expect(search("linux", "x64", { glibc }, from)).toBe(shipped);
    }
    expect(search("linux", "x64", undefined, from)).toBe(shipped);
    for (const glibc of ["2.33", "2.4", "1.99"]) {
      const error = thrown(() => search("linux", "x64", { glibc }, from));
      expect(error.code).toBe("unsupported");
      expect(error.message).toContain(`is glibc ${glibc}, and the native library needs 2.34`);
    }
    const error = thrown(() => search("linux", "x64", "musl", from));
    expect(error.code).toBe("unsupported");
    expect(error.message).toMatch(/musl, as on Alpine.*"oven\/bun:debian"/);
    const built = place("elsewhere/build/linux-x86_64/libbun_metal.so");
    expect(search("linux", "x64", "musl", from)).toBe(built);
  });

  test("locateLibrary() names the places where it found nothing", () => {
    const error = thrown(() => search("linux", "x64", undefined, join(root, "nowhere")));
    expect(error.code).toBe("not-found");
    expect(error.message).toMatch(/build\/linux-x86_64\/.*dist\/linux-x64\/.*make build/);
    const remote = thrown(() => locateLibrary({ override: undefined, root: undefined }));
    expect(remote.message).toContain("not from files");
  });
});

describe("linuxLibc", () => {
  test("linuxLibc() tells this system's C library", () => {
    const libc = linuxLibc();
    if (process.platform !== "linux" || "Deno" in globalThis) expect(libc).toBeUndefined();
    else if (libc !== "musl") expect(libc?.glibc).toMatch(/^2\.\d+$/);
  });
});

describe("loadAdvice", () => {
  test("loadAdvice() explains what the system's loader says", () => {
    const says: [message: string, advice: RegExp | undefined][] = [
      [
        "/lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.34' not found (required by /a/libbun_metal.so)",
        /C library of this Linux is too old.*glibc 2\.34 or newer/,
      ],
      ["Error loading shared library ld-linux-x86-64.so.2: No such file (needed by x.so)", /musl.*glibc/],
      ["Error relocating /a/libbun_metal.so: __sched_cpucount: symbol not found", /musl.*glibc/],
      ["libgcc_s.so.1: cannot open shared object file: No such file or directory", /apt install libgcc-s1/],
      ["libobjc.so.4: cannot open shared object file: No such file or directory", /apt install libobjc4/],
      ["libfoo.so: cannot open shared object file: No such file or directory", /"libfoo.so" is not on this/],
      ["/a/libbun_metal.so: file too short", undefined],
    ];
    for (const [message, advice] of says) {
      if (advice === undefined) expect(loadAdvice(message)).toBeUndefined();
      else expect(loadAdvice(message)).toMatch(advice);
    }
  });
});

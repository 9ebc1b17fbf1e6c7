/** Where the native libraries that ship can run, and what to say where they cannot. */
import { existsSync } from "node:fs";
import { denoNamespace } from "./deno_namespace.ts";

/** The C library of a Linux: glibc with its version, or musl; undefined where that cannot be told. */
export type LinuxLibc = { readonly glibc: string } | "musl" | undefined;

/** What decides whether a library that ships can run; platform and architecture as Node.js names them. */
export interface PlatformFacts {
  readonly platform: string;
  readonly architecture: string;
  readonly libc?: LinuxLibc;
}

/** The oldest glibc that the libraries that ship can use; make/dist.mk holds them to it. */
const oldestGlibc: readonly [major: number, minor: number] = [2, 34];

const supported =
  "bun-metal runs on macOS 13 or newer (arm64, x64) and on Linux with glibc 2.34 or newer (arm64, x64): " +
  "Debian 12, Ubuntu 22.04, Fedora 35, Red Hat 9 and later";

const glibcImage = 'in a container, use an image with glibc, such as "oven/bun:debian"';

/** Paths of the libraries that ship, below the package's directory, by platform and architecture. */
const shipped: Readonly<Record<string, string>> = {
  "darwin-arm64": "dist/darwin/bun-metal.dylib",
  "darwin-x64": "dist/darwin/bun-metal.dylib",
  "linux-arm64": "dist/linux-arm64/libbun_metal.so",
  "linux-x64": "dist/linux-x64/libbun_metal.so",
};

/** Where the library that ships for a platform is, below the package's directory; undefined where there is none. */
export function shippedLibrary({ platform, architecture }: PlatformFacts): string | undefined {
  return shipped[`${platform}-${architecture}`];
}

/** Why no library that ships can run here, as a sentence; undefined where one can, as far as that can be told. */
export function unsupportedReason(facts: PlatformFacts): string | undefined {
  const { platform, architecture, libc } = facts;
  if (shippedLibrary(facts) === undefined) {
    return (
      `bun-metal has no native library for platform "${platform}", architecture "${architecture}". ${supported}. ` +
      `To use a library of your own, set BUN_METAL_LIBRARY to its path`
    );
  }
  if (platform !== "linux" || libc === undefined) return undefined;
  if (libc === "musl") {
    return `the C library of this Linux is musl, as on Alpine, and the native library needs glibc. ${supported}; ${glibcImage}`;
  }
  const [major = 0, minor = 0] = libc.glibc.split(".").map(Number);
  if (major > oldestGlibc[0] || (major === oldestGlibc[0] && minor >= oldestGlibc[1])) return undefined;
  return `the C library of this Linux is glibc ${libc.glibc}, and the native library needs ${oldestGlibc.join(".")}. ${supported}`;
}

/** What to do about a library that the system refused to load, by the system's message; undefined where that says it. */
export function loadAdvice(message: string): string | undefined {
  // The sentences of musl's loader; glibc's are others.
  if (/Error (?:loading shared library|relocating) /.test(message)) {
    return `this looks like a Linux with musl, as Alpine is, and the native library needs glibc. ${supported}; ${glibcImage}`;
  }
  if (/version [`'"]GLIBC_[\d.]+['"] not found/.test(message)) {
    return `the C library of this Linux is too old. ${supported}`;
  }
  const [, missing] = /(lib[^\s:/]+\.so[.\d]*): cannot open shared object file/.exec(message) ?? [];
  if (missing === undefined) return undefined;
  const debian = { "libgcc_s.so.1": "libgcc-s1", "libobjc.so.4": "libobjc4" }[missing];
  return `"${missing}" is not on this system${debian === undefined ? "" : ` (Debian and Ubuntu: apt install ${debian})`}`;
}

type SystemReport = { readonly header?: { readonly glibcVersionRuntime?: string } };

/** Finds out which C library this system has. Deno is not asked: its programs for Linux are made for glibc alone. */
export function linuxLibc(): LinuxLibc {
  if (process.platform !== "linux" || denoNamespace() !== undefined) return undefined;
  const report = process.report?.getReport() as SystemReport | undefined;
  const glibc = report?.header?.glibcVersionRuntime;
  if (glibc !== undefined) return { glibc };
  const machine = process.arch === "arm64" ? "aarch64" : "x86_64";
  return existsSync(`/lib/ld-musl-${machine}.so.1`) ? "musl" : undefined;
}

// Builds for the tests of the Apple artifacts.
import { chmodSync, cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join, normalize } from "node:path";

export const ROOT: string = normalize(join(import.meta.dir, "../.."));

/** What the Apple artifacts are made of. */
const SOURCES = ["Makefile", "make", "apple", "bridge", "scripts", "shaders"];

export type MakeResult = { readonly status: number; readonly output: string };

/** Runs make in a directory, apart from a make that this test may run under. `path` comes first on PATH. */
export function runMake(directory: string, args: readonly string[], path?: string): MakeResult {
  const { MAKEFLAGS: _flags, MAKELEVEL: _level, ...environment } = process.env;
  const run = Bun.spawnSync(["make", "--no-print-directory", ...args], {
    cwd: directory,
    env: path === undefined ? environment : { ...environment, PATH: `${path}:${environment.PATH}` },
    stderr: "pipe",
  });
  return { status: run.exitCode, output: run.stdout.toString() + run.stderr.toString() };
}

/** Runs make, and throws with its output where it failed. */
export function make(directory: string, args: readonly string[], path?: string): string {
  const { status, output } = runMake(directory, args, path);
  if (status !== 0) throw new Error(`make ${args.join(" ")} failed:\n${output}`);
  return output;
}

/** Copies the sources of the artifacts to a directory, without anything that was built. */
export function copySources(directory: string): void {
  mkdirSync(directory, { recursive: true });
  for (const name of SOURCES) cpSync(join(ROOT, name), join(directory, name), { recursive: true });
}

/**
 * Makes a directory for PATH with an `xcrun` and a `codesign` that stand in for Xcode: they show that the Makefile's way
 * on a Mac leads to the end, though not that Apple's tools take it. Its compiler is clang with the headers and stubs
 * of this tree, its Metal compiler writes its arguments, and all calls are logged to `xcrun.log`.
 */
export function makeStandInForXcode(directory: string): void {
  mkdirSync(directory, { recursive: true });
  const write = (name: string, text: string): void => {
    writeFileSync(join(directory, name), `#!/bin/sh\n${text}`);
    chmodSync(join(directory, name), 0o755);
  };
  write("codesign", 'echo "codesign $*" >>xcrun.log\n');
  write(
    "xcrun",
    `echo "xcrun $*" >>xcrun.log
tool() { for t in $1-19 $1; do command -v $t && return; done; }
[ "$1" != -f ] || { echo /stand-in/$2; exit; }
[ "$1" != -sdk ] || shift 2
name=$1
shift
case $name in
  clang) exec $(tool clang) -fuse-ld=lld -Wno-unused-command-line-argument -nostdlibinc -isystem apple/include \\
    -Ibridge/linux -isysroot build/apple/macos/sdk "$@" ;;
  lipo) exec $(tool llvm-lipo) "$@" ;;
  metal | metallib)
    for last; do :; done
    echo "MTLB $*" >"$last" ;;
  *) exit 1 ;;
esac
`,
  );
}

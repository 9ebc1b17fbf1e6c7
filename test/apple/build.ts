// Builds for the tests of the Apple artifacts.
import { chmodSync, cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join, normalize } from "node:path";

export const ROOT: string = normalize(join(import.meta.dir, "../.."));

/** What the Apple artifacts are made of. */
const SOURCES = ["Makefile", "make", "apple", "bridge", "scripts", "shaders"];

/** Apple's compiler and SDK judge on a Mac; elsewhere clang does, with our headers and stubs. */
export const isCrossBuilt: boolean = process.platform !== "darwin";

/** A kind of system that the static libraries are for. */
export type Platform = {
  /** As the Makefile calls it. */
  readonly name: string;
  /** Of the .xcframework. */
  readonly folder: string;
  readonly architectures: readonly string[];
  /** The oldest system. */
  readonly minimum: string;
  /** What Xcode calls the SDK. */
  readonly sdk: string;
};

/** All platforms, in the order of Info.plist. */
export const PLATFORMS: readonly Platform[] = [
  {
    name: "macos",
    folder: "macos-arm64_x86_64",
    architectures: ["arm64", "x86_64"],
    minimum: "13.0",
    sdk: "macosx",
  },
  { name: "ios", folder: "ios-arm64", architectures: ["arm64"], minimum: "15.0", sdk: "iphoneos" },
  {
    name: "ios-simulator",
    folder: "ios-arm64_x86_64-simulator",
    architectures: ["arm64", "x86_64"],
    minimum: "15.0",
    sdk: "iphonesimulator",
  },
  { name: "tvos", folder: "tvos-arm64", architectures: ["arm64"], minimum: "15.0", sdk: "appletvos" },
  {
    name: "tvos-simulator",
    folder: "tvos-arm64_x86_64-simulator",
    architectures: ["arm64", "x86_64"],
    minimum: "15.0",
    sdk: "appletvsimulator",
  },
];

/** Whether the .xcframework can be built here: on a Mac only with Xcode, whose command line tools alone lack SDKs. */
export function hasAllSdks(): boolean {
  if (isCrossBuilt) return true;
  const has = (sdk: string) => Bun.spawnSync(["xcrun", "-sdk", sdk, "--show-sdk-path"]).exitCode === 0;
  return has("iphoneos") && has("appletvos");
}

/** Runs the compiler for an architecture of a platform, in the project's directory; throws where it complains. */
export function compile(platform: Platform, architecture: string, args: readonly string[]): void {
  const [system, variant] = platform.name.split("-");
  const target = `${architecture}-apple-${system}${platform.minimum}${variant === undefined ? "" : `-${variant}`}`;
  const command = isCrossBuilt
    ? [Bun.which("clang-19") ?? "clang", "-fuse-ld=lld", "-isysroot", `build/apple/${platform.name}/sdk`]
        .concat("-Wl,-fixup_chains", "-Wno-unused-command-line-argument", "-nostdlibinc")
        .concat("-isystem", "apple/include", "-Ibridge/linux")
    : ["xcrun", "-sdk", platform.sdk, "clang"];
  const run = Bun.spawnSync([...command, "-target", target, ...args], { cwd: ROOT, stderr: "pipe" });
  if (run.exitCode !== 0) throw new Error(`${target} was refused:\n${run.stderr}`);
}

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
[ "$3" != --show-sdk-path ] || { echo /stand-in/$2.sdk; exit; }
[ "$1" != -sdk ] || shift 2
name=$1
shift
case $name in
  clang) exec $(tool clang) -fuse-ld=lld -Wno-unused-command-line-argument -nostdlibinc -isystem apple/include \\
    -Ibridge/linux -isysroot build/apple/macos/sdk "$@" ;;
  lipo) exec $(tool llvm-lipo) "$@" ;;
  libtool) exec $(tool llvm-libtool-darwin) "$@" ;;
  metal | metallib)
    for last; do :; done
    echo "MTLB $*" >"$last" ;;
  *) exit 1 ;;
esac
`,
  );
}

/** Finds the native library. The only place that knows platforms and file names. */
import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { environmentVariable } from "./environment.ts";
import { type LinuxLibc, linuxLibc, shippedLibrary, unsupportedReason } from "./platform.ts";
import { BridgeError } from "./status.ts";

/** What the search depends on; the process itself unless a test says otherwise. */
export interface LocateOptions {
  readonly platform?: string;
  readonly architecture?: string;
  /** Asked where a library that ships is about to be used. */
  readonly libc?: () => LinuxLibc;
  /** Value of BUN_METAL_LIBRARY: the library's path, instead of any search. */
  readonly override?: string | undefined;
  /** The directory of the package; undefined where it was not loaded from files. */
  readonly root?: string | undefined;
}

/** `uname -m` of an architecture, which the Makefile names its directory by; Apple calls arm64 by that name. */
function machineName(platform: string, architecture: string): string {
  if (architecture === "x64") return "x86_64";
  return architecture === "arm64" && platform !== "darwin" ? "aarch64" : architecture;
}

/** The directory of package.json above this module, which runs from src/ and, compiled to JavaScript, from dist/js. */
function packageRoot(): string | undefined {
  let directory: string | undefined = import.meta.dirname;
  while (directory !== undefined && !existsSync(join(directory, "package.json"))) {
    const parent: string = dirname(directory);
    directory = parent === directory ? undefined : parent;
  }
  return directory;
}

/**
 * Returns the path of the native library: what BUN_METAL_LIBRARY names, else what was built in this clone, else the
 * library that ships for this platform.
 *
 * @throws {BridgeError} `unsupported` where none ships for this platform or can run on it, `not-found` where it is not
 * there, with the places looked at.
 */
export function locateLibrary(options: LocateOptions = {}): string {
  const platform = options.platform ?? process.platform;
  const architecture = options.architecture ?? process.arch;
  const override = "override" in options ? options.override : environmentVariable("BUN_METAL_LIBRARY");
  if (override !== undefined && override !== "") {
    if (existsSync(override)) return resolve(override);
    throw new BridgeError(
      "not-found",
      `Cannot find the native library that BUN_METAL_LIBRARY names: "${override}" does not exist`,
    );
  }
  const root = "root" in options ? options.root : packageRoot();
  if (root === undefined) {
    throw new BridgeError(
      "not-found",
      `Cannot find the native library: the package was loaded from "${import.meta.url}", not from files. ` +
        `Install it with bun add or npm install, or set BUN_METAL_LIBRARY to the library's path`,
    );
  }
  const file = platform === "darwin" ? "libbun_metal.dylib" : "libbun_metal.so";
  const built = join(root, "build", `${platform}-${machineName(platform, architecture)}`, file);
  if (existsSync(built)) return built;
  const facts = { platform, architecture, libc: (options.libc ?? linuxLibc)() };
  const reason = unsupportedReason(facts);
  if (reason !== undefined) throw new BridgeError("unsupported", `Cannot use the native library: ${reason}`);
  const shipped = join(root, shippedLibrary(facts) ?? "");
  if (existsSync(shipped)) return shipped;
  throw new BridgeError(
    "not-found",
    `Cannot find the native library for platform "${platform}", architecture "${architecture}"; looked at ` +
      `"${built}", "${shipped}". In a clone run "make build", else install the package again, or set BUN_METAL_LIBRARY`,
  );
}

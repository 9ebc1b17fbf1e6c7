/** Finds the native library. The only place that knows platforms and file names. */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { environmentVariable } from "./environment.ts";
import { BridgeError } from "./status.ts";

/** What the search depends on; the process itself unless a test says otherwise. */
export interface LocateOptions {
  readonly platform?: string;
  readonly architecture?: string;
  /** Value of BUN_METAL_LIBRARY: the library's path, instead of any search. */
  readonly override?: string | undefined;
  /** Directories under which `build/` is looked for. */
  readonly roots?: readonly string[];
}

/** `uname -m` of an architecture, which the Makefile names its directory by; Apple calls arm64 by that name. */
function machineName(platform: string, architecture: string): string {
  if (architecture === "x64") return "x86_64";
  return architecture === "arm64" && platform !== "darwin" ? "aarch64" : architecture;
}

function packageRoot(): string {
  return join(import.meta.dirname, "../..");
}

/**
 * Returns the path of the native library.
 *
 * @throws {BridgeError} `not-found`, with the platform, the architecture and the places looked at.
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
  const directory = `${platform}-${machineName(platform, architecture)}`;
  const file = platform === "darwin" ? "libbun_metal.dylib" : "libbun_metal.so";
  const roots = options.roots ?? [packageRoot()];
  const places = roots.map((root) => join(root, "build", directory, file));
  const found = places.find((place) => existsSync(place));
  if (found !== undefined) return found;
  throw new BridgeError(
    "not-found",
    `Cannot find the native library for platform "${platform}", architecture "${architecture}"; looked at ` +
      `${places.map((place) => `"${place}"`).join(", ")}. Run "make build", or set BUN_METAL_LIBRARY`,
  );
}

/**
 * The addon of node-llama-cpp's package for this platform: llama.cpp, prebuilt for the CPU. It is called directly, so that
 * nothing is built, downloaded or chosen at run time. The package's version is fixed.
 */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

/** What every user of the addon needs; what else it has, they declare. */
export interface Addon {
  setLogger(log: (level: number, message: string) => void): void;
  setLoggerLogLevel(level: number): void;
  loadBackends(directory?: string): void;
  init(): Promise<void>;
}

const packages: Readonly<Record<string, string>> = {
  "linux-x64": "linux-x64",
  "linux-arm64": "linux-arm64",
  "darwin-arm64": "mac-arm64-metal",
  "darwin-x64": "mac-x64",
};

/** Errors and nothing less. */
const LOG_ERRORS = 2;

/**
 * Where the package has its binaries.
 *
 * @throws {Error} If there is no package for this platform, or it is not installed: without llama.cpp nothing is compared.
 */
export function binaries(): string {
  const platform = `${process.platform}-${process.arch}`;
  const name = packages[platform];
  if (name === undefined) {
    const known = Object.keys(packages).join(", ");
    throw new Error(
      `Cannot compare with llama.cpp: there is no package of it for ${platform}, only for ${known}`,
    );
  }
  const directory = join(import.meta.dirname, "node_modules/@node-llama-cpp", name);
  if (!existsSync(directory)) {
    throw new Error(
      `Cannot compare with llama.cpp: "@node-llama-cpp/${name}" is not installed; make parity and make parity-quick install it, where npm has it for this platform`,
    );
  }
  return join(directory, "bins", name);
}

let opened: Promise<Addon> | undefined;

/** Opens the addon, once. `T` is what the caller uses of it. */
export async function openAddon<T extends Addon>(): Promise<T> {
  opened ??= open();
  return (await opened) as T;
}

async function open(): Promise<Addon> {
  const bins = binaries();
  const addon = createRequire(import.meta.url)(join(bins, "llama-addon.node")) as Addon;
  addon.setLogger((level, message) => {
    if (level <= LOG_ERRORS) console.error(`llama.cpp: ${message.trimEnd()}`);
  });
  addon.setLoggerLogLevel(LOG_ERRORS);
  addon.loadBackends();
  addon.loadBackends(bins);
  await addon.init();
  return addon;
}

/** What `make package` made, and the tools that look into it. */
import { readdirSync, readFileSync } from "node:fs";
import { join, normalize } from "node:path";

/** The clone. */
export const root: string = normalize(join(import.meta.dirname, "../.."));

/** What ships. */
export const dist: string = join(root, "dist");

/** A library that ships for Linux. */
export interface LinuxLibrary {
  readonly directory: "linux-x64" | "linux-arm64";
  /** e_machine of ELF, as llvm-readelf calls it. */
  readonly machine: string;
  /** Levels for which compiled shaders lie beside it, by file name. */
  readonly shaders: Readonly<Record<string, string>>;
}

/** The libraries for Linux; what make/dist.mk says, said again. */
export const linuxLibraries: readonly LinuxLibrary[] = [
  {
    directory: "linux-x64",
    machine: "Advanced Micro Devices X86-64",
    shaders: {
      "shaders-x86-64-v2.metallib": "x86-64-v2",
      "shaders-x86-64-v3.metallib": "x86-64-v3",
      "shaders-x86-64-v4.metallib": "x86-64-v4",
    },
  },
  {
    directory: "linux-arm64",
    machine: "AArch64",
    shaders: { "shaders-aarch64.metallib": "armv8-a" },
  },
];

/** package.json, as far as tests ask for it. */
export interface PackageJson {
  readonly version: string;
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
  readonly bin?: Readonly<Record<string, string>>;
}

/** Reads the package.json of a directory. */
export function readPackageJson(directory: string = root): PackageJson {
  return JSON.parse(readFileSync(join(directory, "package.json"), "utf8"));
}

/** The tarball of the npm package. */
export function tarball(): string {
  return join(dist, `bun-metal-${readPackageJson().version}.tgz`);
}

/** All files below a directory, by path relative to it, sorted. */
export function filesBelow(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1))
    .sort();
}

/** How a program ended, and what it wrote. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end. `environment` is all of its environment. */
export async function execute(
  command: readonly string[],
  options: {
    readonly cwd?: string;
    readonly environment?: Readonly<Record<string, string | undefined>>;
  } = {},
): Promise<Outcome> {
  const child = Bun.spawn([...command], {
    cwd: options.cwd ?? root,
    env: options.environment ?? process.env,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return { code: await child.exited, stdout, stderr };
}

/** Runs a program that has to succeed, and returns what it wrote to standard output. */
export async function outputOf(...invocation: Parameters<typeof execute>): Promise<string> {
  const { code, stdout, stderr } = await execute(...invocation);
  if (code !== 0) throw new Error(`${invocation[0].join(" ")} ended with ${code}: ${stdout}${stderr}`);
  return stdout;
}

/** The path of a program that was brought by `scripts/deps.sh test-dist`. */
export function tool(...names: readonly string[]): string {
  const brought = names.map((name) => (name.includes("/") ? join(root, ".tools", name) : Bun.which(name)));
  for (const path of brought)
    if (path !== null && (!path.startsWith(root) || Bun.file(path).size > 0)) return path;
  throw new Error(`None of these programs is here: ${names.join(", ")}. Run "make test-dist"`);
}

/** What llvm-readelf says about a file. */
export function readelf(path: string, ...options: string[]): Promise<string> {
  return outputOf([tool("llvm-readelf-19", "llvm-readelf"), ...options, path]);
}

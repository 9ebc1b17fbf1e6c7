/** Runs `mslc` and its neighbours the way a person would. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, normalize } from "node:path";

const root: string = normalize(join(import.meta.dirname, "../.."));
const machine: string = { x64: "x86_64", arm64: "aarch64" }[process.arch as string] ?? process.arch;

/** Where the build puts its products. */
export const built: string = join(root, `build/${process.platform}-${machine}`);

/** The shaders of these tests. */
export const shaders: string = join(import.meta.dirname, "msl");

export interface Outcome {
  readonly status: number;
  readonly output: string;
  readonly errors: string;
}

export interface RunOptions {
  readonly directory?: string;
  readonly environment?: Readonly<Record<string, string>>;
}

/** Runs a product of the build, `mslc` or `native/cpu_run`, to its end. */
export async function runTool(
  tool: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Outcome> {
  const child = Bun.spawn([join(built, tool), ...args], {
    cwd: options.directory,
    env: { ...process.env, ...options.environment },
    stdout: "pipe",
    stderr: "pipe",
  });
  const [output, errors] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return { status: await child.exited, output, errors };
}

/** A directory of its own that goes away with the object. */
export class ScratchDirectory implements Disposable {
  readonly path: string = mkdtempSync(join(tmpdir(), "bun-metal-test-"));

  file(name: string): string {
    return join(this.path, name);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** Runs tasks at most `width` at a time; results in the order of the tasks. */
export async function inParallel<T, R>(
  tasks: readonly T[],
  width: number,
  run: (task: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results = new Array<R>(tasks.length);
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < tasks.length; index = next++) {
      results[index] = await run(tasks[index] as T, index);
    }
  };
  await Promise.all(Array.from({ length: width }, worker));
  return results;
}

/** FNV-1a over words of eight bytes: the checksum of a library (bridge/linux/msl/image.c). */
function imageHash(bytes: DataView): bigint {
  const mask = (1n << 64n) - 1n;
  let hash = 14695981039346656037n ^ BigInt(bytes.byteLength);
  for (let i = 0; i < bytes.byteLength; i += 8) {
    let word = 0n;
    for (let k = Math.min(7, bytes.byteLength - i - 1); k >= 0; k--)
      word = (word << 8n) | BigInt(bytes.getUint8(i + k));
    hash = ((hash ^ word) * 1099511628211n) & mask;
    hash ^= hash >> 29n;
  }
  return hash;
}

/**
 * A library of one slice with something changed, and signed again. Behind the slice stand its place (name[24], length, hash,
 * version, 4 bytes) and the end (count, 4 bytes, hash of the places, magic[16]).
 */
export function changedImage(image: Uint8Array, change: (image: DataView) => void): Uint8Array {
  const bytes = image.slice();
  const view = new DataView(bytes.buffer);
  const place = bytes.length - 80;
  const length = Number(view.getBigUint64(place + 24, true));
  change(view);
  view.setBigUint64(place + 32, imageHash(new DataView(bytes.buffer, 0, length)), true);
  view.setBigUint64(place + 56, imageHash(new DataView(bytes.buffer, place, 48)), true);
  return bytes;
}

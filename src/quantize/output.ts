/** The file that is written: beside its final name until it is whole. */
import { existsSync, realpathSync } from "node:fs";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { QuantizeError, reasonOf } from "./errors.ts";

/** Dispose it (`await using`): what was not finished is gone then. */
export class OutputFile implements AsyncDisposable {
  readonly #path: string;
  readonly #temporary: string;
  readonly #handle: FileHandle;
  #isOpen = true;
  #isFinished = false;

  private constructor(path: string, temporary: string, handle: FileHandle) {
    this.#path = path;
    this.#temporary = temporary;
    this.#handle = handle;
  }

  /**
   * Begins a file.
   *
   * @param inputs Files that it must not replace.
   * @param overwrite Whether it may replace another.
   * @throws {QuantizeError} `exists` if it may not; `output` if it cannot be made.
   */
  static async create(path: string, inputs: readonly string[], overwrite: boolean): Promise<OutputFile> {
    checkTarget(path, inputs, overwrite);
    const temporary = `${path}.${crypto.randomUUID()}.part`;
    const handle = await attempt(path, () => open(temporary, "wx"));
    return new OutputFile(path, temporary, handle);
  }

  /** Writes all of `bytes` at `position`. @throws {QuantizeError} `output` if there is no room */
  async write(bytes: Uint8Array, position: number): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      const { bytesWritten } = await attempt(this.#path, () =>
        this.#handle.write(bytes, at, bytes.length - at, position + at),
      );
      at += bytesWritten;
    }
  }

  /** Gives the file its length and its name. @throws {QuantizeError} `output` if that fails */
  async finish(byteLength: number): Promise<void> {
    await attempt(this.#path, async () => {
      await this.#handle.truncate(byteLength); // what was never written is zeros
      await this.#handle.sync();
      this.#isOpen = false;
      await this.#handle.close();
      await rename(this.#temporary, this.#path);
    });
    this.#isFinished = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isOpen) await this.#handle.close();
    this.#isOpen = false;
    if (!this.#isFinished) await rm(this.#temporary, { force: true });
  }
}

function checkTarget(path: string, inputs: readonly string[], overwrite: boolean): void {
  if (!existsSync(path)) return;
  const target = realpathSync(path);
  if (inputs.some((input) => realpathSync(input) === target)) {
    throw new QuantizeError("exists", `Cannot write "${path}": it is the model itself`);
  }
  if (!overwrite) {
    throw new QuantizeError("exists", `Cannot write "${path}": it exists already, and may not be replaced`);
  }
}

async function attempt<T>(path: string, operation: () => Promise<T>): Promise<T> {
  try {
    return await operation();
  } catch (error) {
    throw new QuantizeError("output", `Cannot write "${path}": ${reasonOf(error)}`, { cause: error });
  }
}

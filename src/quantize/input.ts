/** The files that are read. */
import { type FileHandle, open } from "node:fs/promises";
import type { GgufPart } from "../gguf/index.ts";
import { QuantizeError } from "./errors.ts";

/** All files of a model. Dispose it (`await using`) to close them. */
export class InputFiles implements AsyncDisposable {
  readonly #parts: readonly GgufPart[];
  readonly #handles: readonly FileHandle[];

  private constructor(parts: readonly GgufPart[], handles: readonly FileHandle[]) {
    this.#parts = parts;
    this.#handles = handles;
  }

  /** Opens the files of a model whose headers were read. @throws {QuantizeError} `input` if one cannot be opened */
  static async open(parts: readonly GgufPart[]): Promise<InputFiles> {
    const handles: FileHandle[] = [];
    const files = new InputFiles(parts, handles);
    try {
      for (const { path } of parts) handles.push(await attempt(path, () => open(path, "r")));
      return files;
    } catch (error) {
      await files[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Fills `into` with bytes of a part. @throws {QuantizeError} `input` if they cannot be read */
  async read(part: number, into: Uint8Array, position: number): Promise<void> {
    const { path, byteLength } = this.#parts[part];
    for (let at = 0; at < into.length; ) {
      const { bytesRead } = await attempt(path, () =>
        this.#handles[part].read(into, at, into.length - at, position + at),
      );
      if (bytesRead === 0) {
        const change = `it had ${byteLength} bytes when its header was read and ends at ${position + at} now`;
        throw new QuantizeError(
          "input",
          `Cannot read "${path}": ${change}; try again when nothing writes to it`,
        );
      }
      at += bytesRead;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const handle of this.#handles) await handle.close();
  }
}

async function attempt<T>(path: string, operation: () => Promise<T>): Promise<T> {
  try {
    return await operation();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new QuantizeError("input", `Cannot read "${path}": ${reason}`, { cause: error });
  }
}

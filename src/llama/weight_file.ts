/** The files of a model while its weights are loaded: read in pieces, and expected not to change. */
import { type FileHandle, open } from "node:fs/promises";
import { GgufError, type GgufPart } from "../gguf/index.ts";

/** All files of a model, in their order. Dispose it (`await using`) to close them. */
export class WeightFiles implements AsyncDisposable {
  readonly #files: readonly WeightFile[];

  private constructor(files: readonly WeightFile[]) {
    this.#files = files;
  }

  /** Opens the files again after their headers were read. Throws as `WeightFile.open`. */
  static async open(parts: readonly GgufPart[]): Promise<WeightFiles> {
    await using opened = new AsyncDisposableStack();
    const files: WeightFile[] = [];
    for (const { path, byteLength } of parts) files.push(opened.use(await WeightFile.open(path, byteLength)));
    opened.move(); // they are the new object's from here on
    return new WeightFiles(files);
  }

  /** The file of a part. */
  part(index: number): WeightFile {
    return this.#files[index];
  }

  /** @throws {GgufError} If one has another size than when its header was read. */
  async checkUnchanged(): Promise<void> {
    for (const file of this.#files) await file.checkUnchanged();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const file of this.#files) await file[Symbol.asyncDispose]();
  }
}

/** Dispose it (`await using`) to close the file. */
export class WeightFile implements AsyncDisposable {
  readonly path: string;
  /** Bytes that it had when its header was read. */
  readonly byteLength: number;
  readonly #handle: FileHandle;

  private constructor(path: string, byteLength: number, handle: FileHandle) {
    this.path = path;
    this.byteLength = byteLength;
    this.#handle = handle;
  }

  /**
   * Opens the file again after its header was read.
   *
   * @throws {GgufError} If it has another size now.
   * @throws {Error} If it cannot be opened; `cause` holds the system's error.
   */
  static async open(path: string, byteLength: number): Promise<WeightFile> {
    const file = new WeightFile(path, byteLength, await attempt(path, () => open(path, "r")));
    try {
      await file.checkUnchanged();
      return file;
    } catch (error) {
      await file[Symbol.asyncDispose]();
      throw error;
    }
  }

  /**
   * Fills `into` with the bytes at `position`.
   *
   * @throws {GgufError} If the file ends before.
   */
  async read(into: Uint8Array, position: number): Promise<void> {
    for (let done = 0; done < into.length; ) {
      const rest = into.length - done;
      const { bytesRead } = await attempt(this.path, () =>
        this.#handle.read(into, done, rest, position + done),
      );
      if (bytesRead === 0) throw this.#changed(position + done);
      done += bytesRead;
    }
  }

  /** @throws {GgufError} If the file has another size than when its header was read. */
  async checkUnchanged(): Promise<void> {
    const { size } = await attempt(this.path, () => this.#handle.stat());
    if (size !== this.byteLength) throw this.#changed(size);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
  }

  #changed(size: number): GgufError {
    return new GgufError(
      `Cannot load the weights of "${this.path}": the file had ${this.byteLength} bytes when its header was read and has ${size} now; load it again when nothing writes to it`,
      { offset: Math.min(size, this.byteLength), field: "tensor data" },
    );
  }
}

async function attempt<T>(path: string, operation: () => Promise<T>): Promise<T> {
  try {
    return await operation();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`Cannot read the weights of "${path}": ${reason}`, { cause: error });
  }
}

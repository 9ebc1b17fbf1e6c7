import { closeSync, fstatSync, openSync, readSync, statSync } from "node:fs";

/** Bytes that can be read from anywhere. A file may be far larger than memory, so nobody asks for all of it. */
export interface ByteSource {
  /** Total number of bytes. */
  readonly size: number;
  /** Reads up to `into.length` bytes at `position` and returns how many it read; 0 means that there are no more. */
  read(into: Uint8Array, position: number): number;
}

/** Returns a source over bytes in memory. */
export function memorySource(bytes: Uint8Array): ByteSource {
  return {
    size: bytes.length,
    read(into, position) {
      const part = bytes.subarray(position, position + into.length);
      into.set(part);
      return part.length;
    },
  };
}

/** A file open for reading. Dispose it to close the file. */
export interface FileSource extends ByteSource, Disposable {}

/**
 * Opens a file for reading.
 *
 * @throws {Error} If it cannot be opened or is not a regular file; `cause` holds the system's error.
 */
export function openFileSource(path: string): FileSource {
  // Asked before opening: to open a pipe would block until somebody writes to it.
  if (!attempt(path, () => statSync(path)).isFile()) {
    throw new Error(
      `Cannot read model file ${JSON.stringify(path)}: it is a directory or a device, not a file`,
    );
  }
  const descriptor = attempt(path, () => openSync(path, "r"));
  let open = true;
  const close = (): void => {
    if (open) closeSync(descriptor);
    open = false;
  };
  try {
    const size = fstatSync(descriptor).size;
    return {
      size,
      read: (into, position) => attempt(path, () => readSync(descriptor, into, 0, into.length, position)),
      [Symbol.dispose]: close,
    };
  } catch (error) {
    close();
    throw error;
  }
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  ENOTDIR: "a part of its path is not a directory",
  EACCES: "permission denied",
  EMFILE: "this process has too many files open",
};

function attempt<T>(path: string, operation: () => T): T {
  try {
    return operation();
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
    throw new Error(`Cannot read model file ${JSON.stringify(path)}: ${reasons[code] ?? code}`, {
      cause: error,
    });
  }
}

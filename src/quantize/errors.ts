/** What went wrong when a model was quantised: `exists`, `output` and `input` tell of files, the others of the model. */
export type QuantizeErrorCode =
  /** The output is there already, or is the input. */
  | "exists"
  /** The output cannot be written: a full disk, no permission. */
  | "output"
  /** The input cannot be read, or changes meanwhile. */
  | "input"
  /** A tensor has a type that is quantised already. */
  | "type"
  /** A tensor has a value that the type cannot hold: not finite, or too large. */
  | "value";

/** Thrown when a model cannot be quantised. Nothing was written then. */
export class QuantizeError extends Error {
  override readonly name = "QuantizeError";
  readonly code: QuantizeErrorCode;
  /** The tensor at fault, if one is. */
  readonly tensor: string | undefined;

  constructor(
    code: QuantizeErrorCode,
    message: string,
    details: { readonly tensor?: string; readonly cause?: unknown } = {},
  ) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.tensor = details.tensor;
  }
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "its directory does not exist",
  ENOTDIR: "a part of its path is not a directory",
  EISDIR: "it is a directory",
  EACCES: "permission denied",
  EROFS: "the file system cannot be written to",
  ENOSPC: "the disk is full",
  EDQUOT: "the disk quota is used up",
  EFBIG: "the file would be larger than is allowed here",
};

/** Says in words why a file could not be written. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = "code" in error ? String(error.code) : "";
  return reasons[code] ?? error.message;
}

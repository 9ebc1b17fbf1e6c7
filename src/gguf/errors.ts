/** What went wrong in a GGUF file, and where. */
export interface GgufErrorDetails {
  /** Byte offset in the file; undefined if the error concerns the file's content as a whole (a missing key). */
  readonly offset?: number | undefined;
  /** The part of the format, metadata key or tensor that is at fault. */
  readonly field: string;
  /** The error that led to this one. */
  readonly cause?: unknown;
}

/** Thrown when a file is not a well-formed GGUF file, or lacks something that was asked of it. */
export class GgufError extends SyntaxError {
  override readonly name: string = "GgufError";
  /** Byte offset in the file at which reading failed; undefined if there is no such place. */
  readonly offset: number | undefined;
  /** The part of the format, metadata key or tensor that is at fault. */
  readonly field: string;

  constructor(message: string, details: GgufErrorDetails) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.offset = details.offset;
    this.field = details.field;
  }
}

/** Returns a name from a file in quotes, shortened, so that a hostile name cannot flood a message or a terminal. */
export function quoted(name: string): string {
  const short = name.length > 80 ? `${name.slice(0, 77)}...` : name;
  return JSON.stringify(short);
}

/** The one place where a failure of the bridge becomes an error. */
import { type Symbols, statusNames } from "./abi.ts";

/** Why the bridge refused or failed; `bun_metal.h` says what each means. */
export type BridgeErrorCode = Exclude<(typeof statusNames)[number], "ok">;

/** The native side refused or failed. `code` says which kind of failure, the message why. */
export class BridgeError extends Error {
  override readonly name: string = "BridgeError";
  readonly code: BridgeErrorCode;

  constructor(code: BridgeErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** One message of a shader compiler. Lines and columns count from 1. */
export interface Diagnostic {
  readonly file: string;
  readonly line: number;
  /** Undefined where the compiler does not tell. */
  readonly column: number | undefined;
  readonly severity: "error" | "warning" | "note";
  readonly message: string;
}

/** Shader source was refused. `diagnostics` are the compiler's messages, as far as they could be read. */
export class CompileError extends BridgeError {
  override readonly name: string = "CompileError";
  readonly diagnostics: readonly Diagnostic[];

  constructor(message: string) {
    super("compile", message);
    this.diagnostics = parseDiagnostics(message);
  }
}

/** A device has no room for a buffer. The numbers are bytes, as of the failure; NaN for what the device does not tell. */
export class OutOfMemoryError extends BridgeError {
  override readonly name: string = "OutOfMemoryError";
  readonly asked: number;
  /** What is left of the device's own memory. */
  readonly available: number;
  /** All of the device's own memory. */
  readonly total: number;

  constructor(message: string, bytes: { asked: number; available: number; total: number }) {
    super("memory", message);
    this.asked = bytes.asked;
    this.available = bytes.available;
    this.total = bytes.total;
  }
}

/** A native object was used after it had been disposed. */
export class ReleasedError extends ReferenceError {
  override readonly name: string = "ReleasedError";
}

/** Reads lines of the form `file:line:column: severity: message`, which clang and Apple's compiler both write. */
export function parseDiagnostics(text: string): Diagnostic[] {
  return [...text.matchAll(/^(.*?):(\d+):(?:(\d+):)? *(?:fatal )?(error|warning|note): *(.*)$/gm)].map(
    ([, file, line, column, severity, message]) => ({
      file: file.replace(/^.*: /, ""), // our own sentence may stand before the first one
      line: Number(line),
      column: column === undefined ? undefined : Number(column),
      severity: severity as Diagnostic["severity"],
      message,
    }),
  );
}

const decoder: TextDecoder = new TextDecoder();

/** Reads a text through a function that copies at most `capacity` bytes, ends them with NUL and returns the full length. */
export function readText(copy: (out: Uint8Array, capacity: number) => number): string {
  let bytes = new Uint8Array(512);
  let length = copy(bytes, bytes.byteLength);
  if (length >= bytes.byteLength) {
    bytes = new Uint8Array(length + 1);
    length = Math.min(copy(bytes, bytes.byteLength), length);
  }
  return decoder.decode(bytes.subarray(0, length));
}

/** Makes the error for the bridge's last failure on this thread. `attempt` is what could not be done: "Cannot ...". */
export function failure(symbols: Symbols, attempt: string): BridgeError {
  const code = statusNames[symbols.bm_error_code()] ?? "internal";
  const reason = readText((out, capacity) => symbols.bm_error_message(out, capacity));
  const message = reason === "" ? attempt : `${attempt}: ${reason}`;
  if (code === "compile") return new CompileError(message);
  return new BridgeError(code === "ok" ? "internal" : code, message);
}

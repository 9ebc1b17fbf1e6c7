/** What the llama room throws beside TypeError and RangeError. */

/** A model file that is well-formed GGUF but that this library cannot run: something missing, odd or unsupported. */
export class ModelError extends Error {
  override readonly name = "ModelError";
  /** The metadata key or the tensor that is wrong. */
  readonly field: string;

  constructor(field: string, message: string) {
    super(message);
    this.field = field;
  }
}

/** A model, with its cache and activations, does not fit the device. */
export class MemoryError extends RangeError {
  override readonly name = "MemoryError";
  /** Bytes that were needed. */
  readonly needed: number;
  /** Bytes that there can be. */
  readonly available: number;

  constructor(message: string, bytes: { needed: number; available: number }) {
    super(message);
    this.needed = bytes.needed;
    this.available = bytes.available;
  }
}

/** A sequence, or the cache that all sequences share, has no room for the positions asked for. */
export class ContextFullError extends RangeError {
  override readonly name = "ContextFullError";
  /** Positions that the sequence holds already. */
  readonly used: number;
  /** Positions that were to be added. */
  readonly requested: number;
  /** The most that there can be. */
  readonly limit: number;

  constructor(message: string, counts: { used: number; requested: number; limit: number }) {
    super(message);
    this.used = counts.used;
    this.requested = counts.requested;
    this.limit = counts.limit;
  }
}

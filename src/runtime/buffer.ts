/** Memory that kernels read and write. */
import { type Handle, OutOfMemoryError, storageModes } from "../ffi/index.ts";
import { requireBytes, requireNumber, requireSize, requireU32 } from "./check.ts";
import type { DeviceContext } from "./context.ts";
import { deviceMemory } from "./device_numbers.ts";
import { Owned } from "./owned.ts";
import { longestView, NativeViews } from "./views.ts";

/** Where a buffer lives: `shared` is visible to the CPU, `private` is the device's alone. */
export type Storage = (typeof storageModes)[number];

/** How to make a buffer. */
export interface BufferOptions {
  /** Default `"shared"`. Shared buffers start as zeros, private ones as anything. */
  readonly storage?: Storage;
  /** What messages call the buffer. */
  readonly label?: string;
}

/** What a buffer is, besides its handle. */
export interface BufferProperties {
  readonly byteLength: number;
  readonly storage: Storage;
  readonly label?: string | undefined;
  /** Memory of JavaScript's that the buffer lies in, kept for it. */
  readonly memory?: Uint8Array;
}

/** A typed array's class. */
export type ViewType<T extends ArrayBufferView> = {
  readonly name: string;
  readonly BYTES_PER_ELEMENT: number;
  new (memory: ArrayBuffer, byteOffset: number, length: number): T;
};

/**
 * A piece of memory of a device. Make one with `Device.buffer()` and its siblings, or a `BufferPool`.
 *
 * `upload`, `download`, `fill` and `copyFrom` run on the device's own queue, in order with what was submitted there, and
 * return when they are done. `bytes` and `view` are the memory itself: writing to it while the device works on it is a
 * race, as is reading.
 */
export class Buffer extends Owned {
  readonly device: DeviceContext;
  readonly byteLength: number;
  readonly storage: Storage;
  /** @internal Memory of JavaScript's that the buffer lies in; whoever uses the buffer natively keeps it. */
  readonly memory: Uint8Array | undefined;
  #views: NativeViews | undefined;

  /** @internal Use `Device.buffer()`. */
  constructor(device: DeviceContext, handle: Handle, properties: BufferProperties, after?: () => void) {
    const { label, byteLength } = properties;
    super(
      device.bridge,
      handle,
      label === undefined ? `buffer of ${byteLength} bytes` : `buffer "${label}"`,
      after,
    );
    this.device = device;
    this.byteLength = byteLength;
    this.storage = properties.storage;
    this.memory = properties.memory;
  }

  /** @internal Asks the bridge for a buffer. */
  static allocate(device: DeviceContext, byteLength: number, storage: Storage): Handle {
    requireNumber(byteLength, "a buffer's length");
    const mode = storageModes.indexOf(storage);
    if (mode < 0)
      throw new TypeError(`Cannot make a buffer with storage "${storage}": "shared" or "private" is meant`);
    const handle = device.bridge.symbols.bm_buffer_new(device.handle, byteLength, mode);
    if (handle === 0) {
      const error = device.bridge.failure(`Cannot make a buffer of ${byteLength} bytes on ${device.info.id}`);
      if (error.code !== "memory") throw error;
      const memory = deviceMemory(device.bridge, device.handle);
      throw new OutOfMemoryError(error.message, { asked: byteLength, ...memory });
    }
    return handle;
  }

  /**
   * The memory of a shared buffer, live and without a copy. Once the buffer is disposed (also by the garbage collector,
   * so keep the buffer as long as its views) the array is detached: its length is 0. Do not transfer its ArrayBuffer.
   *
   * @param length Bytes; at most 4 GiB, and by default up to the buffer's end.
   * @throws {RangeError} outside of the buffer, or over 4 GiB.
   * @throws {BridgeError} `unsupported` for a private buffer.
   */
  bytes(offset: number = 0, length: number = this.byteLength - offset): Uint8Array<ArrayBuffer> {
    return this.view<Uint8Array<ArrayBuffer>>(Uint8Array, offset, length);
  }

  /**
   * The memory of a shared buffer as a typed array, live and without a copy; see `bytes`.
   *
   * @param byteOffset A multiple of the element's size.
   * @param length Elements; by default as many whole ones as there are.
   */
  view<T extends ArrayBufferView>(type: ViewType<T>, byteOffset: number = 0, length?: number): T {
    const size = type.BYTES_PER_ELEMENT;
    requireSize(byteOffset, "a view's offset");
    const count = requireSize(
      length ?? Math.max(0, Math.floor((this.byteLength - byteOffset) / size)),
      "a view's length",
    );
    const byteLength = count * size;
    if (byteOffset % size !== 0 || byteOffset + byteLength > this.byteLength || byteLength > longestView) {
      throw new RangeError(
        `Cannot view ${count} elements of ${type.name} at byte ${byteOffset} of ${this.label}, which has ` +
          `${this.byteLength} bytes: the offset has to be a multiple of ${size}, and a view has at most 4 GiB`,
      );
    }
    // An empty view at the very end has no byte to begin a window with.
    const { memory, offset } = this.#nativeViews().window(count === 0 ? 0 : byteOffset, byteLength);
    return new type(memory, offset, count);
  }

  /** Copies bytes into the buffer, at `offset`. */
  upload(data: ArrayBufferView, offset: number = 0): void {
    const bytes = requireBytes(data, "data to upload");
    const queue = this.#orderedQueue(offset, bytes.byteLength);
    if (bytes.byteLength === 0) return;
    const { symbols } = this.bridge;
    if (symbols.bm_buffer_upload(queue, this.handle, offset, bytes, bytes.byteLength) !== 0) {
      throw this.bridge.failure(`Cannot upload ${bytes.byteLength} bytes at ${offset} of ${this.label}`);
    }
  }

  /** Copies bytes of the buffer, from `offset`, until `into` is full. */
  download(into: ArrayBufferView, offset: number = 0): void {
    const bytes = requireBytes(into, "the destination of a download");
    const queue = this.#orderedQueue(offset, bytes.byteLength);
    if (bytes.byteLength === 0) return;
    const { symbols } = this.bridge;
    if (symbols.bm_buffer_download(queue, this.handle, offset, bytes, bytes.byteLength) !== 0) {
      throw this.bridge.failure(`Cannot download ${bytes.byteLength} bytes at ${offset} of ${this.label}`);
    }
  }

  /** Sets `length` bytes (by default all from `offset` on) to `value`, 0 to 255. */
  fill(value: number, offset: number = 0, length: number = this.byteLength - offset): void {
    requireU32(value, "a byte to fill with");
    const queue = this.#orderedQueue(offset, length);
    if (length === 0) return;
    if (this.bridge.symbols.bm_buffer_fill(queue, this.handle, offset, length, value) !== 0) {
      throw this.bridge.failure(`Cannot fill ${length} bytes at ${offset} of ${this.label} with ${value}`);
    }
  }

  /** Copies bytes from another buffer of the device, or within this one where the ranges do not overlap. */
  copyFrom(
    source: Buffer,
    sourceOffset: number = 0,
    offset: number = 0,
    length: number = source.byteLength - sourceOffset,
  ): void {
    requireNumber(sourceOffset, "an offset");
    const queue = this.#orderedQueue(offset, length);
    if (length === 0) return;
    const { symbols } = this.bridge;
    if (symbols.bm_buffer_copy(queue, source.handle, sourceOffset, this.handle, offset, length) !== 0) {
      throw this.bridge.failure(
        `Cannot copy ${length} bytes at ${sourceOffset} of ${source.label} to ${offset} of ${this.label}`,
      );
    }
  }

  /** The queue to work on. Metal refuses ranges of 0 bytes, which are fine here, inside of the buffer. */
  #orderedQueue(offset: number, length: number): Handle {
    requireNumber(offset, "an offset");
    requireNumber(length, "a length");
    if (length === 0 && !(this.handle !== 0 && offset >= 0 && offset <= this.byteLength)) {
      throw new RangeError(
        `Cannot use offset ${offset} of ${this.label}, which has ${this.byteLength} bytes`,
      );
    }
    return this.device.queue.orderedHandle();
  }

  #nativeViews(): NativeViews {
    const handle = this.handle;
    if (this.#views !== undefined) return this.#views;
    const pointer = this.bridge.symbols.bm_buffer_contents(handle);
    if (pointer === null) throw this.bridge.failure(`Cannot view ${this.label}`);
    const views = new NativeViews(this.bridge, pointer, this.byteLength);
    this.beforeRelease = () => views.detach();
    this.#views = views;
    return views;
  }
}

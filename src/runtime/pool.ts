/** Reuse of buffers by size class, so that work that needs many for a moment does not allocate each time. */
import { BridgeError, type Handle } from "../ffi/index.ts";
import { Buffer, type Storage } from "./buffer.ts";
import type { DeviceContext } from "./context.ts";
import type { Lifeline } from "./owned.ts";

/** Bytes of the smallest size class. */
const smallestClass = 256;

/**
 * Returns the size class of a length: powers of two and the three quarter steps between them, at least 256 bytes. What
 * is lent is less than a quarter larger than what was asked for.
 */
export function sizeClass(byteLength: number): number {
  if (byteLength <= smallestClass) return smallestClass;
  const step = 2 ** Math.floor(Math.log2(byteLength - 1)) / 4;
  return Math.ceil(byteLength / step) * step;
}

/** How a pool behaves. */
export interface BufferPoolOptions {
  /** Default `"shared"`. */
  readonly storage?: Storage;
  /** Bytes that may lie idle; beyond it a buffer that comes back is freed. Default: a quarter of the working set. */
  readonly maxIdleBytes?: number;
}

/** What a pool holds. Bytes are those of the size classes. */
export interface BufferPoolStatistics {
  /** Buffers that are lent. */
  readonly live: number;
  readonly liveBytes: number;
  /** Buffers that wait to be lent again. */
  readonly idle: number;
  readonly idleBytes: number;
  /** The most bytes that the pool has held, lent and idle. */
  readonly highWaterMark: number;
  /** How many buffers were made, and how many were lent without making one. */
  readonly made: number;
  readonly reused: number;
}

/** The pool's books and idle handles: all that a lent buffer, or the collector, needs to give one back. */
class Shelves {
  readonly #device: DeviceContext;
  readonly #idle = new Map<number, Handle[]>();
  readonly #maxIdleBytes: number;
  readonly statistics = {
    live: 0,
    liveBytes: 0,
    idle: 0,
    idleBytes: 0,
    highWaterMark: 0,
    made: 0,
    reused: 0,
  };
  isClosed = false;

  constructor(device: DeviceContext, maxIdleBytes: number) {
    this.#device = device;
    this.#maxIdleBytes = maxIdleBytes;
  }

  /** An idle handle of the size class, which is lent from now on. */
  take(byteLength: number): Handle | undefined {
    const handle = this.#idle.get(byteLength)?.pop();
    if (handle === undefined) return undefined;
    this.statistics.idle--;
    this.statistics.idleBytes -= byteLength;
    this.statistics.reused++;
    return handle;
  }

  lent(byteLength: number): void {
    const books = this.statistics;
    books.live++;
    books.liveBytes += byteLength;
    books.highWaterMark = Math.max(books.highWaterMark, books.liveBytes + books.idleBytes);
  }

  /** A lent buffer is no longer lent. */
  returned(byteLength: number): void {
    this.statistics.live--;
    this.statistics.liveBytes -= byteLength;
  }

  /** Keeps the handle for later, or frees it where there is enough. */
  put(handle: Handle, byteLength: number): void {
    if (this.isClosed || this.statistics.idleBytes + byteLength > this.#maxIdleBytes) {
      this.#free(handle);
      return;
    }
    const shelf = this.#idle.get(byteLength);
    if (shelf === undefined) this.#idle.set(byteLength, [handle]);
    else shelf.push(handle);
    this.statistics.idle++;
    this.statistics.idleBytes += byteLength;
  }

  /** Frees idle buffers, the largest first, until at most `maxBytes` are idle. */
  trim(maxBytes: number): void {
    const sizes = [...this.#idle.keys()].sort((a, b) => b - a);
    for (const byteLength of sizes) {
      const shelf = this.#idle.get(byteLength) ?? [];
      while (this.statistics.idleBytes > maxBytes) {
        const handle = shelf.pop();
        if (handle === undefined) break;
        this.statistics.idle--;
        this.statistics.idleBytes -= byteLength;
        this.#free(handle);
      }
      if (shelf.length === 0) this.#idle.delete(byteLength);
    }
  }

  #free(handle: Handle): void {
    const { bridge } = this.#device;
    if (bridge.release(handle) !== 0) throw bridge.failure("Cannot release a pooled buffer");
  }
}

/** A buffer on loan: disposing it gives its memory back to the pool. */
class PooledBuffer extends Buffer {
  readonly shelves: Shelves;

  constructor(device: DeviceContext, handle: Handle, byteLength: number, storage: Storage, shelves: Shelves) {
    super(device, handle, { byteLength, storage, label: `pooled, ${byteLength} bytes` }, () =>
      shelves.returned(byteLength),
    );
    this.shelves = shelves;
  }

  protected override release(lifeline: Lifeline): void {
    lifeline.before?.();
    lifeline.after?.();
    this.shelves.put(lifeline.handle, this.byteLength);
  }
}

/** What nobody disposed: the idle buffers of a pool that was collected. */
const forgotten: FinalizationRegistry<Shelves> = new FinalizationRegistry((shelves) => {
  shelves.isClosed = true;
  shelves.trim(0);
});

/**
 * Lends buffers, and takes them back for reuse by size class.
 *
 * What is lent is a `Buffer` of its size class, so `byteLength` may be larger than asked for, with whatever its last user
 * left in it. Give it back with `release`, or dispose it. Each loan is an object of its own: one that was given back
 * throws a `ReleasedError` like any other, even while its memory serves somebody else. Give a buffer back when the work
 * that uses it has completed, or use it on one queue only; else the next user's bytes are written over by the last one's
 * work.
 *
 * Disposing the pool frees what is idle; what is lent stays usable, and is freed when it comes back.
 */
export class BufferPool implements Disposable {
  readonly #device: DeviceContext;
  readonly #storage: Storage;
  readonly #shelves: Shelves;

  constructor(device: DeviceContext, options: BufferPoolOptions = {}) {
    this.#device = device;
    this.#storage = options.storage ?? "shared";
    this.#shelves = new Shelves(device, options.maxIdleBytes ?? device.info.workingSet / 4);
    forgotten.register(this, this.#shelves, this);
  }

  /** Counts and bytes as of now. */
  get statistics(): BufferPoolStatistics {
    return { ...this.#shelves.statistics };
  }

  /**
   * Lends a buffer of at least `byteLength` bytes. Where the device is out of memory, what is idle is freed, and it is
   * tried once more.
   */
  acquire(byteLength: number): Buffer {
    const largest = this.#device.info.maxBufferLength;
    const fits = Number.isSafeInteger(byteLength) && byteLength > 0 && byteLength <= largest;
    // What does not fit goes to the bridge as it is, for its message.
    const size = fits ? Math.min(sizeClass(byteLength), largest) : byteLength;
    const handle = this.#shelves.take(size) ?? this.#make(size);
    this.#shelves.lent(size);
    return new PooledBuffer(this.#device, handle, size, this.#storage, this.#shelves);
  }

  /**
   * Takes a buffer back; the same as disposing it.
   *
   * @throws {TypeError} for a buffer that is not this pool's.
   * @throws {ReleasedError} for one that was given back already.
   */
  release(buffer: Buffer): void {
    if (!(buffer instanceof PooledBuffer) || buffer.shelves !== this.#shelves) {
      throw new TypeError(`Cannot take back ${buffer.label}: this pool did not lend it`);
    }
    if (buffer.handle !== 0) buffer.dispose();
  }

  /** Frees idle buffers, the largest first, until at most `maxBytes` (default 0) are idle. */
  trim(maxBytes: number = 0): void {
    this.#shelves.trim(maxBytes);
  }

  /** Frees what is idle, now and when more comes back. */
  dispose(): void {
    forgotten.unregister(this);
    this.#shelves.isClosed = true;
    this.#shelves.trim(0);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #make(byteLength: number): Handle {
    try {
      return this.#allocate(byteLength);
    } catch (error) {
      const isFull =
        error instanceof BridgeError && error.code === "memory" && this.#shelves.statistics.idle > 0;
      if (!isFull) throw error;
      this.trim();
      return this.#allocate(byteLength);
    }
  }

  #allocate(byteLength: number): Handle {
    const handle = Buffer.allocate(this.#device, byteLength, this.#storage);
    this.#shelves.statistics.made++;
    return handle;
  }
}

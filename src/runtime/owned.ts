/** Ownership of native objects: each has exactly one owner in JavaScript, and is released exactly once. */
import { type Bridge, type Handle, ReleasedError } from "../ffi/index.ts";

/**
 * What is needed to release a native object without its owner: it must hold nothing that refers to the owner, or the
 * owner would never be collected.
 */
export interface Lifeline {
  readonly bridge: Bridge;
  readonly handle: Handle;
  readonly label: string;
  /** Runs just before the handle is released. */
  before?: (() => void) | undefined;
  /** Runs just after the handle was released. */
  after?: (() => void) | undefined;
}

/** Releases what was forgotten. It is the safety net, not the plan: nobody knows when the collector comes by. */
const forgotten: FinalizationRegistry<Lifeline> = new FinalizationRegistry((lifeline) => {
  lifeline.bridge.warnForgotten(lifeline.label);
  releaseHandle(lifeline);
});

function releaseHandle({ bridge, handle, label, before, after }: Lifeline): void {
  before?.();
  if (bridge.release(handle) !== 0) throw bridge.failure(`Cannot release ${label}`);
  after?.();
}

/**
 * Owner of one native object. Use it with `using`, or call `dispose()`. Disposing twice is fine; any other use after it
 * throws a `ReleasedError` that names the object. Other objects that need the native one (a program its buffers, work in
 * flight its program) hold it themselves, so that objects may be disposed in any order. What a Worker still holds when it
 * ends by itself, or by `process.exit`, is released then. In Deno a Worker that calls `close()` disposes first: nothing
 * tells of that.
 */
export abstract class Owned implements Disposable {
  /** What messages call the object: its kind and name. */
  readonly label: string;
  protected readonly bridge: Bridge;
  #lifeline: Lifeline | undefined;

  protected constructor(bridge: Bridge, handle: Handle, label: string, after?: () => void) {
    this.bridge = bridge;
    this.label = label;
    this.#lifeline = { bridge, handle, label, before: undefined, after };
    bridge.adopt(handle);
    forgotten.register(this, this.#lifeline, this);
  }

  /**
   * The bridge's number of this object, for calls of the C ABI.
   *
   * @throws {ReleasedError} once the object is disposed.
   */
  get handle(): Handle {
    if (this.#lifeline === undefined) throw new ReleasedError(`${this.label} was disposed before this use`);
    return this.#lifeline.handle;
  }

  /** Whether the object was disposed. */
  get disposed(): boolean {
    return this.#lifeline === undefined;
  }

  /** Releases the native object. Does nothing when called again. */
  dispose(): void {
    if (this.#lifeline === undefined) return;
    this.releasing();
    const lifeline = this.#surrender();
    if (lifeline !== undefined) this.release(lifeline);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Hook: what has to happen while the object is still whole, such as disposing what it owns. */
  protected releasing(): void {}

  /** Hook: where the handle goes. */
  protected release(lifeline: Lifeline): void {
    releaseHandle(lifeline);
  }

  /** Sets what runs just before the handle is released. It must not refer to this object. */
  protected set beforeRelease(action: () => void) {
    if (this.#lifeline !== undefined) this.#lifeline.before = action;
  }

  #surrender(): Lifeline | undefined {
    const lifeline = this.#lifeline;
    this.#lifeline = undefined;
    forgotten.unregister(this);
    return lifeline;
  }
}

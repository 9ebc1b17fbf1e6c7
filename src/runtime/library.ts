/** Compiled shaders. */
import { type Bridge, type Handle, readText } from "../ffi/index.ts";
import { Owned } from "./owned.ts";
import { Pipeline } from "./pipeline.ts";

/** A set of compiled functions. Make one with `Device.compile()`, `Device.loadLibrary()` or `Device.shaders()`. */
export class Library extends Owned {
  readonly #pipelines = new Map<string, Pipeline>();
  #functionNames: readonly string[] | undefined;

  /** @internal Use `Device.compile()`. */
  constructor(bridge: Bridge, handle: Handle, label: string) {
    super(bridge, handle, label);
  }

  /** Names of the kernels. */
  get functionNames(): readonly string[] {
    const { symbols } = this.bridge;
    const handle = this.handle;
    this.#functionNames ??= readText((out, capacity) => symbols.bm_library_functions(handle, out, capacity))
      .split("\n")
      .filter((name) => name !== "");
    return this.#functionNames;
  }

  /**
   * The pipeline of a function. It is made on the first call and belongs to the library, which disposes it.
   *
   * @throws {BridgeError} `not-found`, for a name that the library does not have.
   */
  pipeline(name: string): Pipeline {
    const known = this.#pipelines.get(name);
    if (known !== undefined && !known.disposed) return known;
    const pipeline = Pipeline.create(this.bridge, this.handle, name);
    this.#pipelines.set(name, pipeline);
    return pipeline;
  }

  protected override releasing(): void {
    for (const pipeline of this.#pipelines.values()) pipeline.dispose();
    this.#pipelines.clear();
  }
}

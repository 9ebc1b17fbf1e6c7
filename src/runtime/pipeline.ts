/** A kernel, ready to be dispatched. */
import { type Bridge, type Handle, pipelineNumbers } from "../ffi/index.ts";
import { cString } from "./check.ts";
import { Owned } from "./owned.ts";

/** One function of a library, made ready for the device. `Library.pipeline()` makes it, and owns it. */
export class Pipeline extends Owned {
  /** The function's name. */
  readonly name: string;
  /** The most threads of one threadgroup that it can be dispatched with. */
  readonly maxTotalThreadsPerThreadgroup: number;
  /** Threads of a SIMD group. */
  readonly threadExecutionWidth: number;
  /** Bytes of threadgroup memory that the function declares itself. */
  readonly staticThreadgroupMemoryLength: number;

  /** @internal Use `Library.pipeline()`. */
  static create(bridge: Bridge, library: Handle, name: string): Pipeline {
    const handle = bridge.symbols.bm_pipeline_new(library, cString(name, "a function's name"));
    if (handle === 0) throw bridge.failure(`Cannot make a pipeline for "${name}"`);
    const numbers = new Float64Array(pipelineNumbers.length);
    if (bridge.symbols.bm_pipeline_numbers(handle, numbers, numbers.length) !== 0) {
      const error = bridge.failure(`Cannot read the properties of pipeline "${name}"`);
      bridge.symbols.bm_release(handle);
      throw error;
    }
    return new Pipeline(bridge, handle, name, numbers);
  }

  private constructor(bridge: Bridge, handle: Handle, name: string, numbers: Float64Array) {
    super(bridge, handle, `pipeline "${name}"`);
    this.name = name;
    this.maxTotalThreadsPerThreadgroup = numbers[pipelineNumbers.indexOf("maxThreads")];
    this.threadExecutionWidth = numbers[pipelineNumbers.indexOf("executionWidth")];
    this.staticThreadgroupMemoryLength = numbers[pipelineNumbers.indexOf("threadgroupMemory")];
  }
}

/**
 * What an operation is to the planner: tensors in, tensors out, constants that it writes, and how it becomes one
 * dispatch. The families in `ops/` are the only implementations.
 */

import type { WordLimit } from "./limits.ts";
import type { Extent } from "./shape.ts";
import type { Tensor, Work } from "./tensor.ts";

/** Threadgroups along one axis: `ceil(extent / itemsPerGroup)`. */
export interface GridAxis {
  readonly extent: Extent;
  readonly itemsPerGroup: number;
}

/** What a kernel argument points to: a tensor's bytes, or one u32 that holds a number of rows. */
export type Binding = Tensor | { readonly rowCount: Extent };

/** One kernel launch, with no Metal in it. */
export interface Dispatch {
  /** Function name in the shader library. */
  readonly kernel: string;
  /** Arguments at buffer index 0, 1, ... */
  readonly bindings: readonly Binding[];
  /** The packed argument struct; it follows the bindings. */
  readonly args: Uint8Array;
  /** Threadgroups along x, y, z. */
  readonly grid: readonly [x: GridAxis, y: GridAxis, z?: GridAxis];
  /** Threads of one threadgroup, along x. */
  readonly threads: number;
}

/** What of the device decides which kernel an operation uses. */
export interface KernelTarget {
  /** True where `simdgroup_matrix` works. */
  readonly simdgroupMatrix: boolean;
  /**
   * True where the threads of a SIMD group run one after the other, as on the CPU device. What lanes exchange there costs
   * more than sharing out the work gains, so kernels that take any number of threads get one per threadgroup.
   */
  readonly serialLanes?: boolean;
}

/** One node of work. Operations run in the order in which they were made. */
export abstract class Operation implements Work {
  abstract readonly name: string;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  readonly writes: readonly Tensor[];

  constructor(inputs: readonly Tensor[], outputs: readonly Tensor[], writes: readonly Tensor[] = []) {
    this.inputs = inputs;
    this.outputs = outputs;
    this.writes = writes;
  }

  /** Inputs whose bytes the first output may take over: the kernel reads an element only in the thread that writes it. */
  get inPlaceInputs(): readonly Tensor[] {
    return [];
  }

  /** What must hold for indices that the caller gives, checked before each run. */
  get limits(): readonly WordLimit[] {
    return [];
  }

  /** What does the operation's work on a device, in order: itself, or several operations with results between them. */
  expand(_target: KernelTarget): readonly Operation[] {
    return [this];
  }

  abstract encode(target: KernelTarget): Dispatch;
}

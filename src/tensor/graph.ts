/**
 * A graph for a device: declares tensors, and compiles what was built with them.
 */

import { Buffer, type Device } from "../runtime/index.ts";
import type { DType } from "./dtype.ts";
import { Nodes } from "./nodes.ts";
import { Plan } from "./plan.ts";
import type { ScheduleOptions } from "./schedule.ts";
import type { Shape } from "./shape.ts";
import type { Memory, Tensor } from "./tensor.ts";

/**
 * A lazy tensor graph. Operations check types and shapes when they are called and compute nothing; `compile` turns all
 * that the outputs and the stores need into one program.
 *
 * ```ts
 * using device = Device.open();
 * const graph = new Graph(device);
 * const x = graph.input("x", "f32", [2, 3]);
 * const weight = graph.input("weight", "f32", [4, 3]);
 * graph.output(softmax(matmul(x, weight)), "y"); // [2, 4]
 * using plan = graph.compile();
 * plan.set("x", [1, 2, 3, 4, 5, 6]).set("weight", new Float32Array(12).fill(0.5)).run();
 * console.log(plan.f32("y"));
 * ```
 */
export class Graph extends Nodes {
  readonly device: Device;

  constructor(device: Device) {
    super();
    this.device = device;
  }

  override constant(buffer: Buffer, dtype: DType, shape: Shape, byteOffset = 0): Tensor {
    if (buffer.device !== this.device) {
      throw new TypeError(`Constant "${buffer.label}" lives on another device than the graph`);
    }
    return super.constant(buffer, dtype, shape, byteOffset);
  }

  /**
   * Plans memory and barriers and encodes the program. The graph may grow and be compiled again; plans are independent.
   *
   * @returns a plan that the caller disposes
   * @throws {RangeError} if there is nothing to compute, or a buffer would be larger than the device allows
   */
  compile(options: ScheduleOptions = {}): Plan {
    return new Plan(this.device, this, bufferOf, options);
  }
}

function bufferOf(memory: Memory): Buffer {
  if (memory instanceof Buffer) return memory;
  throw new TypeError(`A constant of ${memory.byteLength} bytes does not live in a buffer`);
}

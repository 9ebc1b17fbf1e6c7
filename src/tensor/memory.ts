/**
 * A schedule in the terms of a program: where each operand lives, and which words its grid follows.
 */

import { Buffer, type BufferBinding, type GridDimension } from "../runtime/index.ts";
import type { Binding, GridAxis } from "./operation.ts";
import type { Schedule, Step } from "./schedule.ts";
import type { Tensor } from "./tensor.ts";
import type { WordLayout } from "./words.ts";

/** Where each tensor of a schedule lives, in the terms of a program. */
export class PlanMemory {
  readonly #schedule: Schedule;
  readonly #buffers: ReadonlyMap<Tensor, Buffer>;
  readonly #arena: Buffer | undefined;
  readonly #words: WordLayout;

  constructor(
    schedule: Schedule,
    buffers: ReadonlyMap<Tensor, Buffer>,
    arena: Buffer | undefined,
    words: WordLayout,
  ) {
    this.#schedule = schedule;
    this.#buffers = buffers;
    this.#arena = arena;
    this.#words = words;
  }

  /** A step as the program builder takes it, but for its pipeline. */
  dispatch({ dispatch }: Step): {
    readonly buffers: readonly BufferBinding[];
    readonly constants: Readonly<Record<number, Uint8Array>>;
    readonly threadgroups: readonly [GridDimension, GridDimension, GridDimension];
    readonly threadsPerThreadgroup: readonly [number];
  } {
    const { bindings, args, threads } = dispatch;
    const [x, y, z = { extent: 1, itemsPerGroup: 1 }] = dispatch.grid;
    return {
      buffers: bindings.map((binding) => this.#binding(binding)),
      constants: { [bindings.length]: args },
      threadgroups: [this.#axis(x), this.#axis(y), this.#axis(z)],
      threadsPerThreadgroup: [threads],
    };
  }

  #binding(binding: Binding): BufferBinding {
    if ("rowCount" in binding) return { dynamicWords: this.#words.wordOf(binding.rowCount) * 4 };
    const { source } = binding;
    if (source.kind === "words") return { dynamicWords: source.word * 4 };
    if (source.kind === "constant") {
      if (!(source.memory instanceof Buffer))
        throw new TypeError(`Constant ${binding} does not live in a buffer`);
      return { buffer: source.memory, offset: source.byteOffset };
    }
    const own = this.#buffers.get(binding);
    if (own !== undefined) return { buffer: own };
    const offset = this.#schedule.offsets.get(binding);
    if (offset === undefined || this.#arena === undefined)
      throw new TypeError(`Result ${binding} has no memory`);
    return { buffer: this.#arena, offset };
  }

  #axis({ extent, itemsPerGroup }: GridAxis): GridDimension {
    if (typeof extent === "number") return Math.ceil(extent / itemsPerGroup);
    return { word: this.#words.wordOf(extent), itemsPerGroup };
  }
}

/**
 * A schedule in the terms of a program: where each operand lives, and which words its grid follows.
 */

import type { Bindable, BufferBinding, GridDimension } from "../runtime/index.ts";
import type { Binding, GridAxis } from "./operation.ts";
import type { Schedule, Step } from "./schedule.ts";
import type { Memory, Tensor } from "./tensor.ts";
import type { WordLayout } from "./words.ts";

/** The buffers that a plan's tensors lie in: those of a device, or what stands for them in a plan without one. */
export interface PlanBuffers<B extends Bindable> {
  /** The buffer of a constant. @throws {TypeError} if its memory is none */
  constant(memory: Memory): B;
  /** Inputs and outputs, by tensor. */
  readonly own: ReadonlyMap<Tensor, B>;
  /** What other results share. */
  readonly arena: B | undefined;
}

/** A dispatch as a program takes it, but for its pipeline. */
export interface PlacedDispatch<B extends Bindable> {
  readonly buffers: readonly BufferBinding<B>[];
  readonly constants: Readonly<Record<number, Uint8Array>>;
  readonly threadgroups: readonly [GridDimension, GridDimension, GridDimension];
  readonly threadsPerThreadgroup: readonly [number];
}

/** Where each tensor of a schedule lives, in the terms of a program. */
export class PlanMemory<B extends Bindable> {
  readonly #schedule: Schedule;
  readonly #buffers: PlanBuffers<B>;
  readonly #words: WordLayout;

  constructor(schedule: Schedule, buffers: PlanBuffers<B>, words: WordLayout) {
    this.#schedule = schedule;
    this.#buffers = buffers;
    this.#words = words;
  }

  /** A step as the program's writer takes it, but for its pipeline. */
  dispatch({ dispatch }: Step): PlacedDispatch<B> {
    const { bindings, args, threads } = dispatch;
    const [x, y, z = { extent: 1, itemsPerGroup: 1 }] = dispatch.grid;
    return {
      buffers: bindings.map((binding) => this.#binding(binding)),
      constants: { [bindings.length]: args },
      threadgroups: [this.#axis(x), this.#axis(y), this.#axis(z)],
      threadsPerThreadgroup: [threads],
    };
  }

  #binding(binding: Binding): BufferBinding<B> {
    if ("rowCount" in binding) return { dynamicWords: this.#words.wordOf(binding.rowCount) * 4 };
    const { source } = binding;
    if (source.kind === "words") return { dynamicWords: source.word * 4 };
    if (source.kind === "constant") {
      return { buffer: this.#buffers.constant(source.memory), offset: source.byteOffset };
    }
    const own = this.#buffers.own.get(binding);
    if (own !== undefined) return { buffer: own };
    const offset = this.#schedule.offsets.get(binding);
    const { arena } = this.#buffers;
    if (offset === undefined || arena === undefined) throw new TypeError(`Result ${binding} has no memory`);
    return { buffer: arena, offset };
  }

  #axis({ extent, itemsPerGroup }: GridAxis): GridDimension {
    if (typeof extent === "number") return Math.ceil(extent / itemsPerGroup);
    return { word: this.#words.wordOf(extent), itemsPerGroup };
  }
}

/**
 * A graph compiled without a device: the program that a plan would run, in which buffers and kernels are numbers of
 * tables. Whoever has a device puts handles in their places.
 */
import { type Bindable, ProgramWriter, type Runnable } from "../runtime/index.ts";
import { PlanMemory } from "./memory.ts";
import type { Nodes } from "./nodes.ts";
import type { KernelTarget } from "./operation.ts";
import { type ScheduleOptions, schedule } from "./schedule.ts";
import type { Memory, Tensor } from "./tensor.ts";
import { type DerivedWord, WordLayout } from "./words.ts";

/** A buffer by its number in a table: memory for constants, a place for results. */
export class NumberedMemory implements Memory, Bindable {
  /** Its number. */
  readonly handle: number;
  readonly byteLength: number;

  constructor(number: number, byteLength: number) {
    this.handle = number;
    this.byteLength = byteLength;
  }
}

/** Kernels by name, in the order in which programs first used them. */
export class KernelTable {
  readonly #kernels = new Map<string, Runnable & { threads: number }>();

  /** The kernel's entry. `threads`: of one threadgroup of the dispatch that asks. */
  use(name: string, threads: number): Runnable {
    const known = this.#kernels.get(name);
    if (known === undefined) {
      const kernel = { name, handle: this.#kernels.size, threads };
      this.#kernels.set(name, kernel);
      return kernel;
    }
    known.threads = Math.max(known.threads, threads);
    return known;
  }

  /** Names, and the most threads of a threadgroup that programs dispatch. */
  get entries(): readonly { readonly name: string; readonly threads: number }[] {
    return [...this.#kernels.values()];
  }
}

export interface RelocatableOptions extends ScheduleOptions {
  readonly target: KernelTarget;
  readonly kernels: KernelTable;
  /** Where outputs live, by name. */
  readonly outputs: Readonly<Record<string, Bindable>>;
  /** Where other results live. */
  readonly arena: Bindable;
}

/** A program with table numbers for handles. */
export interface RelocatableProgram {
  /** As bridge/bun_metal.h describes it. */
  readonly bytes: Uint8Array;
  /** Dynamic words of a run. */
  readonly wordCount: number;
  readonly derived: readonly DerivedWord[];
  /** Words that never change: the word of each value. */
  readonly fixed: ReadonlyMap<number, number>;
  /** Bytes that the program needs in the arena. */
  readonly arenaBytes: number;
}

/**
 * Compiles a graph whose constants are `NumberedMemory`, and which has no inputs.
 *
 * @throws {TypeError} if a constant is another memory, or an output has no place
 * @throws {RangeError} if the graph computes nothing
 */
export function compileRelocatable(nodes: Nodes, options: RelocatableOptions): RelocatableProgram {
  const scheduled = schedule(nodes, options.target, options);
  const layout = new WordLayout(nodes.wordCount);
  const own = new Map<Tensor, Bindable>();
  for (const { name, tensor } of nodes.outputs) {
    const place = options.outputs[name];
    if (place === undefined) throw new TypeError(`Output "${name}" has no place in the program's tables`);
    own.set(tensor, place);
  }
  const memory = new PlanMemory<Bindable>(
    scheduled,
    { constant: numbered, own, arena: options.arena },
    layout,
  );
  const dispatches = scheduled.steps.map((step) => memory.dispatch(step)); // lays out all words
  const writer = new ProgramWriter<Bindable>(layout.count, "relocatable program");
  scheduled.steps.forEach((step, i) => {
    if (step.barrier) writer.barrier();
    const { kernel, threads } = step.dispatch;
    writer.dispatch({ pipeline: options.kernels.use(kernel, threads), ...dispatches[i] });
  });
  return {
    bytes: writer.encode(),
    wordCount: layout.count,
    derived: layout.derived,
    fixed: layout.fixed,
    arenaBytes: scheduled.arenaBytes,
  };
}

function numbered(memory: Memory): NumberedMemory {
  if (memory instanceof NumberedMemory) return memory;
  throw new TypeError(`A constant of ${memory.byteLength} bytes has no number in the program's tables`);
}

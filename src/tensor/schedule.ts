/**
 * From a graph to an order of dispatches with barriers and a place in memory for every result. Nothing here touches a
 * device: a schedule can be made, read and tested without one.
 *
 * A "phase" is what lies between two barriers; its dispatches may overlap. Lifetimes are counted in phases, not in
 * dispatches: memory that is free after a dispatch of a phase is not reused within that phase. So sharing memory never
 * needs a barrier that the data does not.
 */

import { placeBlocks } from "./arena.ts";
import { dependenciesOf, phasesOf } from "./dependencies.ts";
import { fuse } from "./fuse.ts";
import type { Nodes } from "./nodes.ts";
import type { Dispatch, KernelTarget, Operation } from "./operation.ts";
import { gatherPhases } from "./order.ts";
import type { Tensor } from "./tensor.ts";

/** What `Graph.compile` can be told. The defaults are right; the others exist to compare with. */
export interface ScheduleOptions {
  /** Whether pairs of operations may become one kernel. Default: true. */
  readonly fuse?: boolean;
  /** Whether independent operations may move next to each other, so that fewer barriers are needed. Default: true. */
  readonly reorder?: boolean;
  /** Whether results that are not in use at the same time may share memory. Default: true. */
  readonly reuseMemory?: boolean;
  /** @internal False leaves the barriers out, to show that tests notice. Default: true. */
  readonly barriers?: boolean;
}

/** One dispatch and what comes before it. */
export interface Step {
  readonly operation: Operation;
  readonly dispatch: Dispatch;
  /** True where a barrier has to come first. */
  readonly barrier: boolean;
}

export interface Schedule {
  readonly steps: readonly Step[];
  /** Byte offsets of results in the arena; outputs are not in it. */
  readonly offsets: ReadonlyMap<Tensor, number>;
  readonly arenaBytes: number;
}

/**
 * Orders, fuses and places a graph.
 *
 * @throws {RangeError} if no operation contributes to an output or a store
 */
export function schedule(nodes: Nodes, target: KernelTarget, options: ScheduleOptions = {}): Schedule {
  const kept = new Set(nodes.outputs.map((output) => output.tensor));
  let operations = operationsFor(nodes, kept, target, options);
  const dependencies = dependenciesOf(operations);
  if (options.reorder !== false) operations = gatherPhases(operations, dependencies);

  const phases = phasesOf(operations, dependencies);
  const { offsets, byteLength } = placeResults(operations, phases, kept, options.reuseMemory !== false);
  const steps = operations.map((operation, i) => ({
    operation,
    dispatch: operation.encode(target),
    barrier: options.barriers !== false && i > 0 && phases[i] !== phases[i - 1],
  }));
  return { steps, offsets, arenaBytes: byteLength };
}

/**
 * The names of the kernels that a graph takes on a device.
 *
 * @throws {RangeError} if no operation contributes to an output or a store
 */
export function kernelsOf(nodes: Nodes, target: KernelTarget): ReadonlySet<string> {
  const kept = new Set(nodes.outputs.map((output) => output.tensor));
  return new Set(operationsFor(nodes, kept, target, {}).map((operation) => operation.encode(target).kernel));
}

/** What there is to dispatch, in the order in which it was said. */
function operationsFor(
  nodes: Nodes,
  kept: ReadonlySet<Tensor>,
  target: KernelTarget,
  options: ScheduleOptions,
): readonly Operation[] {
  const needed = neededOperations(nodes.operations, kept);
  if (needed.length === 0) {
    throw new RangeError("Cannot compile a graph that computes nothing: name a result with output");
  }
  const expanded = needed.flatMap((operation) => operation.expand(target));
  return options.fuse === false ? expanded : fuse(expanded, kept);
}

/** Operations that write constants or lead to something kept, in order. */
function neededOperations(operations: readonly Operation[], kept: ReadonlySet<Tensor>): readonly Operation[] {
  const needed = new Set(kept);
  const found: Operation[] = [];
  for (const operation of operations.toReversed()) {
    if (operation.writes.length === 0 && !operation.outputs.some((output) => needed.has(output))) continue;
    found.push(operation);
    for (const input of operation.inputs) needed.add(input);
  }
  return found.reverse();
}

/** Memory that one result, or several in place one after the other, take in the arena. */
interface Slot {
  readonly byteLength: number;
  readonly first: number;
  last: number;
}

function placeResults(
  operations: readonly Operation[],
  phases: readonly number[],
  kept: ReadonlySet<Tensor>,
  reuse: boolean,
): { readonly offsets: ReadonlyMap<Tensor, number>; readonly byteLength: number } {
  const slots = slotsOf(operations, phases, kept, reuse);
  const distinct = [...new Set(slots.values())];
  const forever = { first: 0, last: Number.POSITIVE_INFINITY };
  const placement = placeBlocks(reuse ? distinct : distinct.map((slot) => ({ ...slot, ...forever })));
  const offsetOf = new Map(distinct.map((slot, i) => [slot, placement.offsets[i]]));
  const offsets = new Map<Tensor, number>();
  for (const [tensor, slot] of slots) offsets.set(tensor, offsetOf.get(slot) ?? 0);
  return { offsets, byteLength: placement.byteLength };
}

/** The slot of each result that is not kept, with its lifetime in phases. */
function slotsOf(
  operations: readonly Operation[],
  phases: readonly number[],
  kept: ReadonlySet<Tensor>,
  reuse: boolean,
): Map<Tensor, Slot> {
  const readers: (number[] | undefined)[] = []; // by number of the tensor: indices of operations
  operations.forEach(({ inputs }, i) => {
    for (const { id } of inputs) {
      const known = readers[id];
      if (known === undefined) readers[id] = [i];
      else known.push(i);
    }
  });
  const readersOf = ({ id }: Tensor): readonly number[] => readers[id] ?? [];

  const slots = new Map<Tensor, Slot>();
  /** The slot of an input that the first output can take over: nobody else reads it in this phase or later. */
  const inherited = (i: number): Slot | undefined => {
    const { inPlaceInputs, outputs } = operations[i];
    const input = inPlaceInputs.find(
      (candidate) =>
        slots.has(candidate) &&
        candidate.byteLength === outputs[0].byteLength &&
        readersOf(candidate).every((reader) => reader === i || phases[reader] < phases[i]),
    );
    return input && slots.get(input);
  };

  operations.forEach(({ outputs }, i) => {
    outputs.forEach((output, position) => {
      if (kept.has(output)) return;
      const last = phases[readersOf(output).at(-1) ?? i];
      const slot = reuse && position === 0 ? inherited(i) : undefined;
      if (slot !== undefined) slot.last = last;
      slots.set(output, slot ?? { byteLength: output.byteLength, first: phases[i], last });
    });
  });
  return slots;
}

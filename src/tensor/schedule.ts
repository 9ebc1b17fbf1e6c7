/**
 * From a graph to an order of dispatches with barriers and a place in memory for every result. Nothing here touches a
 * device: a schedule can be made, read and tested without one.
 *
 * A "phase" is what lies between two barriers; its dispatches may overlap. Lifetimes are counted in phases, not in
 * dispatches: memory that is free after a dispatch of a phase is not reused within that phase. So sharing memory never
 * costs a barrier that the data does not need.
 */

import { accessOf, ownRange, writtenMemory } from "./access.ts";
import { placeBlocks } from "./arena.ts";
import { fuse } from "./fuse.ts";
import { HazardTracker, type MemoryRange } from "./hazards.ts";
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

/** What identifies the arena's memory to the hazard tracker. */
const ARENA = Symbol("arena");

/**
 * Orders, fuses and places a graph.
 *
 * @throws {RangeError} if no operation contributes to an output or a store
 */
export function schedule(nodes: Nodes, target: KernelTarget, options: ScheduleOptions = {}): Schedule {
  const kept = new Set(nodes.outputs.map((output) => output.tensor));
  let operations = neededOperations(nodes.operations, kept);
  if (operations.length === 0) {
    throw new RangeError("Cannot compile a graph that computes nothing: name a result with output");
  }
  operations = operations.flatMap((operation) => operation.expand(target));
  if (options.fuse !== false) operations = fuse(operations, kept);
  if (options.reorder !== false) operations = gatherPhases(operations);

  const phases = phasesOf(operations);
  const { offsets, byteLength } = placeResults(operations, phases, kept, options.reuseMemory !== false);
  const barriers = barriersOf(operations, (tensor) => {
    const offset = offsets.get(tensor);
    return offset === undefined
      ? ownRange(tensor)
      : { memory: ARENA, start: offset, end: offset + tensor.byteLength };
  });
  const steps = operations.map((operation, i) => ({
    operation,
    dispatch: operation.encode(target),
    barrier: options.barriers !== false && barriers[i] === true,
  }));
  return { steps, offsets, arenaBytes: byteLength };
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

/** For each operation, whether a barrier comes before it. */
function barriersOf(operations: readonly Operation[], rangeOf: (tensor: Tensor) => MemoryRange): boolean[] {
  const tracker = new HazardTracker();
  const written = writtenMemory(operations);
  return operations.map((operation) => {
    const { reads, writes } = accessOf(operation, rangeOf, written);
    return tracker.next(reads, writes);
  });
}

/** The phase of each operation, as the data alone requires it. */
function phasesOf(operations: readonly Operation[]): number[] {
  let phase = 0;
  return barriersOf(operations, ownRange).map((barrier) => (barrier ? ++phase : phase));
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
  const readers = new Map<Tensor, number[]>(); // indices of operations
  operations.forEach(({ inputs }, i) => {
    for (const input of new Set(inputs)) readers.set(input, [...(readers.get(input) ?? []), i]);
  });
  const readersOf = (tensor: Tensor): readonly number[] => readers.get(tensor) ?? [];

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
      const last = Math.max(phases[i], ...readersOf(output).map((reader) => phases[reader]));
      const slot = reuse && position === 0 ? inherited(i) : undefined;
      if (slot !== undefined) slot.last = last;
      slots.set(output, slot ?? { byteLength: output.byteLength, first: phases[i], last });
    });
  });
  return slots;
}

// Runs a schedule on memory that remembers who wrote it last, in any order that barriers allow. It finds two live
// results that overlap, a missing barrier, and an order that changes what a cache holds, without computing anything.
import type { Nodes } from "../../src/tensor/nodes.ts";
import type { Operation } from "../../src/tensor/operation.ts";
import type { Schedule, Step } from "../../src/tensor/schedule.ts";
import type { Memory, Tensor } from "../../src/tensor/tensor.ts";

const CELL = 256;

/** Steps between barriers, in order. */
export function phasesOf(schedule: Schedule): Step[][] {
  const phases: Step[][] = [[]];
  for (const step of schedule.steps) {
    if (step.barrier) phases.push([]);
    phases[phases.length - 1].push(step);
  }
  return phases;
}

/**
 * Executes steps in the given order.
 *
 * @returns what an operation read that it should not have; undefined where all is as the graph says
 */
export function simulate(nodes: Nodes, schedule: Schedule, steps: readonly Step[]): string | undefined {
  const arena = new Map<number, number>(); // cell -> id of the tensor whose bytes it holds
  const done = new Set<Tensor>(); // outputs
  const written = new Map<Memory, Operation[]>(); // operations that wrote a constant's memory, as they ran
  const cells = (tensor: Tensor): number[] => {
    const offset = schedule.offsets.get(tensor) ?? 0;
    const end = offset + tensor.byteLength;
    return Array.from(
      { length: Math.ceil(end / CELL) - Math.floor(offset / CELL) },
      (_, i) => offset / CELL + i,
    );
  };
  for (const { operation } of steps) {
    for (const input of operation.inputs) {
      const fault = faultOf(input, operation);
      if (fault !== undefined) return `${operation.name} reads ${input} (${input.id}): ${fault}`;
    }
    for (const output of operation.outputs) {
      if (schedule.offsets.has(output)) for (const cell of cells(output)) arena.set(cell, output.id);
      else done.add(output);
    }
    for (const { source } of operation.writes) {
      if (source.kind !== "constant") return `${operation.name} writes what is no constant`;
      const log = written.get(source.memory) ?? [];
      written.set(source.memory, [...log.filter((other) => other !== operation), operation]);
    }
  }
  for (const [memory, log] of written) {
    const expected = writersOf(memory, nodes.operations.length);
    if (log.some((operation, i) => operation !== expected[i])) return "a cache ends with other contents";
  }
  return undefined;

  function faultOf(tensor: Tensor, reader: Operation): string | undefined {
    const { source } = tensor;
    if (source.kind === "constant") {
      const expected = writersOf(source.memory, positionOf(reader));
      const found = written.get(source.memory) ?? [];
      const same =
        expected.length === found.length && expected.every((operation, i) => operation === found[i]);
      return same ? undefined : `${found.length} writes came before, not ${expected.length}`;
    }
    if (source.kind !== "result") return undefined;
    if (!schedule.offsets.has(tensor)) return done.has(tensor) ? undefined : "not yet written";
    const other = cells(tensor).find((cell) => arena.get(cell) !== tensor.id);
    return other === undefined ? undefined : `cell ${other} holds ${arena.get(other)}`;
  }

  /** Position in the graph; a fused operation stands where the one whose result it makes last would. */
  function positionOf(operation: Operation): number {
    const own = nodes.operations.indexOf(operation);
    if (own !== -1) return own;
    return nodes.operations.findIndex((other) => other.outputs.includes(operation.outputs[0]));
  }

  function writersOf(memory: Memory, before: number): Operation[] {
    return nodes.operations
      .slice(0, before)
      .filter(({ writes }) =>
        writes.some(({ source }) => source.kind === "constant" && source.memory === memory),
      );
  }
}

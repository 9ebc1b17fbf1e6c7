/**
 * The order of operations. A model is written down in the order in which it is thought of (project, rotate, project,
 * rotate), which separates what could run side by side. Gathering what is independent saves barriers.
 */

import type { Dependencies } from "./dependencies.ts";
import type { Operation } from "./operation.ts";

/**
 * How many waiting operations are looked at for each phase. Bounds how early an operation can run, and with it how long
 * its result lies in memory: within a transformer layer, not across layers.
 */
const LOOKAHEAD = 16;

/**
 * Reorders so that each stretch between barriers has as much as it can: of the operations that wait, the next ones that
 * depend on nothing that is in the stretch or still waits.
 *
 * @param operations an order that is valid
 * @returns a valid order of the same operations
 */
export function gatherPhases(operations: readonly Operation[], dependencies: Dependencies): Operation[] {
  const ordered: Operation[] = [];
  const done = new Set<Operation>(); // those of earlier stretches
  let next = 0; // of those that were not looked at yet
  let waiting: Operation[] = [];
  while (waiting.length > 0 || next < operations.length) {
    while (waiting.length < LOOKAHEAD && next < operations.length) waiting.push(operations[next++]);
    const start = ordered.length;
    const left: Operation[] = [];
    for (const operation of waiting) {
      const isReady = dependencies.get(operation)?.every((other) => done.has(other));
      (isReady ? ordered : left).push(operation);
    }
    for (let i = start; i < ordered.length; i++) done.add(ordered[i]);
    waiting = left;
  }
  return ordered;
}

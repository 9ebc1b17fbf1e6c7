/**
 * The order of operations. A model is written down in the order in which it is thought of (project, rotate, project,
 * rotate), which separates what could run side by side. Gathering what is independent saves barriers.
 */

import { type Access, accessOf, ownRange, writtenMemory } from "./access.ts";
import { HazardTracker } from "./hazards.ts";
import type { Operation } from "./operation.ts";

/**
 * How many waiting operations are looked at for each phase. Bounds how early an operation can run, and with it how long
 * its result lies in memory: within a transformer layer, not across layers.
 */
const LOOKAHEAD = 16;

/**
 * Reorders so that each stretch between barriers has as much as it can: the first operation that waits, and those among
 * the next that conflict with nothing before them, whether it is in the stretch or still waits.
 *
 * @param operations an order that is valid
 * @returns a valid order of the same operations
 */
export function gatherPhases(operations: readonly Operation[]): Operation[] {
  const ordered: Operation[] = [];
  const written = writtenMemory(operations);
  let next = 0; // of those that were not looked at yet
  let waiting: { readonly operation: Operation; readonly access: Access }[] = [];
  while (waiting.length > 0 || next < operations.length) {
    for (; waiting.length < LOOKAHEAD && next < operations.length; next++) {
      const operation = operations[next];
      waiting.push({ operation, access: accessOf(operation, ownRange, written) });
    }
    const tracker = new HazardTracker();
    const left: typeof waiting = [];
    for (const candidate of waiting) {
      const { reads, writes } = candidate.access;
      if (tracker.conflicts(reads, writes)) left.push(candidate);
      else ordered.push(candidate.operation);
      tracker.note(reads, writes);
    }
    waiting = left;
  }
  return ordered;
}

/**
 * The order of operations. A model is written down in the order in which it is thought of (project, rotate, project,
 * rotate), which separates what could run side by side. Gathering what is independent saves barriers.
 */

import { accessOf, ownRange } from "./access.ts";
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
  let waiting = operations;
  while (waiting.length > 0) {
    const tracker = new HazardTracker();
    const left: Operation[] = [];
    for (const operation of waiting.slice(0, LOOKAHEAD)) {
      const { reads, writes } = accessOf(operation, ownRange);
      (tracker.conflicts(reads, writes) ? left : ordered).push(operation);
      tracker.note(reads, writes);
    }
    waiting = [...left, ...waiting.slice(LOOKAHEAD)];
  }
  return ordered;
}

/**
 * A schedule as text, for people who want to see what runs.
 */

import type { GridAxis } from "./operation.ts";
import type { Schedule, Step } from "./schedule.ts";
import type { Tensor } from "./tensor.ts";

/** One line per dispatch: number, operation, kernel, grid, operands and where they live. */
export function listing(schedule: Schedule): string {
  const barriers = schedule.steps.filter((step) => step.barrier).length;
  const lines = [
    `${schedule.steps.length} dispatches, ${barriers} barriers, arena of ${schedule.arenaBytes} bytes`,
  ];
  schedule.steps.forEach((step, i) => {
    if (step.barrier) lines.push("     ---- barrier");
    lines.push(`${String(i).padStart(4)} ${line(step, schedule)}`);
  });
  return lines.join("\n");
}

function line({ operation, dispatch }: Step, { offsets }: Schedule): string {
  const operands = (tensors: readonly Tensor[]): string =>
    tensors.map((tensor) => `${place(tensor, offsets)} ${tensor}`).join(", ");
  const written = [...operation.outputs, ...operation.writes];
  const grid = dispatch.grid.map((axis) => (axis === undefined ? "1" : groups(axis))).join(" x ");
  const head = `${operation.name} ${dispatch.kernel} <${grid}; ${dispatch.threads}>`;
  return `${head}: ${operands(operation.inputs)} -> ${operands(written)}`;
}

function groups({ extent, itemsPerGroup }: GridAxis): string {
  if (typeof extent === "number") return String(Math.ceil(extent / itemsPerGroup));
  const rows = extent.factor === 1 ? extent.rows.name : `${extent.factor}*${extent.rows.name}`;
  return itemsPerGroup === 1 ? rows : `${rows}/${itemsPerGroup}`;
}

function place(tensor: Tensor, offsets: ReadonlyMap<Tensor, number>): string {
  const { source, id } = tensor;
  if (source.kind === "constant") return `constant+${source.byteOffset}`;
  if (source.kind !== "result") return source.name;
  const offset = offsets.get(tensor);
  return offset === undefined ? `output#${id}` : `arena+${offset}`;
}

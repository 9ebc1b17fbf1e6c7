/** How much memory a plan would take, asked before any is. */
import type { Nodes } from "./nodes.ts";
import type { KernelTarget } from "./operation.ts";
import { schedule } from "./schedule.ts";

/** Bytes of the buffers that a plan owns. */
export interface Footprint {
  /** Of the one that intermediates share. */
  readonly arenaBytes: number;
  /** Of each input and output. */
  readonly namedBytes: readonly number[];
}

/** At most what a plan's own buffers take, all together: the bytes of all tensors but constants, as if none shared memory. */
export function footprintBound(nodes: Nodes): number {
  return nodes.tensors.reduce(
    (sum, { source, byteLength }) => sum + (source.kind === "constant" ? 0 : byteLength),
    0,
  );
}

/**
 * What compiling would allocate for a graph on a device. Its constants may be any `Memory`.
 *
 * @throws {RangeError} if there is nothing to compute
 */
export function footprint(nodes: Nodes, target: KernelTarget): Footprint {
  const inputs = nodes.tensors.filter(({ source }) => source.kind === "input");
  const outputs = nodes.outputs.map(({ tensor }) => tensor);
  return {
    arenaBytes: schedule(nodes, target).arenaBytes,
    namedBytes: [...inputs, ...outputs].map(({ byteLength }) => byteLength),
  };
}

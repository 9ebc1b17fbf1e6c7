/** Whether a model fits the device, answered before anything is allocated there. */
import type { DeviceInfo } from "../runtime/index.ts";
import { footprint, footprintBound } from "../tensor/index.ts";
import { MemoryError } from "./errors.ts";
import type { ModelGraphs, ModelOptions } from "./model_graphs.ts";

export type MemoryCheckOptions = ModelOptions & {
  /** Whether the model may need more than the working set. */
  readonly exceedWorkingSet: boolean;
};

/**
 * Refuses a model that the device has no room for: one with a buffer over the longest, or that needs more bytes in total
 * than the working set. What else lives on the device is not counted.
 *
 * @param bytes Of the weights and the cache.
 * @param graphs Of all steps, those that are compiled later too.
 * @throws {MemoryError} Which says what takes how much, and what can be done.
 * @throws {RangeError} If there are more rows and blocks than a step can name.
 */
export function checkMemory(
  info: DeviceInfo,
  bytes: { readonly weights: number; readonly cache: number },
  graphs: ModelGraphs,
  options: MemoryCheckOptions,
): void {
  // Before the activations: a cache far too large would not even have a graph.
  checkTotal(info, options, bytes);
  graphs.check();
  const left = info.workingSet - bytes.weights - bytes.cache;
  checkTotal(info, options, { ...bytes, activations: activationBytes(info, graphs, left) });
}

type Needs = { readonly weights: number; readonly cache: number; readonly activations?: number };

function checkTotal(info: DeviceInfo, options: MemoryCheckOptions, needs: Needs): void {
  const { weights, cache, activations } = needs;
  const needed = weights + cache + (activations ?? 0);
  const available = info.workingSet;
  // Systems that do not know it say 0.
  if (needed <= available || available <= 0 || options.exceedWorkingSet) return;
  const parts = [`weights of ${weights} bytes`, `a KV cache of ${cache} bytes`];
  if (activations !== undefined) parts.push(`activations of ${activations} bytes`);
  throw new MemoryError(
    `Cannot hold the model in the ${available} bytes that are best used on ${info.id}: it needs ${needed}, for ${parts.join(" and ")}; load with ${remedies(options)}, use a file with a smaller quantisation, or try anyway with exceedWorkingSet`,
    { needed, available },
  );
}

function remedies({ kvType, maxSequences }: ModelOptions): string {
  const sizes =
    maxSequences > 1
      ? "a smaller contextLength, maxSequences or batchSize"
      : "a smaller contextLength or batchSize";
  return kvType === "f32" ? `${sizes}, with kvType "f16"` : sizes;
}

/**
 * Bytes of intermediate results and logits of all steps; or a bound where that is less than `left`, for which one
 * graph is enough.
 */
function activationBytes(info: DeviceInfo, graphs: ModelGraphs, left: number): number {
  const { limits } = graphs;
  // A step of n rows makes n times what one row takes, and a copy of those that want logits, which are less than that.
  const oneRow = footprintBound(graphs.graph(0));
  const bound = limits.reduce((sum, { rows, logitRows }) => sum + (rows + logitRows) * oneRow, 0);
  if (bound <= Math.min(left, info.maxBufferLength)) return bound;

  let total = 0;
  limits.forEach(({ rows }, step) => {
    const { arenaBytes, namedBytes } = footprint(graphs.graph(step), info);
    for (const bytes of [arenaBytes, ...namedBytes]) {
      if (bytes > info.maxBufferLength) throw tooLong(bytes, rows, info.maxBufferLength);
      total += bytes;
    }
  });
  return total;
}

function tooLong(bytes: number, rows: number, available: number): MemoryError {
  return new MemoryError(
    `Cannot hold the activations of ${rows} rows: they take ${bytes} bytes in one buffer, and the device's largest has ${available}; load with a smaller batchSize`,
    { needed: bytes, available },
  );
}

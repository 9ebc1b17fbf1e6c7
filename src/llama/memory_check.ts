/** Whether a model fits the device, answered before anything is allocated there. */
import type { DeviceInfo } from "../runtime/index.ts";
import { footprint, footprintBound, type Memory, Nodes } from "../tensor/index.ts";
import { type KvLayout, layoutCache } from "./cache.ts";
import type { LlamaConfig } from "./config.ts";
import { MemoryError } from "./errors.ts";
import { type ModelOptions, stepLimits } from "./model.ts";
import type { RopeTables } from "./rope_tables.ts";
import { buildStep } from "./step_graph.ts";
import type { WeightLayout } from "./weight_buffers.ts";
import type { LlamaWeights, WeightPlace } from "./weights.ts";

export type MemoryCheckOptions = ModelOptions & {
  /** Whether the model may need more than the working set. */
  readonly exceedWorkingSet: boolean;
};

/**
 * Refuses a model that the device has no room for: one with a buffer over the longest, or that needs more bytes in total
 * than the working set. What else lives on the device is not counted.
 *
 * @throws {MemoryError} Which says what takes how much, and what can be done.
 */
export function checkMemory(
  info: DeviceInfo,
  config: LlamaConfig,
  places: LlamaWeights<WeightPlace>,
  weights: WeightLayout,
  rope: RopeTables,
  options: MemoryCheckOptions,
): void {
  const cache = layoutCache(config, options, info.maxBufferLength);
  // Before the activations: a cache far too large would not even have a graph.
  checkTotal(info, options, { weights: weights.byteLength, cache: cache.byteLength });
  const left = info.workingSet - weights.byteLength - cache.byteLength;
  const activations = activationBytes(info, config, places, cache, rope, options, left);
  checkTotal(info, options, { weights: weights.byteLength, cache: cache.byteLength, activations });
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

/** Bytes of intermediate results and logits of all steps, or a bound where that is less than `left`, which takes less time. */
function activationBytes(
  info: DeviceInfo,
  config: LlamaConfig,
  places: LlamaWeights<WeightPlace>,
  layout: KvLayout,
  rope: RopeTables,
  options: ModelOptions,
  left: number,
): number {
  const anything: Memory = { byteLength: Number.MAX_SAFE_INTEGER };
  const caches = layout.buffers.map((byteLength): Memory => ({ byteLength }));
  const graphs = stepLimits(options.batchSize).map((limits) => {
    const nodes = new Nodes();
    buildStep(nodes, limits, {
      config,
      places,
      weight: () => ({ memory: anything, offset: 0 }),
      rope,
      frequencies: anything,
      cache: { memories: caches, type: options.kvType, layout },
      sequenceCount: options.maxSequences,
    });
    return { nodes, rows: limits.rows };
  });
  const bound = graphs.reduce((sum, { nodes }) => sum + footprintBound(nodes), 0);
  if (bound <= Math.min(left, info.maxBufferLength)) return bound;

  let total = 0;
  for (const { nodes, rows } of graphs) {
    const { arenaBytes, namedBytes } = footprint(nodes, info);
    for (const bytes of [arenaBytes, ...namedBytes]) {
      if (bytes > info.maxBufferLength) throw tooLong(bytes, rows, info.maxBufferLength);
      total += bytes;
    }
  }
  return total;
}

function tooLong(bytes: number, rows: number, available: number): MemoryError {
  return new MemoryError(
    `Cannot hold the activations of ${rows} rows: they take ${bytes} bytes in one buffer, and the device's largest has ${available}; load with a smaller batchSize`,
    { needed: bytes, available },
  );
}

import type { Buffer, Device } from "../runtime/index.ts";
import { Graph, type PagedCache, type Plan } from "../tensor/index.ts";
import type { BatchLimits, Row } from "./batch.ts";
import { BLOCK_SIZE, type KvCache } from "./cache.ts";
import type { LlamaConfig } from "./config.ts";
import { forward } from "./layer.ts";
import { bindWeights, type LlamaWeights, type WeightPlace } from "./weights.ts";

/** What steps are built of; all of it is the model's. */
export type StepParts = {
  readonly config: LlamaConfig;
  readonly places: LlamaWeights<WeightPlace>;
  /** The mapped file. */
  readonly weights: Buffer;
  /** f32 [ropeDimensionCount / 2] */
  readonly frequencies: Buffer;
  readonly cache: KvCache;
};

/**
 * The forward pass for up to a number of rows, as one program. What changes from run to run travels in the run's
 * dynamic words, which are written in place: a run allocates nothing on either side.
 */
export class Step implements Disposable {
  readonly limits: BatchLimits;
  readonly plan: Plan;
  readonly #cache: KvCache;
  readonly #tokens: Uint32Array;
  readonly #positions: Uint32Array;
  readonly #sequences: Uint32Array;
  readonly #slots: Uint32Array;
  readonly #logitRows: Uint32Array | undefined; // undefined where all rows have logits
  readonly #blockTables: Uint32Array;
  /** Views of the output buffer, one for each row of logits, [vocabulary]. */
  readonly #logits: readonly Float32Array[];

  constructor(device: Device, parts: StepParts, limits: BatchLimits) {
    this.limits = limits;
    this.#cache = parts.cache;
    this.plan = compile(device, parts, limits);
    const { plan } = this;
    this.#tokens = plan.u32("tokens");
    this.#positions = plan.u32("positions");
    this.#sequences = plan.u32("sequences");
    this.#slots = plan.u32("slots");
    this.#logitRows = picksRows(limits) ? plan.u32("wanted") : undefined;
    this.#blockTables = plan.u32("blockTables");
    const logits = plan.f32("logits");
    const vocabulary = parts.config.vocabularySize;
    this.#logits = Array.from({ length: limits.logitRows }, (_, i) =>
      logits.subarray(i * vocabulary, (i + 1) * vocabulary),
    );
  }

  /** Takes the rows' positions in the cache and fills the dynamic words. */
  prepare(rows: readonly Row[]): void {
    let wanted = 0;
    for (let i = 0; i < rows.length; i++) {
      const { token, position, sequence, wantsLogits } = rows[i];
      this.#tokens[i] = token;
      this.#positions[i] = position;
      this.#sequences[i] = sequence.index;
      this.#slots[i] = sequence.append(token);
      if (wantsLogits && this.#logitRows !== undefined) this.#logitRows[wanted++] = i;
    }
    // After all rows: a row that writes into a shared block changes the table.
    this.#blockTables.set(this.#cache.blocks.entries);
    this.plan.setRows("rows", rows.length);
    if (this.#logitRows !== undefined) this.plan.setRows("wantedRows", wanted);
  }

  /** Submits what was prepared: one native call. Resolves when the logits are there. */
  run(): Promise<void> {
    return this.plan.runAsync();
  }

  /** The logits of the `index`th row that wanted some, valid until the next run. */
  logits(index: number): Float32Array {
    return this.#logits[index];
  }

  [Symbol.dispose](): void {
    this.plan[Symbol.dispose]();
  }
}

/** A step of one row needs no choice of rows, and saves the dispatch for it. */
function picksRows(limits: BatchLimits): boolean {
  return limits.rows > 1;
}

function compile(device: Device, parts: StepParts, limits: BatchLimits): Plan {
  const { config, cache, places } = parts;
  const { sequenceCount, blocksPerSequence } = cache.blocks.options;
  const graph = new Graph(device);
  const rows = graph.rows("rows", limits.rows);
  const step = {
    tokens: graph.words("tokens", rows),
    positions: graph.words("positions", rows),
    sequences: graph.words("sequences", rows),
    slots: graph.words("slots", rows),
    frequencies: graph.constant(parts.frequencies, "f32", [config.ropeDimensionCount / 2]),
  };
  const wanted = picksRows(limits)
    ? graph.words("wanted", graph.rows("wantedRows", limits.logitRows))
    : undefined;
  const blockTables = graph.words("blockTables", [sequenceCount, blocksPerSequence]);

  const weights = bindWeights(places, ({ type, shape, offset }) =>
    graph.constant(parts.weights, type, shape, offset),
  );
  const cacheShape = [cache.slots, config.headCountKv * config.headLength];
  const caches: PagedCache[] = cache.layers.map(({ keys, values }) => ({
    keys: graph.constant(cache.buffer, cache.type, cacheShape, keys),
    values: graph.constant(cache.buffer, cache.type, cacheShape, values),
    blockTables,
    blockSize: BLOCK_SIZE,
  }));
  graph.output(forward(weights, caches, step, config, wanted), "logits");
  return graph.compile();
}

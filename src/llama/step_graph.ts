/** The graph of a step: the forward pass over up to a number of rows. It knows no device, only memory. */
import { MATMUL_MIN_ROWS, type Memory, type Nodes, type PagedCache, type Tensor } from "../tensor/index.ts";
import type { BatchLimits } from "./batch.ts";
import { BLOCK_SIZE, type KvLayout, type KvType } from "./cache.ts";
import type { LlamaConfig } from "./config.ts";
import { forward } from "./layer.ts";
import type { RopeTables } from "./rope_tables.ts";
import { bindWeights, type LlamaWeights, type WeightPlace } from "./weights.ts";

/** The memory that a step works on. */
export type StepMemory = {
  readonly config: LlamaConfig;
  readonly places: LlamaWeights<WeightPlace>;
  /** Where a weight lies, in bytes from the start of its memory. */
  readonly weight: (place: WeightPlace) => { readonly memory: Memory; readonly offset: number };
  readonly rope: RopeTables;
  /** What `packTables` makes of `rope`. */
  readonly frequencies: Memory;
  /** `memories`: one for each buffer of the layout. */
  readonly cache: { readonly memories: readonly Memory[]; readonly type: KvType; readonly layout: KvLayout };
  /** Rows of the block tables. */
  readonly sequenceCount: number;
};

/**
 * Rows of each step, the smallest first: a single one (a generated token), the few that are best multiplied one by one
 * (tokens of several sequences), and up to `batchSize` (prompts).
 */
export function stepSizes(batchSize: number): number[] {
  return [1, MATMUL_MIN_ROWS - 1, batchSize].filter(
    (size, i, sizes) => size <= batchSize && sizes.indexOf(size) === i,
  );
}

/** A step of one row needs no choice of rows, and saves the dispatch for it. */
export function picksRows(limits: BatchLimits): boolean {
  return limits.rows > 1;
}

/**
 * Adds the forward pass to a graph. Its words are `tokens`, `positions`, `sequences` and `slots` [rows], `blockTables`
 * [sequenceCount, blocksPerSequence] and, where rows are picked, `wanted` [wantedRows]; its output is `logits`
 * [wanted rows, vocabulary].
 */
export function buildStep(graph: Nodes, limits: BatchLimits, memory: StepMemory): void {
  const { config, cache, rope } = memory;
  const pairs = config.ropeDimensionCount / 2;
  const frequencies = (table: number): Tensor =>
    graph.constant(memory.frequencies, "f32", [pairs], 4 * pairs * table);
  const global = { frequencies: frequencies(0), magnitude: rope.global.magnitude };
  const isOneTable = rope.local === rope.global;
  const rows = graph.rows("rows", limits.rows);
  const step = {
    tokens: graph.words("tokens", rows),
    positions: graph.words("positions", rows),
    sequences: graph.words("sequences", rows),
    slots: graph.words("slots", rows),
    turns: {
      global,
      local: isOneTable ? global : { frequencies: frequencies(1), magnitude: rope.local.magnitude },
    },
  };
  const wanted = picksRows(limits)
    ? graph.words("wanted", graph.rows("wantedRows", limits.logitRows))
    : undefined;
  const blockTables = graph.words("blockTables", [memory.sequenceCount, cache.layout.blocksPerSequence]);

  const weights = bindWeights(memory.places, (place) => {
    const { memory: home, offset } = memory.weight(place);
    return graph.constant(home, place.type, place.shape, offset);
  });
  const cacheShape = [cache.layout.slots, config.headCountKv * config.headLength];
  const caches: PagedCache[] = cache.layout.layers.map(({ keys, values }) => ({
    keys: graph.constant(cache.memories[keys.buffer], cache.type, cacheShape, keys.offset),
    values: graph.constant(cache.memories[values.buffer], cache.type, cacheShape, values.offset),
    blockTables,
    blockSize: BLOCK_SIZE,
  }));
  graph.output(forward(weights, caches, step, config, wanted), "logits");
}

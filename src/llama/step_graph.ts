/** The graph of a step: the forward pass over up to a number of rows. It knows no device, only memory. */
import { CHOICE_WORDS, CHOSEN_WORDS } from "../sample/index.ts";
import {
  chooseTokens,
  chosenTokens,
  gatherRows,
  MATMUL_MIN_ROWS,
  type Memory,
  type Nodes,
  type PagedCache,
  type Tensor,
} from "../tensor/index.ts";
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
  /** Where the device leaves the tokens that it chooses; undefined where the host chooses all. */
  readonly chosen?: { readonly memory: Memory; readonly places: number } | undefined;
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

/**
 * Whether a step chooses tokens: where generated ones are computed, one by one.
 *
 * @param canChoose Whether there is memory for tokens that the device chooses.
 */
export function choosesTokens(limits: BatchLimits, canChoose: boolean): boolean {
  return canChoose && limits.rows === 1;
}

/**
 * Whether a step picks the rows that have logits. One of a single row saves the dispatch for that, unless it chooses the
 * token itself: then its logits may be for nobody.
 */
export function picksRows(limits: BatchLimits, canChoose: boolean): boolean {
  return limits.rows > 1 || choosesTokens(limits, canChoose);
}

/** What differs from run to run. */
export type StepWords = {
  readonly tokens: Tensor; // u32 [rows]
  readonly positions: Tensor; // u32 [rows]
  readonly sequences: Tensor; // u32 [rows]
  readonly slots: Tensor; // u32 [rows]
  readonly wanted: Tensor | undefined; // u32 [wantedRows], where rows are picked, or their logits
  readonly blockTables: Tensor; // u32 [sequenceCount, blocksPerSequence]
  /** Where the step chooses tokens; a token may be one that was chosen then. */
  readonly choosing:
    | {
        readonly choices: Tensor; // u32 [choiceRows, CHOICE_WORDS]
        readonly places: Tensor; // u32 [choiceRows]
      }
    | undefined;
};

/**
 * Adds the words of a step to a graph, under the names that they have here.
 *
 * @throws {RangeError} If they are more than a run can bring.
 */
export function addWords(
  graph: Nodes,
  limits: BatchLimits,
  { sequenceCount, cache, chosen }: Pick<StepMemory, "sequenceCount" | "cache" | "chosen">,
): StepWords {
  const rows = graph.rows("rows", limits.rows);
  const canChoose = chosen !== undefined;
  return {
    tokens: graph.words("tokens", rows),
    positions: graph.words("positions", rows),
    sequences: graph.words("sequences", rows),
    slots: graph.words("slots", rows),
    wanted: picksRows(limits, canChoose)
      ? graph.words("wanted", graph.rows("wantedRows", limits.logitRows))
      : undefined,
    blockTables: graph.words("blockTables", [sequenceCount, cache.layout.blocksPerSequence]),
    choosing: choosesTokens(limits, canChoose) ? addChoices(graph, limits) : undefined,
  };
}

function addChoices(graph: Nodes, limits: BatchLimits): StepWords["choosing"] {
  const rows = graph.rows("choiceRows", limits.rows);
  return { choices: graph.words("choices", [rows, CHOICE_WORDS]), places: graph.words("places", rows) };
}

/** Adds the forward pass to a graph. Its output is `logits` [wanted rows, vocabulary]. */
export function buildStep(graph: Nodes, limits: BatchLimits, memory: StepMemory): void {
  const { config, cache, rope } = memory;
  const pairs = config.ropeDimensionCount / 2;
  const frequencies = (table: number): Tensor =>
    graph.constant(memory.frequencies, "f32", [pairs], 4 * pairs * table);
  const global = { frequencies: frequencies(0), magnitude: rope.global.magnitude };
  const isOneTable = rope.local === rope.global;
  const local = isOneTable ? global : { frequencies: frequencies(1), magnitude: rope.local.magnitude };
  const words = addWords(graph, limits, memory);

  const weights = bindWeights(memory.places, (place) => {
    const { memory: home, offset } = memory.weight(place);
    return graph.constant(home, place.type, place.shape, offset);
  });
  const cacheShape = [cache.layout.slots, config.headCountKv * config.headLength];
  const caches: PagedCache[] = cache.layout.layers.map(({ keys, values }) => ({
    keys: graph.constant(cache.memories[keys.buffer], cache.type, cacheShape, keys.offset),
    values: graph.constant(cache.memories[values.buffer], cache.type, cacheShape, values.offset),
    blockTables: words.blockTables,
    blockSize: BLOCK_SIZE,
  }));
  const step = { ...words, turns: { global, local } };
  const { choosing, wanted } = words;
  const { chosen: home } = memory;
  if (choosing === undefined || wanted === undefined || home === undefined) {
    graph.output(forward(weights, caches, step, config, wanted), "logits");
    return;
  }
  const chosen = graph.constant(home.memory, "u32", [home.places, CHOSEN_WORDS]);
  const tokens = chosenTokens(words.tokens, chosen);
  const logits = forward(weights, caches, { ...step, tokens }, config);
  chooseTokens(logits, choosing.choices, choosing.places, chosen);
  // The output is memory that the host sees: logits that nobody wants there stay on the device.
  graph.output(gatherRows(logits, wanted), "logits");
}

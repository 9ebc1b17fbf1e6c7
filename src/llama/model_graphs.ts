/**
 * The graphs of a model's steps, over memory that need not be there yet: the memory check asks what they need, then the
 * model compiles the same graphs for the buffers that have taken their memory's place.
 */
import type { Buffer } from "../runtime/index.ts";
import { type Memory, Nodes } from "../tensor/index.ts";
import type { BatchLimits } from "./batch.ts";
import type { KvLayout, KvType } from "./cache.ts";
import { type ChosenLayout, chosenBytes, chosenPlaces } from "./chosen.ts";
import type { LlamaConfig } from "./config.ts";
import { packedBytes, type RopeTables } from "./rope_tables.ts";
import { addWords, buildStep, type StepMemory, stepSizes } from "./step_graph.ts";
import { placeIn, type WeightLayout } from "./weight_buffers.ts";
import type { LlamaWeights, WeightPlace } from "./weights.ts";

/** Rows of one step that can have logits: each costs a product with the vocabulary and a row of output memory. */
const LOGIT_ROWS = 16;

export type ModelOptions = {
  readonly contextLength: number;
  readonly batchSize: number;
  readonly maxSequences: number;
  readonly kvType: KvType;
  /** Tokens of a generation that the device may be ahead of the host; 0: the host chooses them. */
  readonly tokensInFlight: number;
};

/** What all steps of a model are made from. */
export type ModelParts = {
  readonly config: LlamaConfig;
  readonly places: LlamaWeights<WeightPlace>;
  readonly weights: WeightLayout;
  readonly cache: KvLayout;
  readonly rope: RopeTables;
};

/** The buffers of a model. */
export type ModelBuffers = {
  /** As the chunks of the weights' layout. */
  readonly weights: readonly Buffer[];
  /** As the buffers of the cache's layout. */
  readonly cache: readonly Buffer[];
  /** What `packTables` makes of the rope tables. */
  readonly frequencies: Buffer;
  /** For tokens that the device chooses. */
  readonly chosen: Buffer | undefined;
};

export class ModelGraphs {
  /** Of each step, the smallest first. */
  readonly limits: readonly BatchLimits[];
  /** Undefined where the host chooses all tokens. */
  readonly chosen: ChosenLayout | undefined;
  readonly #memory: StepMemory;
  readonly #graphs: (Nodes | undefined)[] = [];
  readonly #weights: readonly Memory[];
  readonly #cache: readonly Memory[];
  readonly #frequencies: Memory;
  readonly #chosen: Memory | undefined;

  constructor({ config, places, weights, cache, rope }: ModelParts, options: ModelOptions) {
    this.limits = stepSizes(options.batchSize).map((rows) => ({
      rows,
      logitRows: Math.min(rows, LOGIT_ROWS),
    }));
    this.#weights = weights.chunks.map(({ byteLength }) => ({ byteLength }));
    this.#cache = cache.buffers.map((byteLength) => ({ byteLength }));
    this.#frequencies = { byteLength: packedBytes(rope) };
    const { tokensInFlight: inFlight, maxSequences: sequenceCount } = options;
    const chosen = inFlight === 0 ? undefined : { inFlight, sequenceCount };
    this.chosen = chosen;
    this.#chosen = chosen && { byteLength: chosenBytes(chosen) };
    this.#memory = {
      config,
      places,
      weight: (place) => {
        const { chunk, offset } = placeIn(weights, place);
        return { memory: this.#weights[chunk], offset };
      },
      rope,
      frequencies: this.#frequencies,
      cache: { memories: this.#cache, type: options.kvType, layout: cache },
      sequenceCount,
      chosen: this.#chosen && chosen && { memory: this.#chosen, places: chosenPlaces(chosen) },
    };
  }

  /** @throws {RangeError} If there are more rows and blocks than a step can name. No step names more than the largest. */
  check(): void {
    addWords(new Nodes(), this.limits[this.limits.length - 1], this.#memory);
  }

  /** The graph of the step of this number, built when it is first asked for. */
  graph(step: number): Nodes {
    const known = this.#graphs[step];
    if (known !== undefined) return known;
    const nodes = new Nodes();
    buildStep(nodes, this.limits[step], this.#memory);
    this.#graphs[step] = nodes;
    return nodes;
  }

  /** The buffer for each memory that the graphs name. */
  bind({ weights, cache, frequencies, chosen }: ModelBuffers): ReadonlyMap<Memory, Buffer> {
    const buffers = new Map([[this.#frequencies, frequencies]]);
    if (this.#chosen !== undefined && chosen !== undefined) buffers.set(this.#chosen, chosen);
    this.#weights.forEach((memory, i) => {
      buffers.set(memory, weights[i]);
    });
    this.#cache.forEach((memory, i) => {
      buffers.set(memory, cache[i]);
    });
    return buffers;
  }
}

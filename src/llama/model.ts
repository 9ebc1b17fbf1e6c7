import { type Device, ReleasedError } from "../runtime/index.ts";
import { MATMUL_MIN_ROWS } from "../tensor/index.ts";
import { type BatchLimits, checkRows, type Row, splitRows } from "./batch.ts";
import { KvCache, type KvType } from "./cache.ts";
import type { LlamaConfig } from "./config.ts";
import { packTables, type RopeTables } from "./rope_tables.ts";
import { Sequence } from "./sequence.ts";
import { Step, type StepParts } from "./step.ts";
import type { WeightBuffers } from "./weight_buffers.ts";
import type { LlamaWeights, WeightPlace } from "./weights.ts";

/** Rows of one step that can have logits: each costs a product with the vocabulary and a row of output memory. */
const LOGIT_ROWS = 16;

export type ModelOptions = {
  readonly contextLength: number;
  readonly batchSize: number;
  readonly maxSequences: number;
  readonly kvType: KvType;
};

/**
 * A model on a device: the weights, the KV cache and the compiled steps. There is one for a single row (a generated
 * token), one for the few rows that are best multiplied one by one (tokens of several sequences), and one for up to
 * `batchSize` rows (prompts). Rows go in, logits come out; text is not its business.
 */
export class Model implements Disposable {
  readonly weights: WeightBuffers;
  readonly cache: KvCache;
  /** By size, the smallest first. */
  readonly steps: readonly Step[];
  readonly #vocabularySize: number;
  readonly #owned: DisposableStack;
  /** Settles when the call that runs now, and all that wait before the next one, are done. */
  #turn: Promise<void> = Promise.resolve();

  /** The weights stay the caller's, who disposes them after the model. */
  constructor(
    device: Device,
    config: LlamaConfig,
    places: LlamaWeights<WeightPlace>,
    weights: WeightBuffers,
    rope: RopeTables,
    options: ModelOptions,
  ) {
    using owned = new DisposableStack();
    this.weights = weights;
    const frequencies = owned.use(
      device.bufferFrom(packTables(rope), {
        label: "rope frequencies",
        storage: weights.placement === "private" ? "private" : "shared",
      }),
    );
    this.cache = owned.use(new KvCache(device, config, options));
    const parts: StepParts = { config, places, weights, rope, frequencies, cache: this.cache };
    this.steps = stepLimits(options.batchSize).map((limits) => owned.use(new Step(device, parts, limits)));
    this.#vocabularySize = config.vocabularySize;
    this.#owned = owned.move();
  }

  /** The step of one row. */
  get single(): Step {
    return this.steps[0];
  }

  /** Bytes that intermediate results take. */
  get activationBytes(): number {
    return this.steps.reduce((sum, step) => sum + step.plan.arenaBytes, 0);
  }

  /** Opens an empty sequence, which the caller disposes. */
  openSequence(): Sequence {
    this.#checkAlive();
    return new Sequence(this.cache);
  }

  /**
   * Runs rows in as many steps as they need; calls run one after the other. If a step fails or is aborted, the
   * sequences are left as they were before that step.
   *
   * @param onLogits Gets the logits after each row that wants them, in order. They are valid during the call only.
   * @param signal Ends the work between two steps.
   */
  async run(
    rows: readonly Row[],
    onLogits: (logits: Float32Array) => void,
    signal?: AbortSignal,
  ): Promise<void> {
    const before = this.#turn;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#turn = promise;
    await before;
    try {
      this.#checkAlive();
      checkRows(rows, this.cache, this.#vocabularySize);
      for (const part of splitRows(rows, this.#largest.limits)) {
        signal?.throwIfAborted();
        await this.#step(part, onLogits);
      }
    } finally {
      resolve();
    }
  }

  async #step(rows: readonly Row[], onLogits: (logits: Float32Array) => void): Promise<void> {
    const step = this.steps.find(({ limits }) => rows.length <= limits.rows) ?? this.#largest;
    try {
      step.prepare(rows);
      await step.run();
      this.#checkAlive();
    } catch (error) {
      for (const { sequence, position } of rows) {
        if (sequence.isOpenIn(this.cache) && sequence.length > position) sequence.rewind(position);
      }
      throw error;
    }
    let wanted = 0;
    for (const row of rows) if (row.wantsLogits) onLogits(step.logits(wanted++));
  }

  get #largest(): Step {
    return this.steps[this.steps.length - 1];
  }

  #checkAlive(): void {
    if (this.#owned.disposed) throw new ReleasedError("The model was disposed before this use");
  }

  /** Releases everything on the device. Work in flight finishes first; whoever awaits it gets a ReleasedError. */
  [Symbol.dispose](): void {
    this.#owned.dispose();
  }
}

/** Rows of each step. */
export function stepSizes(batchSize: number): number[] {
  return [1, MATMUL_MIN_ROWS - 1, batchSize].filter(
    (size, i, sizes) => size <= batchSize && sizes.indexOf(size) === i,
  );
}

/** Limits of each step. */
export function stepLimits(batchSize: number): BatchLimits[] {
  return stepSizes(batchSize).map((rows) => ({ rows, logitRows: Math.min(rows, LOGIT_ROWS) }));
}

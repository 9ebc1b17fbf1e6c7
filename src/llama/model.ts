import { type Buffer, type Device, ReleasedError } from "../runtime/index.ts";
import { compileNodes, FROM_CHOSEN, type Memory } from "../tensor/index.ts";
import { checkRows, type Row, splitRows } from "./batch.ts";
import { KvCache } from "./cache.ts";
import { ChosenTokens } from "./chosen.ts";
import type { ChoosingModel } from "./lookahead.ts";
import type { ModelGraphs, ModelOptions, ModelParts } from "./model_graphs.ts";
import { Pace } from "./pace.ts";
import { packTables } from "./rope_tables.ts";
import { Sequence } from "./sequence.ts";
import { Step } from "./step.ts";
import type { WeightBuffers } from "./weight_buffers.ts";

/** A step that was submitted; `done` is undefined where that failed. */
type Flight = { readonly step: Step; readonly rows: readonly Row[]; done: Promise<void> | undefined };

/**
 * A model on a device: the weights, the KV cache and the compiled steps. Rows go in, logits come out; text is not its
 * business.
 */
export class Model implements Disposable {
  readonly weights: WeightBuffers;
  readonly cache: KvCache;
  /** The step of one row. */
  readonly single: Step;
  /** How the device chooses tokens; undefined where the host chooses all. */
  readonly choosing: ChoosingModel | undefined;
  readonly #device: Device;
  readonly #graphs: ModelGraphs;
  readonly #buffers: ReadonlyMap<Memory, Buffer>;
  /** As `graphs.limits`; those that nobody has needed yet are not there. */
  readonly #steps: (Step | undefined)[] = [];
  readonly #vocabularySize: number;
  readonly #owned: DisposableStack;
  /** That are on their way at once. A device that is the CPU itself gains nothing by more. */
  readonly #mostSteps: number;
  /** Settles when the call that runs now, and all that wait before the next one, are done. */
  #turn: Promise<void> = Promise.resolve();

  /**
   * Compiles the step of one row; others are compiled when they are first needed.
   *
   * @param graphs Of the same parts. Checked against the device's memory, for those that are compiled later too.
   * @param weights They stay the caller's, who disposes them after the model.
   */
  constructor(
    device: Device,
    parts: ModelParts,
    graphs: ModelGraphs,
    weights: WeightBuffers,
    options: ModelOptions,
  ) {
    using owned = new DisposableStack();
    this.weights = weights;
    this.cache = owned.use(new KvCache(device, parts.cache, options));
    const frequencies = owned.use(
      device.bufferFrom(packTables(parts.rope), {
        label: "rope frequencies",
        storage: weights.placement === "private" ? "private" : "shared",
      }),
    );
    const chosen = graphs.chosen && owned.use(new ChosenTokens(device, graphs.chosen));
    this.#device = device;
    this.#mostSteps = device.info.serialLanes ? 1 : 3;
    this.#graphs = graphs;
    this.#buffers = graphs.bind({
      weights: weights.buffers,
      cache: this.cache.buffers,
      frequencies,
      chosen: chosen?.buffer,
    });
    this.#vocabularySize = parts.config.vocabularySize;
    this.single = this.#compile(0, owned);
    this.choosing = chosen && this.#choosing(chosen);
    this.#owned = owned.move();
  }

  /** Bytes that intermediate results take, of the steps that were needed so far. */
  get activationBytes(): number {
    return this.#steps.reduce((sum, step) => sum + (step?.plan.arenaBytes ?? 0), 0);
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
      for (const { sequence } of rows) if (sequence.isOpenIn(this.cache)) sequence.forgetReserved();
      checkRows(rows, this.cache, this.#vocabularySize);
      const parts = splitRows(rows, this.#graphs.limits[this.#graphs.limits.length - 1]);
      await this.#runSteps(parts, onLogits, signal);
    } finally {
      resolve();
    }
  }

  /** Steps without logits need not be waited for before the next one: the device does what it is given in order. */
  async #runSteps(
    parts: Iterable<readonly Row[]>,
    onLogits: (logits: Float32Array) => void,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const flights: Flight[] = [];
    const land = async ({ step, rows, done }: Flight): Promise<void> => {
      await done;
      this.#checkAlive();
      flights.shift();
      let wanted = 0;
      for (const row of rows) if (row.wantsLogits) onLogits(step.logits(wanted++));
    };
    try {
      for (const rows of parts) {
        signal?.throwIfAborted();
        const flight: Flight = { step: this.#stepFor(rows.length), rows, done: undefined };
        flights.push(flight);
        flight.step.prepare(rows);
        flight.done = flight.step.run();
        flight.done.catch(() => {}); // whoever awaits it hears of it
        // Logits are there until the step runs again.
        const most = rows.some(({ wantsLogits }) => wantsLogits) ? 0 : this.#mostSteps - 1;
        while (flights.length > most) await land(flights[0]);
      }
      while (flights.length > 0) await land(flights[0]);
    } catch (error) {
      await this.#rewindFailed(flights);
      throw error;
    }
  }

  /** Takes the sequences back to before the first step that failed, once all are over. */
  async #rewindFailed(flights: readonly Flight[]): Promise<void> {
    const results = await Promise.allSettled(flights.map(({ done }) => done));
    const failed = results.findIndex(
      ({ status }, i) => status === "rejected" || flights[i].done === undefined,
    );
    if (failed < 0) return;
    for (const { rows } of flights.slice(failed)) {
      for (const { sequence, position } of rows) {
        if (sequence.isOpenIn(this.cache) && sequence.length > position) sequence.rewind(position);
      }
    }
  }

  /** Steps whose logits nobody gets need not wait for a turn: the device does what it is given in order. */
  #choosing(chosen: ChosenTokens): ChoosingModel {
    const place = (sequence: Sequence, position: number): number => chosen.place(sequence.index, position);
    return {
      layout: chosen.layout,
      pace: new Pace(),
      checkAlive: () => this.#checkAlive(),
      place,
      read: (at) => {
        this.#checkAlive();
        return chosen.read(at, this.#vocabularySize);
      },
      submit: (sequence, token, choices) => {
        this.#checkAlive();
        return this.single.runEach(choices.length, (i) => {
          const position = sequence.nextPosition;
          const from = i === 0 ? token : undefined;
          const input = from ?? FROM_CHOSEN + place(sequence, position - 1);
          this.single.prepareChoice(sequence, input, choices[i], place(sequence, position));
        });
      },
    };
  }

  /** The smallest step that takes so many rows. */
  #stepFor(rows: number): Step {
    return this.#compile(
      this.#graphs.limits.findIndex((limits) => rows <= limits.rows),
      this.#owned,
    );
  }

  /** Makes the step of this number, unless it is there. Where that fails, all is as it was. */
  #compile(size: number, owned: DisposableStack): Step {
    const known = this.#steps[size];
    if (known !== undefined) return known;
    const plan = owned.use(compileNodes(this.#device, this.#graphs.graph(size), this.#buffers));
    const step = new Step(plan, this.cache, this.#graphs.limits[size], this.#graphs.chosen !== undefined);
    this.#steps[size] = step;
    return step;
  }

  #checkAlive(): void {
    if (this.#owned.disposed) throw new ReleasedError("The model was disposed before this use");
  }

  /** Releases everything on the device. Work in flight finishes first; whoever awaits it gets a ReleasedError. */
  [Symbol.dispose](): void {
    this.#owned.dispose();
  }
}

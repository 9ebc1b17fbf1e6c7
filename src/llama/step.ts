import type { Plan } from "../tensor/index.ts";
import type { BatchLimits, Row } from "./batch.ts";
import type { KvCache } from "./cache.ts";
import type { Sequence } from "./sequence.ts";
import { choosesTokens, picksRows } from "./step_graph.ts";

/**
 * The forward pass for up to a number of rows, as one program. What changes from run to run travels in the run's
 * dynamic words, which are written in place: a run allocates nothing on either side.
 */
export class Step {
  readonly limits: BatchLimits;
  readonly plan: Plan;
  readonly #cache: KvCache;
  readonly #tokens: Uint32Array;
  readonly #positions: Uint32Array;
  readonly #sequences: Uint32Array;
  readonly #slots: Uint32Array;
  readonly #logitRows: Uint32Array | undefined; // undefined where all rows have logits
  readonly #blockTables: Uint32Array;
  /** Undefined where the step chooses no tokens. */
  readonly #choice: { readonly words: Uint32Array; readonly places: Uint32Array } | undefined;
  /** Views of the output buffer, one for each row of logits, [vocabulary]. */
  readonly #logits: readonly Float32Array[];

  /**
   * @param plan What `buildStep` makes, compiled. It stays the caller's.
   * @param canChoose Whether there is memory for tokens that the device chooses.
   */
  constructor(plan: Plan, cache: KvCache, limits: BatchLimits, canChoose: boolean) {
    this.limits = limits;
    this.plan = plan;
    this.#cache = cache;
    this.#tokens = plan.u32("tokens");
    this.#positions = plan.u32("positions");
    this.#sequences = plan.u32("sequences");
    this.#slots = plan.u32("slots");
    this.#logitRows = picksRows(limits, canChoose) ? plan.u32("wanted") : undefined;
    this.#choice = choosesTokens(limits, canChoose)
      ? { words: plan.u32("choices"), places: plan.u32("places") }
      : undefined;
    this.#blockTables = plan.u32("blockTables");
    const logits = plan.f32("logits");
    const vocabulary = logits.length / limits.logitRows;
    this.#logits = Array.from({ length: limits.logitRows }, (_, i) =>
      logits.subarray(i * vocabulary, (i + 1) * vocabulary),
    );
  }

  /** Takes the rows' positions in the cache and fills the dynamic words. */
  prepare(rows: readonly Row[]): void {
    let wanted = 0;
    for (let i = 0; i < rows.length; i++) {
      const { token, position, sequence, wantsLogits } = rows[i];
      this.#putRow(i, token, position, sequence.index, sequence.append(token));
      if (wantsLogits && this.#logitRows !== undefined) this.#logitRows[wanted++] = i;
    }
    this.#finish(rows.length, wanted, 0);
  }

  /**
   * Reserves the next position of a sequence and fills the words for a step of one row there, after which the device chooses
   * a token. Nobody gets the logits.
   *
   * @param token one of the vocabulary, or FROM_CHOSEN and the place of one that was chosen
   * @param choice CHOICE_WORDS of a sampler
   * @param place where the token that is chosen goes
   */
  prepareChoice(sequence: Sequence, token: number, choice: Uint32Array, place: number): void {
    if (this.#choice === undefined) throw new TypeError("The step chooses no tokens");
    const position = sequence.nextPosition;
    this.#putRow(0, token, position, sequence.index, sequence.reserve());
    this.#choice.words.set(choice);
    this.#choice.places[0] = place;
    this.#finish(1, 0, 1);
  }

  /** Submits what was prepared: one native call. Resolves when the logits are there. */
  run(): Promise<void> {
    return this.plan.runAsync();
  }

  /** Submits runs, each of which `prepare` prepares, in one native call. Resolves when all are done. */
  runEach(runs: number, prepare: (run: number) => void): Promise<void> {
    return this.plan.runEachAsync(runs, prepare);
  }

  /** The logits of the `index`th row that wanted some, valid until the next run. */
  logits(index: number): Float32Array {
    return this.#logits[index];
  }

  #putRow(row: number, token: number, position: number, sequence: number, slot: number): void {
    this.#tokens[row] = token;
    this.#positions[row] = position;
    this.#sequences[row] = sequence;
    this.#slots[row] = slot;
  }

  /** After all rows: one that writes into a shared block changes the table. */
  #finish(rows: number, wanted: number, choices: number): void {
    this.#blockTables.set(this.#cache.blocks.entries);
    this.plan.setRows("rows", rows);
    if (this.#logitRows !== undefined) this.plan.setRows("wantedRows", wanted);
    if (this.#choice !== undefined) this.plan.setRows("choiceRows", choices);
  }
}

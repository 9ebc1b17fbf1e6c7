import type { Plan } from "../tensor/index.ts";
import type { BatchLimits, Row } from "./batch.ts";
import type { KvCache } from "./cache.ts";
import { picksRows } from "./step_graph.ts";

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
  /** Views of the output buffer, one for each row of logits, [vocabulary]. */
  readonly #logits: readonly Float32Array[];

  /** @param plan What `buildStep` makes, compiled. It stays the caller's. */
  constructor(plan: Plan, cache: KvCache, limits: BatchLimits) {
    this.limits = limits;
    this.plan = plan;
    this.#cache = cache;
    this.#tokens = plan.u32("tokens");
    this.#positions = plan.u32("positions");
    this.#sequences = plan.u32("sequences");
    this.#slots = plan.u32("slots");
    this.#logitRows = picksRows(limits) ? plan.u32("wanted") : undefined;
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
}

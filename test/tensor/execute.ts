// Runs a recipe on a device and by the reference, and says how far they are apart.
import type { Buffer, Device } from "../../src/runtime/index.ts";
import { Graph, type Plan, type ScheduleOptions } from "../../src/tensor/index.ts";
import { interpret, type ReferenceValue } from "../reference/tensor.ts";
import { buildRecipe, type Leaf, leafName, outputName, type Recipe } from "./recipe.ts";

export type RowCounts = { readonly rows: number; readonly picked: number };

/** A recipe that is compiled, with the buffers of its constants. */
export class Execution implements Disposable {
  readonly #recipe: Recipe;
  readonly #owned = new DisposableStack();
  readonly #caches = new Map<number, Buffer>();
  readonly plan: Plan;

  constructor(device: Device, recipe: Recipe, options: ScheduleOptions = {}) {
    this.#recipe = recipe;
    const graph = new Graph(device);
    buildRecipe(graph, recipe, (leaf, shape) => {
      const data = leaf.dtype === "f16" ? new Float16Array(leaf.values) : leaf.values;
      const buffer = this.#owned.use(device.bufferFrom(data));
      if (leaf.kind === "cache") this.#caches.set(leaf.id, buffer);
      return graph.constant(buffer, leaf.dtype, shape);
    });
    this.plan = this.#owned.use(graph.compile(options));
    for (const leaf of recipe.leaves) {
      if (leaf.kind === "input" || leaf.kind === "words") this.plan.set(leafName(leaf.id), leaf.values);
    }
  }

  /**
   * Runs once from fresh caches.
   *
   * @returns the largest difference of any output or cache to the reference, relative to the largest number there
   */
  error(counts: RowCounts): number {
    const { leaves, steps, outputs } = this.#recipe;
    for (const leaf of leaves) if (leaf.kind === "cache") this.#caches.get(leaf.id)?.upload(leaf.values);
    for (const { id } of outputs) this.plan.bytes(outputName(id)).fill(0xff); // NaN
    this.plan.setRows("rows", counts.rows).setRows("picked", counts.picked).run();

    const values = new Map(leaves.map((leaf) => [leaf.id, leafValue(leaf, counts)]));
    interpret(values, steps);
    const errors = outputs.map(({ id }) => difference(this.plan.f32(outputName(id)), values.get(id)));
    for (const [id, buffer] of this.#caches)
      errors.push(difference(buffer.view(Float32Array), values.get(id)));
    return Math.max(...errors);
  }

  [Symbol.dispose](): void {
    this.#owned.dispose();
  }
}

/** A leaf as the reference sees it in a run of so many rows. */
function leafValue({ rows, n, values }: Leaf, counts: RowCounts): ReferenceValue {
  const length = Math.max(1, n);
  const count = typeof rows === "number" ? rows : counts[rows];
  return { rows: count, n: length, data: Float64Array.from(values.subarray(0, count * length)) };
}

function difference(found: Float32Array, expected: ReferenceValue | undefined): number {
  if (expected === undefined) throw new Error("the reference did not compute an output");
  let largest = 1;
  for (const value of expected.data) largest = Math.max(largest, Math.abs(value));
  let error = 0;
  expected.data.forEach((value, i) => {
    const apart = Math.abs(found[i] - value);
    error = Math.max(error, Number.isNaN(apart) ? Number.POSITIVE_INFINITY : apart);
  });
  return error / largest;
}

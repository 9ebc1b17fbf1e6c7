// Prints the largest error over random graphs as JSON: a program of its own, because the CPU device reads its checks
// (BUN_METAL_CPU_CHECK) when it is opened. Arguments: first seed, number of graphs, "barriers" or "no-barriers".
import { Device } from "../../src/runtime/index.ts";
import { Execution } from "../tensor/execute.ts";
import { MAX_PICKED, MAX_ROWS, randomRecipe } from "../tensor/recipe.ts";

const [firstSeed, count, mode] = process.argv.slice(2);
using device = Device.open("cpu");
const worst = { seed: -1, error: 0 };
for (let seed = Number(firstSeed); seed < Number(firstSeed) + Number(count); seed++) {
  using execution = new Execution(device, randomRecipe(seed, 24), { barriers: mode === "barriers" });
  const error = execution.error({ rows: MAX_ROWS, picked: MAX_PICKED });
  if (error > worst.error) Object.assign(worst, { seed, error });
}
// JSON has no infinity.
console.log(JSON.stringify({ ...worst, error: Math.min(worst.error, Number.MAX_VALUE) }));

// How long the parts of loading a model take, from the page cache:
//   bun run test/bench/load.ts [--device cuda] [--models 1.1b-q8_0] [--rounds 5]
// The first load of the process is told apart: it opens the device, and compiles what no cache of the driver's has.
import { Llama, type LoadProgress } from "../../mod.ts";
import { table } from "./cells.ts";
import { benchDirectory, modelFile, readAll } from "./model_files.ts";
import type { BenchModel } from "./models.ts";
import { chooseModel, parseOptions, refused } from "./options.ts";
import { summarise } from "./statistics.ts";

const stages = [
  "reading the file",
  "opening the device",
  "placing the weights",
  "preparing kernels",
] as const;

try {
  const values = parseOptions({
    options: {
      device: { type: "string", default: "auto" },
      models: { type: "string", default: "1.1b-q8_0" },
      rounds: { type: "string", default: "5" },
    },
  });
  const models = values.models.split(",").map((word) => chooseModel("models", word));
  console.log(table(["model", "load", ...stages, "first token", "GB/s of the weights"], []).join("\n"));
  for (const model of models) await measure(model, values.device, Number(values.rounds));
} catch (error) {
  process.exitCode = refused("load", error);
}

/** A line for the first load, and one for the others. */
async function measure(model: BenchModel, device: string, count: number): Promise<void> {
  const path = modelFile(model, benchDirectory, console.error);
  readAll(path);
  const rounds: number[][] = [];
  for (let round = 0; round <= count; round++) {
    const begins = new Map<LoadProgress["stage"], number>();
    const onProgress = ({ stage }: LoadProgress): void => {
      if (!begins.has(stage)) begins.set(stage, performance.now());
    };
    const start = performance.now();
    using llama = await Llama.load(path, { device, onProgress });
    const loaded = performance.now();
    for await (const _text of llama.generate([1, 5, 7], { maxTokens: 1, temperature: 0 }));
    const first = performance.now() - loaded;
    const at = [...stages, "ready"].map((stage) => begins.get(stage as LoadProgress["stage"]) ?? Number.NaN);
    const parts = stages.map((_, i) => at[i + 1] - at[i]);
    const speed = llama.statistics.weightBytes / 1e6 / parts[2];
    rounds.push([loaded - start, ...parts, first, speed]);
  }
  const [cold, ...warm] = rounds;
  print(`${model.name}, first`, cold);
  print(
    model.name,
    cold.map((_, i) => summarise(warm.map((figures) => figures[i]))?.median ?? Number.NaN),
  );
}

function print(name: string, figures: readonly number[]): void {
  console.log(`| ${[name, ...figures.map((v) => v.toFixed(1))].join(" | ")} |`);
}

// The benchmark: this library and llama.cpp in turn on the same files, what the small model takes through the public API,
// and what the layers cost. `make bench ARGS=--help` says what there is to choose.
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { arch, availableParallelism, platform } from "node:os";
import { join, resolve } from "node:path";
import { Device } from "../../mod.ts";
import { ChildError, Children, Interrupted } from "./children.ts";
import { measureLayers } from "./layers.ts";
import { describeCommit, describeMachine } from "./machine.ts";
import { type Line, table } from "./measure.ts";
import { type BenchModel, benchModels, modelFile } from "./models.ts";
import { type BenchOptions, help, OptionError, readOptions, usualParts } from "./options.ts";
import { type About, markdown, rowsOf } from "./report.ts";
import { type Comparison, compareModel } from "./rounds.ts";
import { openSides } from "./sides.ts";
import { measureSmallModel } from "./small.ts";

const root = join(import.meta.dirname, "../..");
/** Models and programs that are made for a run, kept for the next. */
const directory = join(root, "build/bench");
const INTERRUPTED = 130;
const names = benchModels.map(({ name }) => name);

try {
  const options = readOptions(process.argv.slice(2), names, availableParallelism(), usualParts(platform()));
  if (options === undefined) console.log(help(names));
  else await measure(options);
} catch (error) {
  if (error instanceof Interrupted) {
    process.exitCode = INTERRUPTED;
  } else if (error instanceof OptionError || error instanceof ChildError) {
    console.error(`bench: ${error.message}`);
    process.exitCode = error instanceof OptionError ? 2 : 1;
  } else throw error;
}

async function measure(options: BenchOptions): Promise<void> {
  if (options.only.includes("llama.cpp")) await compare(options);
  if (!options.only.includes("small") && !options.only.includes("layers")) return;
  using device = Device.open();
  const lines: Line[] = [];
  if (options.only.includes("small")) lines.push(...(await measureSmallModel(device, options.rounds)));
  if (options.only.includes("layers")) lines.push(...(await measureLayers(device, options.rounds)));
  const about = { ...aboutRun(options), device: device.info, bun: Bun.version };
  const json = `${JSON.stringify({ about, lines }, undefined, 2)}\n`;
  const title = `${device.info.name}, Bun ${Bun.version}, ${options.rounds} rounds`;
  console.log(`${title}\n\n${table(lines)}`);
  if (options.json !== undefined) {
    writeFileSync(options.json, json);
    return;
  }
  const path = resultPath(options, options.only.filter((part) => part !== "llama.cpp").join("_and_"));
  writeFileSync(`${path}.json`, json);
  const page = [
    "# Our layers and the small model",
    "",
    `${title}. ${about.date}, commit ${about.commit}.`,
    "",
    table(lines),
    "",
  ];
  writeFileSync(`${path}.md`, page.join("\n"));
}

/** Measures both sides. What there is by then is printed and written, whatever ends it. */
async function compare(options: BenchOptions): Promise<void> {
  const sides = await openSides(options, directory);
  const [bandwidth, busy] = [program("bandwidth"), program("busy")];
  const models = benchModels.filter(({ name }) => options.models?.includes(name) ?? true);
  const comparison: Comparison = { runs: [], choices: [], failures: [] };
  await using children = new Children();
  try {
    await using _load = options.load ? children.start([busy]) : undefined;
    for (const model of models) {
      const file = modelFile(model, directory, console.log);
      // A signal that came meanwhile is heard here.
      await new Promise((resolve) => setImmediate(resolve));
      children.check();
      await compareModel(model, file, sides, options, { children, bandwidth, log: console.log }, comparison);
      write(options, models, comparison);
    }
  } finally {
    if (comparison.runs.length > 0) console.log(`\n${write(options, models, comparison)}`);
  }
}

function program(name: string): string {
  const path = join(directory, name);
  if (!existsSync(path)) throw new OptionError(`There is no ${path}: make bench compiles it`);
  return path;
}

/** Writes what was measured, and returns the Markdown. */
function write(options: BenchOptions, models: readonly BenchModel[], comparison: Comparison): string {
  const about = aboutRun(options);
  const rows = models.flatMap((model) => rowsOf(model, comparison.runs));
  const page = markdown(about, models, comparison);
  const path = resultPath(options, "llama_cpp");
  writeFileSync(`${path}.md`, page);
  writeFileSync(`${path}.json`, `${JSON.stringify({ about, rows, ...comparison }, undefined, 2)}\n`);
  return page;
}

/** Where results go, without an ending: the name says what they depend on. */
function resultPath(options: BenchOptions, what: string): string {
  const parts = [
    what,
    platform(),
    arch(),
    `${options.threads}_threads`,
    ...(options.instructions === undefined ? [] : [options.instructions]),
    ...(options.load ? ["load"] : []),
    ...(options.quick ? ["quick"] : []),
  ];
  const output = resolve(root, options.output);
  mkdirSync(output, { recursive: true });
  return join(output, parts.join("-"));
}

function aboutRun(options: BenchOptions): About {
  return {
    date: new Date().toISOString(),
    commit: describeCommit(),
    command: `make bench ARGS='${process.argv.slice(2).join(" ")}'`,
    machine: describeMachine(),
    threads: options.threads,
    load: options.load,
    instructions: options.instructions === undefined ? "all instructions" : `held to ${options.instructions}`,
    rounds: options.rounds,
  };
}

// The benchmark: this library and llama.cpp in turn on the same files, what the small model takes through the public API,
// and what the layers cost. `make bench ARGS=--help` says what there is to choose.
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { arch, availableParallelism, platform } from "node:os";
import { join, resolve } from "node:path";
import { ChildError, Children, INTERRUPTED, Interrupted } from "./children.ts";
import { describeCommit, describeMachine } from "./machine.ts";
import { reportTable } from "./measure.ts";
import { benchDirectory, modelFile } from "./model_files.ts";
import { type BenchModel, benchModels } from "./models.ts";
import { type BenchOptions, help, OptionError, type Part, readOptions, usualParts } from "./options.ts";
import type { OwnFigures, OwnTask } from "./own.ts";
import { type About, aboutLines, markdown, rowsOf } from "./report.ts";
import { type Comparison, compareModel } from "./rounds.ts";
import { openSides, ourEnvironment } from "./sides.ts";
import { type Turns, takeModelTurns, turnsTable } from "./turns.ts";

const root = join(import.meta.dirname, "../..");
/** A round of the small model and the layers takes seconds; one that takes so many hangs. */
const OWN_SECONDS = 300;
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

/** Measures the parts in turn. What there is by then is printed and written, whatever ends it. */
async function measure(options: BenchOptions): Promise<void> {
  await using children = new Children();
  await using _load = options.load ? children.start([program("busy")]) : undefined;
  if (options.only.includes("llama.cpp")) await compare(options, children);
  if (options.only.includes("turns")) await takeTurns(options, children);
  const own = options.only.filter((part) => part === "small" || part === "layers");
  if (own.length > 0) await measureOwn(own, options, children);
}

async function compare(options: BenchOptions, children: Children): Promise<void> {
  const sides = await openSides(options, benchDirectory);
  const tools = { children, bandwidth: program("bandwidth"), log: console.log };
  const models = chosenModels(options);
  const comparison: Comparison = { runs: [], choices: [], failures: [] };
  try {
    for (const model of models) {
      const file = await bringFile(model, children);
      await compareModel(model, file, sides, options, tools, comparison);
      write(options, models, comparison);
    }
  } finally {
    if (comparison.runs.length > 0) console.log(`\n${write(options, models, comparison)}`);
  }
}

async function takeTurns(options: BenchOptions, children: Children): Promise<void> {
  const sides = await openSides(options, benchDirectory);
  const all: Turns[] = [];
  try {
    for (const model of chosenModels(options)) {
      const turns: Turns = { model: model.name, ours: [], theirs: [] };
      all.push(turns);
      const file = await bringFile(model, children);
      await takeModelTurns(model, file, sides, options, children, turns);
    }
  } finally {
    const turns = all.filter(({ ours }) => ours.length > 0);
    if (turns.length > 0) console.log(`\n${writeTurns(options, turns)}`);
  }
}

function writeTurns(options: BenchOptions, turns: readonly Turns[]): string {
  const about = aboutRun(options);
  const title = "# Generation in turn with llama.cpp";
  const page = [title, "", ...aboutLines(about), "", turnsTable(turns), ""].join("\n");
  writeResult(options, "turns", page, { about, turns });
  return page;
}

/** The model's file, which is made if it is not there. */
async function bringFile(model: BenchModel, children: Children): Promise<string> {
  const file = modelFile(model, benchDirectory, console.log);
  // A signal that came meanwhile is heard here.
  await new Promise((resolve) => setImmediate(resolve));
  children.check();
  return file;
}

function chosenModels(options: BenchOptions): readonly BenchModel[] {
  return benchModels.filter(({ name }) => options.models?.includes(name) ?? true);
}

async function measureOwn(parts: readonly Part[], options: BenchOptions, children: Children): Promise<void> {
  const task: OwnTask = { parts, rounds: options.rounds };
  const command = [process.execPath, "run", join(import.meta.dirname, "own.ts"), JSON.stringify(task)];
  const seconds = OWN_SECONDS * (1 + options.rounds);
  const environment = ourEnvironment(options);
  const said = await children.run(parts.join(" and "), command, seconds, environment);
  const { device, lines } = said as OwnFigures;
  const about = { ...aboutRun(options), device, bun: Bun.version };
  const title = `${device.name}, Bun ${Bun.version}, ${options.rounds} rounds`;
  console.log(`${title}\n\n${reportTable(lines)}`);
  if (options.json !== undefined) {
    writeJson(options.json, { about, lines });
    return;
  }
  const what = `${title}. ${about.threads} threads; ${about.instructions}${about.load ? "; another process keeps one processor busy" : ""}.`;
  const made = `${about.date}, commit ${about.commit}, \`${about.command}\`.`;
  const page = ["# The small model and the layers", "", what, made, "", reportTable(lines), ""];
  writeResult(options, parts.join("_and_"), page.join("\n"), { about, lines });
}

function program(name: string): string {
  const path = join(benchDirectory, name);
  if (!existsSync(path)) throw new OptionError(`There is no ${path}: make bench compiles it`);
  return path;
}

/** Writes what was measured, and returns the Markdown. */
function write(options: BenchOptions, models: readonly BenchModel[], comparison: Comparison): string {
  const about = aboutRun(options);
  const rows = models.flatMap((model) => rowsOf(model, comparison.runs));
  const page = markdown(about, models, comparison);
  writeResult(options, "llama_cpp", page, { about, rows, ...comparison });
  return page;
}

/** Writes a page, and as JSON what it was made of. */
function writeResult(options: BenchOptions, what: string, page: string, figures: object): void {
  const path = resultPath(options, what);
  writeFileSync(`${path}.md`, page);
  writeJson(`${path}.json`, figures);
}

function writeJson(path: string, figures: object): void {
  writeFileSync(path, `${JSON.stringify(figures, undefined, 2)}\n`);
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

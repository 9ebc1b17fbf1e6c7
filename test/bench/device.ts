// How fast models run on one device, through the public API, beside what the device copies and what PyTorch reaches on it.
// `bun run test/bench/device.ts --help` says what there is to choose. Each model is measured in a process of its own. What
// there is is printed and written as it comes; what there is no time for is said.
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Device, type DeviceInfo } from "../../mod.ts";
import { ChildError, Children, INTERRUPTED, Interrupted } from "./children.ts";
import { cardIndex, describeCard } from "./device/card.ts";
import type { Flatness, FlatnessTask } from "./device/flatness.ts";
import { type DeviceOptions, deviceHelp, readDeviceOptions } from "./device/options.ts";
import type { QuotedProduct, QuotedProductTask } from "./device/quoted_product.ts";
import { markdown } from "./device/report.ts";
import type { DeviceResults } from "./device/results.ts";
import type { ModelFigures, ModelTask } from "./device/task.ts";
import { measureTorch } from "./device/torch.ts";
import { describeCommit, describeMachine } from "./machine.ts";
import { modelFile } from "./model_files.ts";
import type { BenchModel } from "./models.ts";
import { refused } from "./options.ts";

/** Loads of a model after the first. */
const LOADS = 2;
/** Seconds that a process gets beside its budget, to end what it began. */
const GRACE_SECONDS = 60;
/** With fewer seconds than that no part is begun. */
const LEAST_SECONDS = 2;

/** One run: what it has found so far, and the files that it has made. */
class DeviceRun {
  readonly #options: DeviceOptions;
  readonly #children: Children;
  readonly #info: DeviceInfo;
  readonly #results: DeviceResults;
  readonly #end: number;
  readonly #made = new Set<string>();

  constructor(options: DeviceOptions, children: Children, info: DeviceInfo, about: DeviceResults["about"]) {
    this.#options = options;
    this.#children = children;
    this.#info = info;
    this.#results = { about, models: {}, failures: [] };
    this.#end = performance.now() + 1e3 * options.budget;
  }

  /** All parts that are asked for. */
  async measure(): Promise<void> {
    const { parts, models } = this.#options;
    if (parts.includes("models")) for (const model of models) await this.#measureModel(model);
    if (parts.includes("product")) await this.#measureProduct();
    if (parts.includes("torch")) await this.#measurePeer();
    if (parts.includes("memory")) await this.#measureMemory();
  }

  /** Writes what there is, and returns it as a page. */
  save(): string {
    const { json, markdown: page } = this.#options;
    const text = markdown(this.#results);
    if (json !== undefined) write(json, `${JSON.stringify(this.#results, undefined, 2)}\n`);
    if (page !== undefined) write(page, text);
    return text;
  }

  removeFiles(): void {
    if (this.#options.keep) return;
    for (const path of this.#made) rmSync(path, { force: true });
    this.#made.clear();
  }

  async #measureModel(model: BenchModel): Promise<void> {
    await this.#attempt(model.name, async (budget) => {
      const { device, prompts, depths, tokens, rounds, batchSize, tokensInFlight, copyBytes } = this.#options;
      const task: ModelTask = {
        device,
        path: this.#file(model),
        prompts,
        depths,
        tokens,
        rounds,
        loads: LOADS,
        batchSize,
        tokensInFlight,
        copyBytes,
        budget,
      };
      const figures = (await this.#run(model.name, "generation", task, budget)) as ModelFigures;
      this.#results.models[model.name] = figures;
      this.#results.failures.push(
        ...figures.leftOut.map((what) => `${model.name}: ${what}, for want of time`),
      );
    });
    // The next one may need the room.
    const { parts, models } = this.#options;
    if (!parts.includes("memory") || model !== models.at(-1)) this.removeFiles();
  }

  async #measureProduct(): Promise<void> {
    await this.#attempt("the quoted product", async (budget) => {
      const { device, rounds, productCounts: counts } = this.#options;
      const task: QuotedProductTask = { device, rounds, counts };
      this.#results.product = (await this.#run("product", "quoted_product", task, budget)) as QuotedProduct;
    });
  }

  /** PyTorch, with the shape of the largest model. */
  async #measurePeer(): Promise<void> {
    await this.#attempt("PyTorch", async (budget) => {
      const { models, prompts, depths, tokens, copyBytes, python } = this.#options;
      const { shape } = models.reduce((a, b) => (b.shape.dim > a.shape.dim ? b : a));
      const device = this.#info.backend === "cuda" ? "cuda" : "cpu";
      const task = { ...shape, device, rows: prompts, depths, tokens, copyBytes, budget } as const;
      this.#results.torch = await measureTorch(this.#children, python, task, (line) => console.log(line));
    });
  }

  /** Minutes of generation with the last model. */
  async #measureMemory(): Promise<void> {
    const { device, models, tokensInFlight, minutes } = this.#options;
    const model = models[models.length - 1];
    await this.#attempt("memory", async (budget) => {
      const affordable = Math.min(minutes, budget / 60);
      const task: FlatnessTask = { device, path: this.#file(model), minutes: affordable, tokensInFlight };
      const run = (await this.#run("memory", "flatness", task, budget)) as Flatness;
      this.#results.flatness = { ...run, model: model.name };
    });
  }

  /** Does a part while there is time, notes it where it fails, and writes what there is. */
  async #attempt(what: string, work: (seconds: number) => Promise<void>): Promise<void> {
    // A signal that came meanwhile is heard here.
    await new Promise((resolve) => setImmediate(resolve));
    this.#children.check();
    const { failures } = this.#results;
    const seconds = (this.#end - performance.now()) / 1e3;
    if (seconds < LEAST_SECONDS) {
      failures.push(`${what}: for want of time`);
      return;
    }
    try {
      await work(seconds);
    } catch (error) {
      if (!(error instanceof ChildError || error instanceof RangeError)) throw error;
      // Of what a process printed as it ended, the line that says why.
      failures.push(`${what}: ${/^\w*Error: .+$/m.exec(error.message)?.[0] ?? error.message}`);
      console.error(error.message);
    }
    this.save();
  }

  #run(name: string, program: string, task: object, seconds: number): Promise<unknown> {
    const file = join(import.meta.dirname, "device", `${program}.ts`);
    const command = [process.execPath, "run", file, JSON.stringify(task)];
    return this.#children.run(name, command, seconds + GRACE_SECONDS, {}, (line) =>
      console.log(`${name}: ${line}`),
    );
  }

  /** A model's file, which is remembered where it is made. */
  #file(model: BenchModel): string {
    const start = performance.now();
    let isNew = false;
    const path = modelFile(model, this.#options.directories, (line) => {
      isNew = true;
      console.log(line);
    });
    if (isNew) {
      this.#made.add(path);
      console.log(`made in ${((performance.now() - start) / 1e3).toFixed(1)} s`);
    }
    return path;
  }
}

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

function describeDevice(name: string): DeviceInfo {
  using device = Device.open(name);
  return device.info;
}

async function measure(options: DeviceOptions): Promise<void> {
  const info = describeDevice(options.device);
  const about = {
    date: new Date().toISOString(),
    commit: describeCommit(),
    command: `bun run test/bench/device.ts ${process.argv.slice(2).join(" ")}`.trim(),
    device: info.name,
    card: info.backend === "cuda" ? await describeCard(cardIndex(info)) : undefined,
    machine: describeMachine(),
    bun: Bun.version,
    rounds: options.rounds,
    batchSize: options.batchSize,
  };
  console.log(`${about.device}, commit ${about.commit}, ${about.date}`);
  await using children = new Children();
  const run = new DeviceRun(options, children, info, about);
  try {
    await run.measure();
  } finally {
    run.removeFiles();
    console.log(`\n${run.save()}`);
  }
}

try {
  const options = readDeviceOptions(process.argv.slice(2));
  if (options === undefined) console.log(deviceHelp);
  else await measure(options);
} catch (error) {
  process.exitCode = error instanceof Interrupted ? INTERRUPTED : refused("device", error);
}

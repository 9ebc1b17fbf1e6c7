/** How each side is started: its program, what holds it to a number of threads and a set of instructions. */
import { existsSync, linkSync, mkdirSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { BOS } from "./model_files.ts";
import type { BenchModel } from "./models.ts";
import { type BenchOptions, type InstructionSet, instructionSets, OptionError } from "./options.ts";
import type { SideName, Task } from "./task.ts";

export type Side = {
  readonly name: SideName;
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Where its packages are. */
  readonly modules: string;
};

const here = import.meta.dirname;
const installed = join(here, "node_modules");
/** The first major version that node-llama-cpp runs in. */
const LEAST_NODE = 20;

/** Prepares both sides. @throws {OptionError} if llama.cpp cannot run here as it should */
export async function openSides(options: BenchOptions, directory: string): Promise<readonly [Side, Side]> {
  const { instructions } = options;
  const node = await findNode();
  if (!existsSync(join(installed, "node-llama-cpp")))
    throw new OptionError(
      "node-llama-cpp is not there: make bench installs it, --only small,layers does without",
    );
  mkdirSync(directory, { recursive: true });
  const program = join(directory, "llama_cpp.mjs");
  const built = await Bun.build({
    entrypoints: [join(here, "llama_cpp.ts")],
    outdir: directory,
    naming: "[name].mjs",
    target: "node",
  });
  if (!built.success) throw new AggregateError(built.logs, "llama_cpp.ts cannot be built for Node");
  return [
    {
      name: "ours",
      command: [process.execPath, "run", join(here, "ours.ts")],
      environment: ourEnvironment(options),
      modules: "",
    },
    {
      name: "llama.cpp",
      command: [node, program],
      environment: {},
      modules: instructions === undefined ? installed : restricted(instructions, directory),
    },
  ];
}

/** What both sides are told alike; `commandOf` adds the rest. */
export type SharedTask = Omit<Task, "modules" | "started">;
/** Of that what is not the model's or the options'. */
type Purposes = Pick<Task, "purpose" | "promptLengths" | "depths" | "tokens" | "flashAttention">;

export function taskOf(
  { shape }: BenchModel,
  model: string,
  { threads, budget }: BenchOptions,
  purposes: Purposes,
): SharedTask {
  return { model, vocabulary: shape.vocabulary, bos: BOS, threads, budget, ...purposes };
}

/** The command of a process that is started now. */
export function commandOf({ command, modules }: Side, task: SharedTask): string[] {
  const told: Task = { ...task, modules, started: Date.now() };
  return [...command, JSON.stringify(told)];
}

/** The variables that hold this library to what the options say. */
export function ourEnvironment({ threads, instructions }: BenchOptions): Readonly<Record<string, string>> {
  const held = { BUN_METAL_CPU_THREADS: String(threads) };
  return instructions === undefined ? held : { ...held, BUN_METAL_CPU_NATIVE: instructions };
}

async function findNode(): Promise<string> {
  const node = Bun.which("node");
  if (node === null)
    throw new OptionError(
      `There is no node on PATH, which llama.cpp's side needs: version ${LEAST_NODE} or later`,
    );
  const version = (await new Response(Bun.spawn([node, "--version"]).stdout).text()).trim();
  if (!(Number(/^v(\d+)\./.exec(version)?.[1]) >= LEAST_NODE))
    throw new OptionError(`${node} is ${version}, and node-llama-cpp needs ${LEAST_NODE} or later`);
  return node;
}

/**
 * llama.cpp ships a build of its kernels for each set of instructions and takes the best that it finds. A tree of links
 * to its packages, in which all others are missing, is how one is chosen.
 */
function restricted(instructions: InstructionSet, directory: string): string {
  const build = instructionSets[instructions];
  if (build === undefined) return installed;
  const platform = `${process.platform}-${process.arch}`;
  const name = `libggml-cpu-${build}.so`;
  const bins = join(installed, "@node-llama-cpp", platform, "bins", platform);
  if (!existsSync(join(bins, name)))
    throw new OptionError(
      `llama.cpp has no kernels for "${instructions}" on ${platform}: there is no ${name}`,
    );
  const tree = join(directory, `llama_cpp-${instructions}`, "node_modules");
  rmSync(tree, { recursive: true, force: true });
  copyLinked(installed, tree, (file) => !/^libggml-cpu-.*\.so$/.test(file) || file === name);
  return tree;
}

/** Directories are made and files linked: modules are looked for beside where they really are. */
function copyLinked(from: string, to: string, wanted: (file: string) => boolean): void {
  mkdirSync(to, { recursive: true });
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    if (entry.name === ".bin") continue;
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) copyLinked(source, target, wanted);
    else if (entry.isSymbolicLink()) symlinkSync(source, target);
    else if (wanted(entry.name)) linkSync(source, target);
  }
}

/** The options of `make bench`, and what all programs that measure say of theirs. */
import { type ParseArgsConfig, parseArgs } from "node:util";
import { type BenchModel, knownModel, knownModels } from "./models.ts";

/**
 * What can be measured: this library beside llama.cpp, generation alone in shorter turns, the small model that the repository
 * carries, and the layers.
 */
export const parts = ["llama.cpp", "turns", "small", "layers"] as const;
export type Part = (typeof parts)[number];

/** What is measured unless told: llama.cpp is compared with on the CPU, where both sides use it. */
export function usualParts(platform: string): readonly Part[] {
  return platform === "linux" ? ["llama.cpp", "small", "layers"] : ["small", "layers"];
}

/** Sets of instructions that both sides can be held to, and llama.cpp's build of its kernels for each. */
export const instructionSets = {
  avx512vnni: "cascadelake",
  avx512: "skylakex",
  avx2: "haswell",
  "x86-64-v2": "sse42",
  /** Ours alone: its kernels in MSL, against all that llama.cpp has. */
  msl: undefined,
} as const;
export type InstructionSet = keyof typeof instructionSets;

export type BenchOptions = {
  readonly only: readonly Part[];
  readonly rounds: number;
  /** Undefined: all. */
  readonly models: readonly string[] | undefined;
  readonly threads: number;
  /** Whether another process is busy meanwhile. */
  readonly load: boolean;
  readonly instructions: InstructionSet | undefined;
  readonly quick: boolean;
  /** Seconds for a figure of a round. */
  readonly budget: number;
  /** llama.cpp's flash attention; undefined: whichever is faster. */
  readonly flashAttention: boolean | undefined;
  readonly output: string;
  /** File for the figures of the small model and the layers; undefined: among the others. */
  readonly json: string | undefined;
};

export const RESULTS = "test/bench/results";

/** What is wrong with the command line. */
export class OptionError extends Error {
  override readonly name = "OptionError";
}

/** The text of `--help`. */
export function help(models: readonly string[]): string {
  return `make bench [ARGS='OPTIONS']: this library and llama.cpp in turn on the same files, and what the layers cost

  --only PART,...        what to measure: ${parts.join(", ")} (default: all but turns;
                         where the device is no CPU without llama.cpp, too). turns: generation
                         alone, both sides in turn every few seconds, for the least noise
  --models NAME,...      ${models.slice(0, 3).join(", ")},
                         ${models.slice(3).join(", ")} (default: all)
  --rounds N             rounds, in each of which every side runs once (default: 5)
  --quick                small models only, fewer rounds and less time for each figure
  --threads N            threads of both sides (default: as many as there are processors)
  --load                 with another process that keeps one processor busy
  --instructions SET     hold both sides to ${Object.keys(instructionSets).join(", ")}
                         (msl: our kernels in MSL, llama.cpp as it is)
  --flash-attention WHEN llama.cpp's: on, off, or auto, which is whichever is faster (default)
  --budget SECONDS       longest time for a figure; what takes longer is left out (default: 20)
  --output DIRECTORY     where the JSON and the Markdown go (default: ${RESULTS})
  --json FILE            figures of the small model and the layers go there alone, as JSON
  --help                 this text
`;
}

/**
 * Reads the command line. Returns undefined if help is wanted.
 *
 * @throws {OptionError} If an option or its value is unknown
 */
export function readOptions(
  words: readonly string[],
  models: readonly string[],
  processors: number,
  usual: readonly Part[],
): BenchOptions | undefined {
  const values = parse(words);
  if (values.help) return undefined;
  const instructions = values.instructions;
  if (instructions !== undefined && !isInstructionSet(instructions))
    throw unknown("instructions", instructions, Object.keys(instructionSets));
  const flash = choose("flash-attention", values["flash-attention"], ["on", "off", "auto"]);
  const quick = values.quick;
  return {
    only: list("only", values.only, parts) ?? usual,
    rounds: number("rounds", values.rounds ?? (quick ? "2" : "5"), 1, 1000, true),
    models:
      list("models", values.models, models) ??
      (quick ? models.filter((name) => name.startsWith("110m")) : undefined),
    threads: number("threads", values.threads ?? String(processors), 1, 256, true),
    load: values.load,
    instructions,
    quick,
    budget: number("budget", values.budget ?? (quick ? "3" : "20"), 0.1, 3600, false),
    flashAttention: flash === "auto" ? undefined : flash === "on",
    output: values.output,
    json: values.json,
  };
}

function parse(words: readonly string[]) {
  return parseOptions({
    args: [...words],
    options: {
      only: { type: "string" },
      models: { type: "string" },
      rounds: { type: "string" },
      quick: { type: "boolean", default: false },
      threads: { type: "string" },
      load: { type: "boolean", default: false },
      instructions: { type: "string" },
      "flash-attention": { type: "string", default: "auto" },
      budget: { type: "string" },
      output: { type: "string", default: RESULTS },
      json: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
}

/**
 * The options of a program.
 *
 * @throws {OptionError} Of what parseArgs says: the first sentence is about the option, the rest about writing such programs
 */
export function parseOptions<Config extends ParseArgsConfig>(
  config: Config,
): ReturnType<typeof parseArgs<Config>>["values"] {
  try {
    return parseArgs(config).values;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const more = config.options?.help === undefined ? "" : "; --help lists the options";
    throw new OptionError(`${message.split(/\.\s/)[0]}${more}`);
  }
}

/** Tells what was wrong with a program's options, and gives the status to exit with. Throws what is no such error. */
export function refused(program: string, error: unknown): number {
  if (!(error instanceof OptionError)) throw error;
  console.error(`${program}: ${error.message}`);
  return 2;
}

/**
 * The one of the known names that a word is.
 *
 * @throws {OptionError} If it is none of them
 */
export function choose<Name extends string>(option: string, word: string, known: readonly Name[]): Name {
  const name = known.find((candidate) => candidate === word.trim());
  if (name === undefined) throw unknown(option, word, known);
  return name;
}

/** All those of a list with commas between. @throws {OptionError} If one is none of them */
export function chooseAll<Name extends string>(
  option: string,
  words: string,
  known: readonly Name[],
): Name[] {
  return words.split(",").map((word) => choose(option, word, known));
}

/** The model of a name. @throws {OptionError} If there is none */
export function chooseModel(option: string, word: string): BenchModel {
  const model = knownModel(word.trim());
  if (model !== undefined) return model;
  throw unknown(
    option,
    word,
    knownModels.map(({ name }) => name),
  );
}

function isInstructionSet(name: string): name is InstructionSet {
  return Object.hasOwn(instructionSets, name);
}

function list<Name extends string>(
  option: string,
  text: string | undefined,
  known: readonly Name[],
): Name[] | undefined {
  if (text === undefined) return undefined;
  const names = chooseAll(option, text, known);
  return known.filter((name) => names.includes(name));
}

function unknown(option: string, value: string, known: readonly string[]): OptionError {
  return new OptionError(`--${option} knows ${known.join(", ")}, but not "${value}"`);
}

function number(option: string, text: string, least: number, most: number, whole: boolean): number {
  const value = text.trim() === "" ? Number.NaN : Number(text);
  if (value >= least && value <= most && (!whole || Number.isInteger(value))) return value;
  throw new OptionError(
    `--${option} must be a ${whole ? "whole " : ""}number from ${least} to ${most}, not "${text}"`,
  );
}

/** The comparison with llama.cpp: who runs when. Each figure of each round comes from a process of its own. */
import { cpus } from "node:os";
import { ChildError, type Children } from "./children.ts";
import { readAll } from "./model_files.ts";
import type { BenchModel } from "./models.ts";
import type { BenchOptions } from "./options.ts";
import { commandOf, type SharedTask, type Side, taskOf } from "./sides.ts";
import type { Level, Measured, SideName } from "./task.ts";

/** Bytes per second that the memory gave, in 10^9: to all threads, and to one. */
export type Bandwidth = { readonly all: number; readonly one: number };

/** One process and what it measured. */
export type Run = {
  readonly model: string;
  readonly round: number;
  readonly level: Level;
  readonly side: SideName;
  /** The share of the processors that others kept busy just before, from 0 to 1. */
  readonly busy: number;
  /** Just before and just after. */
  readonly bandwidth: readonly Bandwidth[];
  readonly measured: Measured;
};

/** What a model's runs were made with. */
export type Choice = {
  readonly model: string;
  readonly flashAttention: boolean;
  /** Why: the option, or seconds that a long prompt and what follows took with it and without. */
  readonly because: string;
};

/** All that was measured so far: it grows, so that a run that is interrupted has something to show. */
export type Comparison = { readonly runs: Run[]; readonly choices: Choice[]; readonly failures: string[] };

export type Tools = {
  readonly children: Children;
  /** The program that measures the memory. */
  readonly bandwidth: string;
  readonly log: (line: string) => void;
};

export const DEPTHS: readonly number[] = [0, 2048];
export const PROMPTS: readonly number[] = [128, 512, 2048];
export const TOKENS = 64;
const LEVELS: readonly Level[] = ["engine", "api"];
/** Figures that a process takes, about, and what it does besides: after so many budgets it hangs. */
const FIGURES = 20;
const BESIDES_SECONDS = 120;
/** Times that each way of llama.cpp's is tried before one is chosen. */
const CHOICE_ROUNDS = 2;
/** The system counts in hundredths of a second. */
const BUSY_MILLISECONDS = 500;

/** Measures a model on both sides, round by round. A side that fails is noted, and the others go on. */
export async function compareModel(
  model: BenchModel,
  file: string,
  sides: readonly [Side, Side],
  options: BenchOptions,
  tools: Tools,
  comparison: Comparison,
): Promise<void> {
  readAll(file);
  const task = taskOf(model, file, options, {
    purpose: "engine",
    promptLengths: PROMPTS,
    depths: DEPTHS,
    tokens: TOKENS,
    flashAttention: true,
  });
  const [ours, theirs] = sides;
  const seconds = options.budget * FIGURES + BESIDES_SECONDS;
  const run = async (side: Side, part: Partial<SharedTask>): Promise<Measured> => {
    const command = commandOf(side, { ...task, ...part });
    const name = `${model.name}, ${side.name}`;
    return (await tools.children.run(name, command, seconds, side.environment)) as Measured;
  };
  const attempt = async <Result>(what: string, work: () => Promise<Result>): Promise<Result | undefined> => {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof ChildError)) throw error;
      comparison.failures.push(`${what}: ${error.message}`);
      tools.log(error.message);
      return undefined;
    }
  };
  // What only a first run ever does, as compiling kernels that a cache keeps, is not measured.
  await attempt("first run", () => run(ours, { purpose: "api", tokens: 8 }));
  const choice = await attempt("flash attention", () =>
    chooseFlashAttention(model, options, (part) => run(theirs, part)),
  );
  if (choice === undefined) return;
  comparison.choices.push(choice);
  tools.log(
    `${model.name}: flash attention of llama.cpp ${choice.flashAttention ? "on" : "off"}, ${choice.because}`,
  );

  for (let round = 0; round < options.rounds; round++) {
    readAll(file);
    const order = round % 2 === 0 ? sides : sides.toReversed();
    for (const level of LEVELS) {
      for (const side of order) {
        await attempt(`round ${round + 1}, ${level}`, async () => {
          const busy = await measureBusy();
          const before = await measureBandwidth(options, tools);
          const measured = await run(side, { purpose: level, flashAttention: choice.flashAttention });
          const after = await measureBandwidth(options, tools);
          const bandwidth = [before, after];
          const what = { model: model.name, round, level, side: side.name };
          comparison.runs.push({ ...what, busy, bandwidth, measured });
          tools.log(progress(model, round, options.rounds, level, side, measured, before));
        });
      }
    }
  }
}

/** A long prompt and the tokens behind it, with flash attention and without: the faster one is llama.cpp's in this run. */
async function chooseFlashAttention(
  model: BenchModel,
  options: BenchOptions,
  run: (part: Partial<SharedTask>) => Promise<Measured>,
): Promise<Choice> {
  if (options.flashAttention !== undefined) {
    return { model: model.name, flashAttention: options.flashAttention, because: "as the options say" };
  }
  const lengths = options.quick ? PROMPTS.slice(0, -1) : PROMPTS;
  const measure = (flashAttention: boolean): Promise<Measured> =>
    run({ promptLengths: lengths, depths: lengths, flashAttention });
  const measured: { readonly without: Measured; readonly withIt: Measured }[] = [];
  for (let i = 0; i < CHOICE_ROUNDS; i++)
    measured.push({ without: await measure(false), withIt: await measure(true) });
  // Seconds for the longest that all did within their time; the least, since what disturbs only ever adds.
  const length = lengths.findLast((n) =>
    measured.every(({ without, withIt }) => n in without.generation && n in withIt.generation),
  );
  if (length === undefined)
    return { model: model.name, flashAttention: true, because: "since neither could be measured in time" };
  const time = ({ prompt, generation }: Measured): number =>
    length / prompt[length] + TOKENS / generation[length];
  const without = Math.min(...measured.map((pair) => time(pair.without)));
  const withIt = Math.min(...measured.map((pair) => time(pair.withIt)));
  const because = `which took ${withIt.toFixed(2)} s for a prompt of ${length} and ${TOKENS} tokens, ${without.toFixed(2)} s without`;
  return { model: model.name, flashAttention: withIt <= without, because };
}

/** The share of the processors that others keep busy, while this process waits. */
async function measureBusy(): Promise<number> {
  const read = (): { busy: number; all: number } => {
    const times = cpus().map(({ times }) => times);
    const idle = times.reduce((sum, time) => sum + time.idle, 0);
    const all = times.reduce(
      (sum, { user, nice, sys, idle, irq }) => sum + user + nice + sys + idle + irq,
      0,
    );
    return { busy: all - idle, all };
  };
  const before = read();
  await new Promise((resolve) => setTimeout(resolve, BUSY_MILLISECONDS));
  const after = read();
  return (after.busy - before.busy) / Math.max(1, after.all - before.all);
}

async function measureBandwidth(options: BenchOptions, tools: Tools): Promise<Bandwidth> {
  const command = [tools.bandwidth, String(options.threads)];
  return (await tools.children.run("bandwidth", command, BESIDES_SECONDS)) as Bandwidth;
}

function progress(
  model: BenchModel,
  round: number,
  rounds: number,
  level: Level,
  side: Side,
  { firstTokenSeconds, prompt, generation }: Measured,
  { all }: Bandwidth,
): string {
  const speeds = (what: string, of: Readonly<Record<string, number>>): string[] =>
    Object.entries(of).map(([at, speed]) => `${what} ${at}: ${speed.toFixed(1)}`);
  const figures = [
    `first token ${firstTokenSeconds.toFixed(2)} s`,
    ...speeds("prompt", prompt),
    ...speeds("generation at", generation),
    `memory ${all.toFixed(1)} GB/s`,
  ];
  return `${model.name} ${round + 1}/${rounds} ${level} ${side.name}: ${figures.join(", ")}`;
}

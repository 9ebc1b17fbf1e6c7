/** How figures are taken, the same for both sides: this runs in the measured processes, under Bun and under Node. */
import { createInterface } from "node:readline";
import {
  FIRST_PROMPT,
  finish,
  type Measured,
  promptOf,
  readMemory,
  type Task,
  tokenAt,
  WARM_UP,
} from "./task.ts";

/** Rows of tokens in, logits out. */
export type Engine = {
  /** Forgets all, computes the tokens, and resolves when the last one's logits are there. */
  prompt(tokens: readonly number[]): Promise<void>;
  /** Computes one more token and its logits. */
  next(token: number): Promise<void>;
  readonly about: Measured["about"];
};

/** The API that people use: text out, greedily chosen. */
export type Writer = {
  /** Generates from a prompt, in a new sequence; calls at each piece of text. Returns how many tokens it generated. */
  generate(prompt: readonly number[], tokens: number, onText: () => void): Promise<number>;
  readonly about: Measured["about"];
};

const now = (): number => performance.now() / 1e3;

/** Repetitions of a prompt, or seconds for them, whatever comes first. */
const REPETITIONS = 5;
const REPETITION_SECONDS = 1.5;
/** Tokens are generated for at least as long, where the budget allows: a few dozen of a small model are too few. */
const GENERATION_SECONDS = 1;

/** All figures of the engine, printed. `load` is what is timed as loading. */
export async function measureEngine(task: Task, load: () => Promise<Engine>): Promise<void> {
  const importSeconds = sinceStart(task);
  const beforeLoad = now();
  const engine = await load();
  const loadSeconds = now() - beforeLoad;
  const loaded = readMemory();
  const first = promptOf(task, FIRST_PROMPT);
  let promptSpeed = FIRST_PROMPT / (await seconds(() => engine.prompt(first)));
  const firstTokenSeconds = sinceStart(task);
  const generation: Record<string, number> = {};
  const prompt: Record<string, number> = {};
  const generate = async (depth: number): Promise<void> => {
    const speed = await generationSpeed(engine, task, depth);
    if (speed !== undefined) generation[depth] = speed;
  };
  if (task.depths.includes(0)) {
    await engine.prompt(promptOf(task, 1));
    await generate(0);
  }
  for (const length of task.promptLengths) {
    const tokens = promptOf(task, length);
    const affordable = (): boolean => length / promptSpeed <= task.budget;
    if (!affordable()) continue;
    const times: number[] = [];
    for (let total = 0; total < REPETITION_SECONDS && times.length < REPETITIONS && affordable(); ) {
      times.push(await seconds(() => engine.prompt(tokens)));
      total += times[times.length - 1];
      promptSpeed = length / middle(times);
    }
    if (times.length > 0) prompt[length] = length / middle(times);
    if (prompt[length] !== undefined && task.depths.includes(length)) await generate(length);
  }
  const measured = { importSeconds, loadSeconds, firstTokenSeconds, prompt, generation, loaded };
  finish({ ...measured, memory: readMemory(), about: engine.about });
}

/** The figures of the public API, printed. */
export async function measureApi(task: Task, load: () => Promise<Writer>): Promise<void> {
  const importSeconds = sinceStart(task);
  const beforeLoad = now();
  const writer = await load();
  const loadSeconds = now() - beforeLoad;
  const loaded = readMemory();
  await writer.generate(promptOf(task, FIRST_PROMPT), 1, () => {});
  const firstTokenSeconds = sinceStart(task);

  const short = promptOf(task, 4);
  const speed = await textSpeed(writer, short, 8);
  const affordable = Math.min(task.tokens, Math.floor(speed * task.budget));
  const generation = { 0: affordable < 8 ? speed : await textSpeed(writer, short, affordable) };
  const measured = { importSeconds, loadSeconds, firstTokenSeconds, prompt: {}, generation, loaded };
  finish({ ...measured, memory: readMemory(), about: writer.about });
}

/** Loads, and for each line of its input prints the tokens per second of so many tokens as it says, from an empty context on. */
export async function answerTurns(task: Task, load: () => Promise<Engine>): Promise<void> {
  const engine = await load();
  for await (const line of createInterface({ input: process.stdin })) {
    await engine.prompt(promptOf(task, 1));
    let position = 1;
    const generate = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i++) await engine.next(tokenAt(position++, task.vocabulary));
    };
    await generate(WARM_UP);
    const count = Number(line);
    process.stdout.write(`${count / (await seconds(() => generate(count)))}\n`);
  }
}

/** Tokens per second after the first, from one text to the end. */
async function textSpeed(writer: Writer, prompt: readonly number[], tokens: number): Promise<number> {
  let first: number | undefined;
  const generated = await writer.generate(prompt, tokens, () => {
    first ??= now();
  });
  if (first === undefined || generated < 2)
    throw new Error(`${generated} tokens were generated, and ${tokens} asked for`);
  return (generated - 1) / (now() - first);
}

/** Tokens per second after those that the engine holds; undefined if the least that says something takes too long. */
async function generationSpeed(engine: Engine, task: Task, depth: number): Promise<number | undefined> {
  let position = depth;
  const next = (): Promise<void> => engine.next(tokenAt(position++, task.vocabulary));
  let each = 0;
  for (let i = 0; i < WARM_UP; i++) each = await seconds(next);
  if (each > task.budget) return undefined;
  const speeds: number[] = [];
  for (let repetition = 0, total = 0; repetition < REPETITIONS && total < GENERATION_SECONDS; repetition++) {
    if (repetition > 0) {
      // From the same depth again. What that costs at a depth is one prompt, so it is done at the start alone.
      if (depth > 0) break;
      await engine.prompt(promptOf(task, 1));
      position = depth + WARM_UP;
      for (let i = 1; i < WARM_UP; i++) await engine.next(tokenAt(i, task.vocabulary));
    }
    const start = now();
    let count = 0;
    while (count < task.tokens && (count < 2 || now() - start < task.budget)) {
      await next();
      count++;
    }
    total += now() - start;
    speeds.push(count / (now() - start));
  }
  return middle(speeds);
}

async function seconds(run: () => Promise<void>): Promise<number> {
  const start = now();
  await run();
  return now() - start;
}

/** Wall-clock time since whoever started this process did so. */
function sinceStart({ started }: Task): number {
  return (Date.now() - started) / 1e3;
}

function middle(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}

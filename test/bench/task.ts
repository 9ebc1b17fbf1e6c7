/** What a measured process is told, as JSON in its only argument, and what it says, as the last line of its output. */
import { readFileSync } from "node:fs";

/** The layer at which is measured: rows of tokens in and logits out, or the public API that streams text. */
export type Level = "engine" | "api";
/** What a process is for: all figures of a level, or generation in turn with another one. */
export type Purpose = Level | "turns";
export type SideName = "ours" | "llama.cpp";

export type Task = {
  readonly purpose: Purpose;
  readonly model: string;
  readonly vocabulary: number;
  readonly bos: number;
  readonly threads: number;
  /** When the process was started, in milliseconds since 1970: what comes before its first line counts. */
  readonly started: number;
  readonly promptLengths: readonly number[];
  readonly depths: readonly number[];
  /** Tokens that are generated for a figure, if the budget allows. */
  readonly tokens: number;
  /** Seconds for a figure; one that would take longer is left out. */
  readonly budget: number;
  /** llama.cpp's alone. */
  readonly flashAttention: boolean;
  /** llama.cpp's alone: the directory in which its packages are. */
  readonly modules: string;
};

/** Tokens of the prompt whose first token is waited for. */
export const FIRST_PROMPT = 128;
/** Tokens before those that are timed: the first ones touch memory, start threads, and are compiled. */
export const WARM_UP = 4;

/** Positions that a task needs. Both sides round up themselves. */
export function contextOf({ promptLengths, depths, tokens }: Task): number {
  const most = Math.max(FIRST_PROMPT, ...promptLengths, ...depths) + tokens + WARM_UP;
  return Math.ceil(most / 256) * 256;
}

/** Resident memory in bytes, as the system counts it: of no file, of files, of all, and the most there ever was. */
export type Memory = {
  readonly anonymous: number;
  readonly file: number;
  readonly resident: number;
  readonly peak: number;
};

/** What one process measured. What took too long is not there. */
export type Measured = {
  /** Seconds from the start of the process until the modules are there. */
  readonly importSeconds: number;
  /** Seconds for the model and its context or cache, with the file in the page cache. */
  readonly loadSeconds: number;
  /** Seconds from the start of the process to the first token (or its logits) after a prompt of 128. */
  readonly firstTokenSeconds: number;
  /** Tokens per second, by length of the prompt. */
  readonly prompt: Readonly<Record<string, number>>;
  /** Tokens per second, by tokens before the first that is generated. */
  readonly generation: Readonly<Record<string, number>>;
  readonly loaded: Memory | undefined;
  /** At the end. */
  readonly memory: Memory | undefined;
  /** What the side says of itself: versions, the code that was chosen for this processor. */
  readonly about: Readonly<Record<string, string | number>>;
};

/** The task of this process. */
export function readTask(): Task {
  const text = process.argv[2];
  if (text === undefined) throw new Error("This program is started by test/bench/run.ts, with a task");
  return JSON.parse(text) as Task;
}

/** Says what was measured, and ends: nobody waits for what a library might still do. */
export function finish(measured: Measured): void {
  process.stdout.write(`\n${JSON.stringify(measured)}\n`, () => process.exit(0));
}

/** Tokens of a prompt: the start token and any others, the same each time. */
export function promptOf({ bos, vocabulary }: Task, length: number): number[] {
  return Array.from({ length }, (_, i) => (i === 0 ? bos : tokenAt(i, vocabulary)));
}

/** The token at a position, none of those with a meaning: the words begin at 259. */
export function tokenAt(position: number, vocabulary: number): number {
  return 259 + ((position * 7919) % (vocabulary - 259));
}

/** Resident memory of this process; undefined where there is no /proc. */
export function readMemory(): Memory | undefined {
  let text: string;
  try {
    text = readFileSync("/proc/self/status", "latin1");
  } catch {
    return undefined;
  }
  const bytes = (name: string): number => {
    const found = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(text);
    return found === null ? Number.NaN : 1024 * Number(found[1]);
  };
  return {
    anonymous: bytes("RssAnon"),
    file: bytes("RssFile"),
    resident: bytes("VmRSS"),
    peak: bytes("VmHWM"),
  };
}

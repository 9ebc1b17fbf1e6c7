/** What the measurements of a model on a device are told, and what they find. */
import type { Summary } from "../statistics.ts";

export type ModelTask = {
  readonly device: string;
  readonly path: string;
  readonly prompts: readonly number[];
  readonly depths: readonly number[];
  /** Tokens of a round of generation, at most. */
  readonly tokens: number;
  readonly rounds: number;
  readonly loads: number;
  /** Rows of a prompt at once. */
  readonly batchSize: number;
  readonly tokensInFlight: number | undefined;
  /** Seconds: what is not begun by then is left out. */
  readonly budget: number;
  readonly copyBytes: number;
};

/** Microseconds for a token of generation. */
export type HostTime = {
  /** Processor time of the thread of JavaScript. */
  readonly thread: number;
  /** Of its time, that within the native call that submits a step: checks, words, and the launch of the graph. */
  readonly submission: number;
  /** Processor time of all threads, the driver's among them. */
  readonly process: number;
  /** Wall-clock time. */
  readonly wall: number;
};

export type ModelFigures = {
  /** Milliseconds: of the first load of a process, which also opens the device and compiles kernels, and of later ones. */
  readonly firstLoad: number;
  readonly loads: Summary | undefined;
  /** GB/s before and after. */
  readonly copies: readonly number[];
  readonly weightBytes: number;
  readonly dispatchesPerToken: number;
  readonly barriersPerToken: number;
  /** Tokens per second, by length. */
  readonly prompts: Readonly<Record<string, Summary>>;
  /** Tokens per second, by tokens before the first that is generated. */
  readonly generation: Readonly<Record<string, Summary>>;
  readonly host: HostTime | undefined;
  /** Bytes: of the device at the end, and of this process. */
  readonly allocated: number;
  readonly resident: number | undefined;
  /** What there was no time for. */
  readonly leftOut: readonly string[];
};

/** The options of test/bench/device.ts. */
import { COPY_BYTES } from "../copy.ts";
import { benchDirectory } from "../model_files.ts";
import { type BenchModel, deviceModels, knownModels } from "../models.ts";
import { chooseAll, chooseModel, OptionError, parseOptions } from "../options.ts";

/** What can be measured. */
export const deviceParts = ["models", "product", "torch", "memory"] as const;
export type DevicePart = (typeof deviceParts)[number];

export type DeviceOptions = {
  readonly device: string;
  readonly parts: readonly DevicePart[];
  readonly models: readonly BenchModel[];
  /** Where files are made: in the first that has room. */
  readonly directories: readonly string[];
  /** Whether files that were made stay. */
  readonly keep: boolean;
  readonly prompts: readonly number[];
  readonly depths: readonly number[];
  readonly tokens: number;
  readonly rounds: number;
  readonly batchSize: number;
  readonly tokensInFlight: number | undefined;
  readonly minutes: number;
  readonly copyBytes: number;
  readonly productCounts: readonly number[];
  readonly python: string;
  /** Seconds, of all. */
  readonly budget: number;
  readonly json: string | undefined;
  readonly markdown: string | undefined;
};

const modelNames = knownModels.map(({ name }) => name);

/** Text of `--help`. */
export const deviceHelp: string = `bun run test/bench/device.ts: how fast models run on one device, beside what it copies and what PyTorch reaches on it

  --device NAME         as Device.open takes it: cpu, cuda, cuda:1 (default: auto)
  --parts PART,...      ${deviceParts.join(", ")} (default: all but memory)
  --models NAME,...     ${modelNames.slice(0, 6).join(", ")},
                        ${modelNames.slice(6).join(", ")}
                        (default: ${deviceModels.map(({ name }) => name).join(", ")})
  --directory DIR,...   where files are made: in the first that has room (default: build/bench)
  --keep                leave files there that were made
  --prompts N,...       lengths of prompts (default: 512,4096)
  --depths N,...        tokens before those that are generated (default: 128,2048,8192)
  --tokens N            tokens of a round, at most (default: 256)
  --rounds N            (default: 5)
  --batch-size N        rows of a prompt at once (default: 512)
  --in-flight N         tokens that the host does not wait for (default: the library's)
  --minutes N           of generation, for the part memory, which takes the last model (default: 10)
  --copy-bytes N        of a copy that the device's speed is measured by (default: 2^28)
  --product-counts N,.. products in one command buffer (default: 100,1000)
  --python PROGRAM      that has PyTorch (default: python3)
  --budget SECONDS      what is not begun by then is left out (default: 240)
  --json FILE           all that was found
  --markdown FILE       the same as a page
`;

/**
 * Reads the command line. Returns undefined if help is wanted.
 *
 * @throws {OptionError} If an option or its value is unknown
 */
export function readDeviceOptions(words: readonly string[]): DeviceOptions | undefined {
  const values = parse(words);
  if (values.help) return undefined;
  const list = (option: "prompts" | "depths" | "product-counts"): number[] =>
    values[option].split(",").map((text) => number(option, text, 1));
  return {
    device: values.device,
    parts: chooseAll("parts", values.parts, deviceParts),
    models: values.models.split(",").map((word) => chooseModel("models", word)),
    directories: values.directory.split(","),
    keep: values.keep,
    prompts: list("prompts"),
    depths: list("depths"),
    tokens: number("tokens", values.tokens, 2),
    rounds: number("rounds", values.rounds, 1),
    batchSize: number("batch-size", values["batch-size"], 1),
    tokensInFlight:
      values["in-flight"] === undefined ? undefined : number("in-flight", values["in-flight"], 0),
    minutes: number("minutes", values.minutes, 0, false),
    copyBytes: number("copy-bytes", values["copy-bytes"], 4),
    productCounts: list("product-counts"),
    python: values.python,
    budget: number("budget", values.budget, 0, false),
    json: values.json,
    markdown: values.markdown,
  };
}

function parse(words: readonly string[]) {
  return parseOptions({
    args: [...words],
    options: {
      device: { type: "string", default: "auto" },
      parts: { type: "string", default: "models,product,torch" },
      models: { type: "string", default: deviceModels.map(({ name }) => name).join(",") },
      directory: { type: "string", default: benchDirectory },
      keep: { type: "boolean", default: false },
      prompts: { type: "string", default: "512,4096" },
      depths: { type: "string", default: "128,2048,8192" },
      tokens: { type: "string", default: "256" },
      rounds: { type: "string", default: "5" },
      "batch-size": { type: "string", default: "512" },
      "in-flight": { type: "string" },
      minutes: { type: "string", default: "10" },
      "copy-bytes": { type: "string", default: String(COPY_BYTES) },
      "product-counts": { type: "string", default: "100,1000" },
      python: { type: "string", default: "python3" },
      budget: { type: "string", default: "240" },
      json: { type: "string" },
      markdown: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
}

function number(option: string, text: string, least: number, isWhole = true): number {
  const value = text.trim() === "" ? Number.NaN : Number(text);
  if (value >= least && Number.isFinite(value) && (!isWhole || Number.isInteger(value))) return value;
  throw new OptionError(
    `--${option} takes ${isWhole ? "whole " : ""}numbers from ${least} on, not "${text}"`,
  );
}

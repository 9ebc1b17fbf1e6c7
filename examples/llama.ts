// How do I generate text? Loads a GGUF model and streams what it writes.
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Device, Llama } from "../mod.ts";

const usage = `Usage: bun run examples/llama.ts [options]
       deno run --allow-ffi --allow-read examples/llama.ts [options]

  --model FILE       a GGUF file (default: the model in examples/models)
  --prompt TEXT      what the text begins with
  --tokens N         tokens to generate at most (default: 180)
  --temperature T    0 always takes the likeliest token (default: 0.8)
  --seed S           the same seed gives the same text (default: another one each time)
  --device D         auto, cpu, metal, cuda, or cuda:1 for the second GPU (default: auto)
  --stats            print times, memory and live objects at the end
  --help             print this`;

class UsageError extends Error {}

type Settings = {
  readonly model: string;
  readonly prompt: string;
  readonly tokens: number;
  readonly temperature: number;
  readonly seed: number | undefined;
  readonly device: string;
  readonly stats: boolean;
  readonly help: boolean;
};

function settings(args: string[]): Settings {
  const { values } = parseOptions(args);
  return {
    model: values.model ?? join(import.meta.dirname, "models/austen-5m-q8_0.gguf"),
    prompt: values.prompt ?? "It is a truth universally acknowledged, that",
    tokens: number("tokens", values.tokens ?? "180", { least: 1, whole: true }),
    temperature: number("temperature", values.temperature ?? "0.8", { least: 0, whole: false }),
    seed: values.seed === undefined ? undefined : number("seed", values.seed, { least: 0, whole: true }),
    device: values.device ?? "auto",
    stats: values.stats ?? false,
    help: values.help ?? false,
  };
}

function parseOptions(args: string[]) {
  const text = { type: "string" } as const;
  const flag = { type: "boolean" } as const;
  try {
    return parseArgs({
      args,
      options: {
        model: text,
        prompt: text,
        tokens: text,
        temperature: text,
        seed: text,
        device: text,
        stats: flag,
        help: flag,
      },
    });
  } catch (error) {
    // The first sentence says what is wrong; the others are advice about dashes.
    throw new UsageError(String(error instanceof Error ? error.message : error).split(/\.(?:\s|$)/)[0]);
  }
}

function number(name: string, text: string, rule: { least: number; whole: boolean }): number {
  const value = text.trim() === "" ? Number.NaN : Number(text);
  if (value >= rule.least && Number.isFinite(value) && (!rule.whole || Number.isSafeInteger(value)))
    return value;
  throw new UsageError(
    `--${name} must be a ${rule.whole ? "whole " : ""}number from ${rule.least} on, not '${text}'`,
  );
}

async function main(args: string[]): Promise<number> {
  const { model, prompt, tokens, temperature, seed, device, stats, help } = settings(args);
  if (help) {
    console.log(usage);
    return 0;
  }
  const stop = new AbortController();
  let status = 0;
  const interrupt = (code: number): void => {
    status = code;
    stop.abort();
  };
  process.once("SIGINT", () => interrupt(130)); // what a shell reports for an interrupted command
  process.stdout.on("error", () => interrupt(0)); // the reader went away, as `head` does

  try {
    using llama = await Llama.load(model, { device, signal: stop.signal, onProgress: showProgress });
    process.stdout.write(prompt);
    const options = { maxTokens: tokens, temperature, topP: 0.95, signal: stop.signal };
    for await (const text of llama.generate(prompt, seed === undefined ? options : { ...options, seed })) {
      if (!process.stdout.write(text)) await drained(stop.signal);
    }
    process.stdout.write("\n");
    if (stats) printStatistics(llama);
  } catch (error) {
    if (!stop.signal.aborted) throw error;
    if (status !== 0) process.stdout.write("\n");
  }
  if (stats && !stop.signal.aborted) console.error(`live handles   ${liveHandles()}`);
  return status;
}

function showProgress(progress: { stage: string; fraction: number }): void {
  if (!process.stderr.isTTY) return;
  const { stage, fraction } = progress;
  // Erase the line, and leave it empty at the end.
  process.stderr.write(fraction < 1 ? `\r\x1b[K${Math.round(fraction * 100)} % ${stage}` : "\r\x1b[K");
}

/** Resolves when standard output takes more text, or when there is no more to write. */
function drained(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    process.stdout.once("drain", resolve);
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

function printStatistics(llama: Llama): void {
  const s = llama.statistics;
  const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
  const rate = (tokens: number, perSecond: number): string =>
    `${tokens} tokens, ${perSecond.toFixed(0)} tok/s`;
  console.error(`device         ${llama.device.info.name}
load           ${(s.loadSeconds * 1e3).toFixed(0)} ms
prompt         ${rate(s.promptTokens, s.promptTokensPerSecond)}
generation     ${rate(s.generatedTokens, s.generationTokensPerSecond)}
per token      ${s.dispatchesPerToken} dispatches, ${s.barriersPerToken} barriers
memory         weights ${megabytes(s.weightBytes)} ${s.weightPlacement}, KV cache ${megabytes(s.kvBytes)}, activations ${megabytes(s.activationBytes)}
live objects   ${Device.statistics().objects}, without pool ${Device.statistics().objectsWithoutPool}
live handles   ${liveHandles()}`);
}

function liveHandles(): string {
  return Object.entries(Device.liveHandles())
    .map(([kind, count]) => `${kind} ${count}`)
    .join(", ");
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof UsageError) console.error(`${message}; --help lists the options`);
  else console.error(`Error: ${message}`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}

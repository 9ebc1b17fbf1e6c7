// Minutes of generation, with the memory of device and host every few seconds: started with a task as generation.ts is.
import { Device, Llama } from "../../../mod.ts";
import { readMemory } from "../task.ts";
import { cardIndex, cardMemory } from "./card.ts";
import { generate, promptOf } from "./generation.ts";

export type FlatnessTask = {
  readonly device: string;
  readonly path: string;
  readonly minutes: number;
  readonly tokensInFlight: number | undefined;
};

export type Sample = {
  /** Since the begin. */
  readonly seconds: number;
  readonly tokens: number;
  /** Bytes: of this process in memory, of them of no file, of the device as the library counts them and as the card does. */
  readonly resident: number | undefined;
  readonly anonymous: number | undefined;
  readonly allocated: number;
  readonly card: number | undefined;
};

export type Trend = {
  readonly first: number;
  readonly last: number;
  /** Bytes per minute: the least squares' line through the samples after the first quarter. */
  readonly slope: number;
};

export type Flatness = {
  readonly samples: readonly Sample[];
  readonly tokens: number;
  readonly seconds: number;
  readonly trends: Readonly<Partial<Record<"resident" | "anonymous" | "allocated" | "card", Trend>>>;
};

const PROMPT = 64;
const TOKENS = 512;
const CONTEXT = 1024;
const SAMPLE_SECONDS = 3;
/** Samples of a run that is shorter than all that: one each second. */
const FEWEST_SAMPLES = 12;

if (import.meta.main) {
  const task = JSON.parse(process.argv[2] ?? "{}") as FlatnessTask;
  console.log(JSON.stringify(await measureFlatness(task, console.log)));
}

export async function measureFlatness(task: FlatnessTask, log: (line: string) => void): Promise<Flatness> {
  using device = Device.open(task.device);
  const { tokensInFlight } = task;
  using llama = await Llama.load(task.path, {
    device,
    kvType: "f16",
    contextLength: CONTEXT,
    tokensInFlight,
  });
  const prompt = promptOf(llama, PROMPT);
  const start = performance.now();
  const end = start + 60e3 * task.minutes;
  const interval = Math.min(1e3 * SAMPLE_SECONDS, (60e3 * task.minutes) / FEWEST_SAMPLES);
  const samples: Sample[] = [];
  let tokens = 0;
  let nextSample = start;
  let nextLine = start;
  const sample = async (): Promise<void> => {
    const memory = readMemory();
    samples.push({
      seconds: (performance.now() - start) / 1e3,
      tokens,
      resident: memory?.resident,
      anonymous: memory?.anonymous,
      allocated: device.allocatedBytes,
      card: device.info.backend === "cuda" ? await cardMemory(cardIndex(device.info)) : undefined,
    });
  };
  while (performance.now() < end) {
    // A new sequence each time: what opening and closing one leaves behind would show.
    using sequence = llama.sequence();
    await generate(llama, sequence, prompt, TOKENS);
    tokens += TOKENS;
    if (performance.now() < nextSample) continue;
    await sample();
    nextSample = performance.now() + interval;
    if (performance.now() < nextLine) continue;
    nextLine = performance.now() + 30e3;
    log(`${((performance.now() - start) / 1e3).toFixed(0)} s, ${tokens} tokens: ${lineOf(samples.at(-1))}`);
  }
  // Two samples at the same time would make a line of noise.
  if (performance.now() > nextSample - interval / 2) await sample();
  const seconds = (performance.now() - start) / 1e3;
  const figures = ["resident", "anonymous", "allocated", "card"] as const;
  const trends = Object.fromEntries(
    figures.flatMap((figure) => {
      const trend = trendOf(samples.map((one) => ({ seconds: one.seconds, value: one[figure] })));
      return trend === undefined ? [] : [[figure, trend]];
    }),
  );
  return { samples, tokens, seconds, trends };
}

/** The line through the later samples; undefined if there are no two. */
export function trendOf(
  samples: readonly { readonly seconds: number; readonly value: number | undefined }[],
): Trend | undefined {
  const known = samples.flatMap(({ seconds, value }) => (value === undefined ? [] : [{ seconds, value }]));
  const later = known.slice(Math.floor(known.length / 4));
  if (later.length < 2) return undefined;
  const mean = (values: readonly number[]): number => values.reduce((sum, v) => sum + v, 0) / values.length;
  const [x, y] = [mean(later.map((one) => one.seconds)), mean(later.map((one) => one.value))];
  const covariance = later.reduce((sum, one) => sum + (one.seconds - x) * (one.value - y), 0);
  const variance = later.reduce((sum, one) => sum + (one.seconds - x) ** 2, 0);
  return { first: later[0].value, last: later[later.length - 1].value, slope: (60 * covariance) / variance };
}

function lineOf(sample: Sample | undefined): string {
  if (sample === undefined) return "";
  const megabytes = (bytes: number | undefined): string =>
    bytes === undefined ? "?" : (bytes / 1e6).toFixed(1);
  const { resident, allocated, card } = sample;
  return `${megabytes(resident)} MB resident, ${megabytes(allocated)} MB allocated, ${megabytes(card)} MB on the card`;
}

/** Cases of the choices of sample.metal. What may be chosen, and how likely, is the float64 reference's. */

import { randomInteger } from "../../reference/random.ts";
import { distribution, type ReferenceOptions } from "../../reference/sampling.ts";
import { args, type BufferSpec, exact, input, type KernelCase, normal, output, u32 } from "../case.ts";
import { tile } from "../tiles.ts";

const NO_TOKEN = 0xffff_ffff;
const FROM_CHOSEN = 0x8000_0000;
const MOST_OCTAVES = 2 ** 31 - 1;
const fault = { none: 0, nan: 1, infinity: 2, nothing: 3 } as const;

const bitsOf = (value: number): number => new Uint32Array(Float32Array.of(value).buffer)[0] ?? 0;

/** A number in [0, 1) as two words of a fraction of 2^64. */
function fraction(value: number): [high: number, low: number] {
  const words = BigInt(Math.floor(value * 2 ** 53)) << 11n;
  return [Number(words >> 32n), Number(words & 0xffff_ffffn)];
}

/** SampleChoice of sample.metal. */
function choiceOf({ temperature, topK, topP, minP }: ReferenceOptions, random: number): number[] {
  return [
    topK,
    ...(topP === 1 ? [0, 0] : fraction(topP)),
    minP === 0 ? MOST_OCTAVES : Math.round(-Math.log2(minP) * 2 ** 24),
    temperature === 0 ? 0 : bitsOf(Math.LOG2E / temperature),
    ...fraction(random),
  ];
}

/**
 * A token that the reference may choose, and the random number that chooses it: the middle of its part of [0, 1), where
 * tokens lie in order of ids. It is so wide that rounding cannot reach its ends.
 */
function pick(random: () => number, probabilities: readonly number[]): { token: number; at: number } {
  const likely = probabilities.flatMap((probability, id) => (probability > 1e-5 ? [id] : []));
  const token = likely[randomInteger(random, likely.length)] ?? 0;
  let before = 0;
  for (let id = 0; id < token; id++) before += probabilities[id] ?? 0;
  return { token, at: before + (probabilities[token] ?? 0) / 2 };
}

/** Buffers of some rows of choices, whose results go to the places in reverse, but for the first place. */
function buffers(
  x: Float32Array,
  choices: readonly number[][],
  results: readonly (readonly number[])[],
): BufferSpec[] {
  const untouched = [NO_TOKEN, NO_TOKEN, NO_TOKEN]; // as the runner poisons it
  return [
    input(x),
    input(Uint32Array.from(choices.flat())),
    input(Uint32Array.from(choices, (_, row) => choices.length - row)),
    { kind: "scratch", byteLength: 4 * x.length },
    output("u32", [untouched, ...results.toReversed()].flat()),
  ];
}

const rows = 2;
const off: ReferenceOptions = { temperature: 1, topK: 0, topP: 1, minP: 0 };
const usual: ReferenceOptions = { temperature: 0.8, topK: 40, topP: 0.95, minP: 0.05 };

const choices: Record<string, ReferenceOptions> = {
  usual,
  off,
  greedy: { ...usual, temperature: 0 },
  "top-k": { ...off, topK: 3 },
  "top-p": { ...off, topP: 0.8 },
  "min-p": { ...off, minP: 0.2 },
  "top-k 100, top-p, hot": { ...off, temperature: 2.5, topK: 100, topP: 0.9 },
  "top-p, min-p, cold": { ...off, temperature: 0.3, topP: 0.7, minP: 0.01 },
  "top-k over all": { ...off, topK: 100_000 },
  "very little": { ...off, topP: 1e-9 },
};

/** One token, fewer than threads, more; the CPU's one thread, part of a SIMD group, one and several. */
const shapes = [
  { n: 1, threads: 32 },
  { n: 20, threads: 1 },
  { n: 50, threads: 7 },
  { n: 333, threads: 32 },
  { n: 700, threads: 256 },
] as const;

function sampling(shape: string, options: ReferenceOptions, threads: number, logits: Logits): KernelCase {
  return {
    kernel: "sample_f32",
    shape: `${shape} threads=${threads}`,
    bound: exact,
    build: (random) => {
      const x = Array.from({ length: rows }, () => logits(random));
      const picked = x.map((row) => {
        if (options.temperature === 0) return { token: row.indexOf(Math.max(...row)), at: 0 };
        return pick(random, distribution([...row], options));
      });
      const n = x[0]?.length ?? 0;
      return {
        buffers: buffers(
          Float32Array.from(x.flatMap((row) => [...row])),
          picked.map(({ at }) => choiceOf(options, at)),
          picked.map(({ token }) => [token, fault.none, 0]),
        ),
        args: args(u32(n), u32(rows + 1)),
        threadgroups: [1, rows, 1],
        threads,
      };
    },
  };
}
type Logits = (random: () => number) => Float32Array;

const regular = shapes.flatMap(({ n, threads }) =>
  Object.entries(choices).map(([name, options]) =>
    sampling(`n=${n} ${name}`, options, threads, (random) => normal(random, n, 2)),
  ),
);

/** Halves, of which many are equal, and some that are ruled out: which of equals stay is a matter of ids. */
const ties = [1, 64].flatMap((threads) =>
  ["usual", "top-k", "top-p", "min-p"].map((name) =>
    sampling(`ties ${name}`, choices[name] ?? usual, threads, (random) =>
      Float32Array.from({ length: 200 }, (_, i) =>
        i > 0 && random() < 0.2 ? -Infinity : randomInteger(random, 8) / 2,
      ),
    ),
  ),
);

/** The lowest id of the first fault, and no token; -0 is no less than 0. */
const special = (
  [
    ["all equal", [2, 2, 2, 2], 0.1, [0, fault.none, 0]],
    ["zeros", [-0, 0, -0], 0, [0, fault.none, 0]],
    ["huge", [-3e38, 3e38, 2.9e38], 0.99, [1, fault.none, 0]],
    ["one above -Infinity", [-Infinity, -3e38, -Infinity], 0.5, [1, fault.none, 0]],
    ["NaN", [1, NaN, Infinity, NaN], 0.5, [NO_TOKEN, fault.nan, 1]],
    ["Infinity", [1, 5, Infinity, Infinity], 0.5, [NO_TOKEN, fault.infinity, 2]],
    ["only -Infinity", [-Infinity, -Infinity], 0.5, [NO_TOKEN, fault.nothing, 0]],
  ] as const
).flatMap(([shape, x, at, result]) =>
  [off, { ...off, temperature: 0 }].map(
    (options): KernelCase => ({
      kernel: "sample_f32",
      shape: `${shape} temperature=${options.temperature}`,
      bound: exact,
      build: () => ({
        buffers: buffers(Float32Array.from(x), [choiceOf(options, at)], [result]),
        args: args(u32(x.length), u32(2)),
        threadgroups: [1, 1, 1],
        threads: tile("SimdWidth"),
      }),
    }),
  ),
);

const taken: KernelCase = {
  kernel: "chosen_tokens",
  shape: "tokens, choices, and places that there are not",
  bound: exact,
  build: () => ({
    buffers: [
      input(Uint32Array.of(7, FROM_CHOSEN + 1, FROM_CHOSEN, FROM_CHOSEN + 2, NO_TOKEN, 0)),
      input(Uint32Array.of(70, 0, 0, 71, 0, 0)),
      output("u32", [7, 71, 70, NO_TOKEN, NO_TOKEN, 0]),
    ],
    args: args(u32(2)),
    threadgroups: [1, 6, 1],
    threads: 1,
  }),
};

export const sampleCases: readonly KernelCase[] = [...regular, ...ties, ...special, taken];

/** What a run on a device found, as Markdown: beside the goals, and beside figures that are quoted and not measured. */
import { digits, percent, spread, table } from "../cells.ts";
import { bytesPerToken, knownModel, operationsPerRow } from "../models.ts";
import { median, type Summary } from "../statistics.ts";
import type { Trend } from "./flatness.ts";
import {
  appleProduct,
  CLAIMED_OVER_C,
  goals,
  llamaCpp,
  PRODUCT_INPUTS,
  PRODUCT_OUTPUTS,
  TORCH_TERAFLOPS,
} from "./quoted.ts";
import type { QuotedProduct } from "./quoted_product.ts";
import type { DeviceResults } from "./results.ts";
import type { ModelFigures } from "./task.ts";
import { layerTeraflops, type Torch } from "./torch.ts";

export function markdown(results: DeviceResults): string {
  const { about, failures } = results;
  const { card, machine } = about;
  const driver = card === undefined ? "" : `, driver ${card.driver}, ${card.memoryMiB} MiB`;
  const copy = copyOf(results);
  return [
    `# ${about.device}, ${about.date.slice(0, 10)}`,
    "",
    `${about.device}${driver}; ${machine.processors} processors ${machine.processor}; Bun ${about.bun}.`,
    `Commit ${about.commit}, ${about.date}, \`${about.command}\`: medians of ${about.rounds} rounds, with the least and the most in brackets.`,
    `Random weights, keys and values in F16, greedy choice, prompts in batches of ${about.batchSize}.`,
    ...(Number.isNaN(copy)
      ? []
      : [`Copies within the device's memory: ${digits(copy)} GB/s, bytes read and written.`]),
    "llama.cpp's figures on an H200 and those of Apple's GPU are quoted, not measured.",
    ...generation(results, copy),
    ...prompts(results),
    ...besides(results),
    ...(results.product === undefined ? [] : product(results.product)),
    ...(results.torch === undefined ? [] : torch(results.torch)),
    ...flatness(results),
    ...(failures.length === 0
      ? []
      : ["", "## Not measured", "", ...failures.map((text) => `- ${oneLine(text)}`)]),
    "",
  ].join("\n");
}

/** GB/s, of all copies of the run. */
function copyOf({ models }: DeviceResults): number {
  return median(Object.values(models).flatMap(({ copies }) => copies));
}

function generation({ models }: DeviceResults, copy: number): string[] {
  const depths = keysOf(models, ({ generation: all }) => all);
  if (depths.length === 0) return [];
  const [least, most] = [depths[0], depths[depths.length - 1]];
  const rows = Object.entries(models).map(([name, figures]) => {
    const { generation: speeds, weightBytes } = figures;
    const first = speeds[least]?.median;
    const share = first === undefined ? undefined : (first * weightBytes) / copy / 1e9;
    const needed = knownModel(name);
    const read =
      first === undefined || needed === undefined
        ? undefined
        : (first * bytesPerToken(needed, least)) / copy / 1e9;
    const last = speeds[most]?.median;
    const quoted = llamaCpp[name];
    return [
      name,
      ...depths.map((depth) => spread(speeds[depth])),
      first === undefined || last === undefined ? "" : (last / first).toFixed(2),
      percent(share),
      percent(read),
      goals[name] ?? "",
      quoted === undefined ? "" : quotedSpeeds(quoted.generation, quoted.deep),
      ratio(first, quoted?.generation),
    ];
  });
  const heads = depths.map((depth) => `at ${depth}`);
  return [
    "",
    "## Generation, tok/s",
    "",
    `Share: all weights times tokens per second at ${least}, to the speed of copies; and of what a token has to read, without the embedding and with the cache.`,
    "",
    ...table(
      [
        "model",
        ...heads,
        `${most} / ${least}`,
        "share",
        "of what is read",
        "goal",
        "llama.cpp, quoted",
        "ratio",
      ],
      rows,
    ),
  ];
}

function prompts({ models, torch: peer }: DeviceResults): string[] {
  const lengths = keysOf(models, (figures) => figures.prompts);
  if (lengths.length === 0) return [];
  const rows = Object.entries(models).map(([name, figures]) => {
    const model = knownModel(name);
    const quoted = llamaCpp[name];
    const quotedAt: Readonly<Record<number, number | undefined>> = {
      512: quoted?.prompt512,
      4096: quoted?.prompt4096,
    };
    const teraflops = (length: number): number | undefined => {
      const speed = figures.prompts[length]?.median;
      return speed === undefined || model === undefined ? undefined : 1e-12 * speed * operationsPerRow(model);
    };
    const measured = lengths.map(teraflops);
    const toTorch = lengths.map((length, i) => {
      const [ours, theirs] = [measured[i], layerTeraflops(peer, length) ?? TORCH_TERAFLOPS];
      return ours === undefined ? "" : (ours / theirs).toFixed(2);
    });
    return [
      name,
      ...lengths.map((length) => spread(figures.prompts[length])),
      several(lengths.map((length) => quotedAt[length]?.toString() ?? "")),
      several(lengths.map((length) => ratio(figures.prompts[length]?.median, quotedAt[length]))),
      several(measured.map((value) => (value === undefined ? "" : digits(value)))),
      several(toTorch),
    ];
  });
  return [
    "",
    "## Prompts, tok/s",
    "",
    `TFLOP/s: two for each weight of the layers and row, attention not counted; beside ${torchFigures(peer, lengths)}.`,
    "",
    ...table(
      ["model", ...lengths.map(String), "llama.cpp, quoted", "ratio", "TFLOP/s", "of PyTorch's"],
      rows,
    ),
  ];
}

/** What TFLOP/s of prompts of these lengths are beside. */
function torchFigures(peer: Torch | undefined, lengths: readonly number[]): string {
  const isMeasured = (length: number): boolean => layerTeraflops(peer, length) !== undefined;
  const quoted = `the ${TORCH_TERAFLOPS} TFLOP/s of PyTorch in F16 that are quoted`;
  const measured = "what PyTorch reached in F16 in this run, with as many rows";
  if (lengths.every(isMeasured)) return measured;
  return lengths.some(isMeasured) ? `${measured}; where it has none, ${quoted}` : quoted;
}

function besides({ models }: DeviceResults): string[] {
  const entries = Object.entries(models);
  if (entries.length === 0) return [];
  const rows = entries.map(
    ([name, { firstLoad, loads, weightBytes, host, allocated, resident, ...rest }]) => [
      name,
      digits(firstLoad),
      spread(loads),
      loads === undefined ? "" : digits(weightBytes / loads.median / 1e6),
      `${rest.dispatchesPerToken}, ${rest.barriersPerToken}`,
      host === undefined ? "" : digits(host.wall),
      host === undefined ? "" : digits(host.thread),
      host === undefined ? "" : digits(host.submission),
      host === undefined ? "" : digits(Math.max(0, host.thread - host.submission)),
      host === undefined ? "" : digits(host.process),
      digits(allocated / 1e6),
      resident === undefined ? "" : digits(resident / 1e6),
    ],
  );
  return [
    "",
    "## Loading, and what a token costs the host",
    "",
    "Loads in milliseconds, with the file in the page cache; the first of a process opens the device and compiles kernels. Microseconds for a token:",
    "processor time of JavaScript's thread, the time within the calls that submit steps (the launches of graphs among it), the rest, and",
    "processor time of all threads, after some 3000 tokens, when JavaScript is compiled. Memory after generation.",
    "",
    ...table(
      [
        "model",
        "first load",
        "load",
        "GB/s",
        "dispatches, barriers",
        "token, µs",
        "thread",
        "submitting",
        "rest (goal: 30)",
        "all threads",
        "device, MB",
        "resident, MB",
      ],
      rows,
    ),
  ];
}

function product({ batched, plainC }: QuotedProduct): string[] {
  const rows = batched.map(({ count, chained, copies, microseconds, gigaflops, error }) => [
    String(count),
    chained ? "one after the other" : "side by side",
    String(copies),
    spread(microseconds),
    digits(gigaflops),
    (appleProduct.microseconds / microseconds.median).toFixed(1),
    plainC === undefined ? "" : digits(plainC.q4k.median / microseconds.median),
    error.toExponential(1),
  ]);
  const claimed = CLAIMED_OVER_C.join(" to ");
  return [
    "",
    `## One Q4_K product, K ${PRODUCT_INPUTS}, M ${PRODUCT_OUTPUTS}, batched in one command buffer`,
    "",
    `Quoted of a GPU of Apple's: ${appleProduct.microseconds} µs, ${appleProduct.gigaflops} GFLOPS, ${appleProduct.overWebGpu} times a WebGPU baseline; "${claimed} times" plain C.`,
    plainC === undefined
      ? "No plain C beside it: there is no compiler on this machine."
      : `Plain C on one thread of this machine (${plainC.compiler} -O2): ${spread(plainC.q4k)} µs, and ${spread(plainC.f32)} µs with the weights as floats.`,
    "",
    ...table(
      ["in a buffer", "order", "copies of the weights", "µs", "GFLOPS", "to Apple's", "to plain C", "error"],
      rows,
    ),
  ];
}

function torch(peer: Torch): string[] {
  if ("skipped" in peer) return ["", "## PyTorch", "", `Not measured: ${oneLine(peer.skipped)}`];
  const { llama, products } = peer;
  const rows = products.map(({ rows: count, name, k, n, teraflops }) => [
    name,
    k === undefined ? "" : `${k} x ${n}`,
    String(count),
    spread(teraflops),
  ]);
  const figures = [
    ...Object.entries(llama.prompts ?? {}).map(
      ([length, speed]) => `prompt of ${length}: ${spread(speed)} tok/s`,
    ),
    ...Object.entries(llama.generation ?? {}).map(
      ([depth, speed]) => `generation at ${depth}: ${spread(speed)} tok/s`,
    ),
  ];
  return [
    "",
    "## PyTorch, in the same run",
    "",
    `PyTorch ${peer.version}, ${peer.type}, random data; copies ${digits(peer.copy)} GB/s.`,
    "",
    ...table(["product", "K x N", "rows", "TFLOP/s"], rows),
    "",
    `A plain Llama of the largest model's shape (a step ${llama.step ?? "not made"}): ${llama.skipped === undefined ? figures.join("; ") : oneLine(llama.skipped)}.`,
  ];
}

function flatness({ flatness: run }: DeviceResults): string[] {
  if (run === undefined) return [];
  const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);
  const rows = Object.entries(run.trends).map(([what, { first, last, slope }]: [string, Trend]) => [
    {
      resident: "process, resident",
      anonymous: "of it of no file",
      allocated: "device, as the library counts",
      card: "card, as nvidia-smi counts",
    }[what] ?? what,
    megabytes(first),
    megabytes(last),
    (slope / 1e6).toFixed(3),
  ]);
  return [
    "",
    `## Memory over ${(run.seconds / 60).toFixed(1)} minutes of generation`,
    "",
    `${run.model}: ${run.tokens} tokens, ${run.samples.length} samples; the first quarter of them is not in the line that is laid through them.`,
    "",
    ...table(["memory", "first, MB", "last, MB", "MB a minute"], rows),
  ];
}

function quotedSpeeds(shallow: number, deep: Readonly<Record<string, number>> | undefined): string {
  const more = Object.entries(deep ?? {}).map(([depth, speed]) => `${depth}: ${speed}`);
  return more.length === 0 ? String(shallow) : `${shallow} (${more.join(", ")})`;
}

/** Numbers that are keys, in order. */
function keysOf(
  models: Readonly<Record<string, ModelFigures>>,
  of: (figures: ModelFigures) => Readonly<Record<string, Summary>>,
): number[] {
  const keys = Object.values(models).flatMap((figures) => Object.keys(of(figures)).map(Number));
  return [...new Set(keys)].toSorted((a, b) => a - b);
}

function ratio(ours: number | undefined, theirs: number | undefined): string {
  return ours === undefined || theirs === undefined ? "" : (ours / theirs).toFixed(2);
}

/** Cells in one, by length of the prompt. */
function several(cells: readonly string[]): string {
  return cells.every((cell) => cell === "") ? "" : cells.join(" / ");
}

function oneLine(text: string): string {
  return text.replaceAll("\n", " ");
}

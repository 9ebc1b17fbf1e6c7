/** What a comparison comes to: figures with their spread, ratios, shares of the memory's bandwidth, as Markdown. */
import { percent, spread, table } from "./cells.ts";
import type { Machine } from "./machine.ts";
import { type BenchModel, bytesPerToken } from "./models.ts";
import { type Comparison, DEPTHS, PROMPTS, type Run, TOKENS } from "./rounds.ts";
import { median, pairedRatio, type Summary, summarise } from "./statistics.ts";
import type { Level, Measured, SideName } from "./task.ts";

/** On what, with what and when a run was made. */
export type About = {
  readonly date: string;
  readonly commit: string;
  readonly command: string;
  readonly machine: Machine;
  readonly threads: number;
  readonly load: boolean;
  readonly instructions: string;
  readonly rounds: number;
};

/** A figure of both sides. */
export type Row = {
  readonly model: string;
  readonly level: Level;
  readonly figure: string;
  readonly unit: string;
  /** Whether less is better: then so is a ratio below 1. */
  readonly lessIsBetter: boolean;
  readonly ours: Summary | undefined;
  readonly theirs: Summary | undefined;
  /** Ours to theirs, by round. */
  readonly ratio: number | undefined;
  /** What is read for a token times tokens per second, to the bandwidth of that moment: the medians. */
  readonly shares: { readonly ours: number; readonly theirs: number } | undefined;
};

type Figure = {
  readonly levels: readonly Level[];
  readonly figure: string;
  readonly unit: string;
  readonly lessIsBetter: boolean;
  /** Tokens before the first that is generated, where bandwidth is what bounds it. */
  readonly depth?: number;
  readonly value: (measured: Measured) => number | undefined;
};

const BOTH: readonly Level[] = ["engine", "api"];
const MB = 1e6;

const figures: readonly Figure[] = [
  time("import", ({ importSeconds }) => importSeconds),
  time("load", ({ loadSeconds }) => loadSeconds),
  time("process start to first token after a prompt of 128", ({ firstTokenSeconds }) => firstTokenSeconds),
  ...PROMPTS.map(
    (length): Figure => ({
      levels: ["engine"],
      figure: `prompt of ${length}`,
      unit: "tok/s",
      lessIsBetter: false,
      value: ({ prompt }) => prompt[length],
    }),
  ),
  ...DEPTHS.map(
    (depth): Figure => ({
      levels: depth === 0 ? BOTH : ["engine"],
      figure: `generation at ${depth}`,
      unit: "tok/s",
      lessIsBetter: false,
      depth,
      value: ({ generation }) => generation[depth],
    }),
  ),
  memory("memory when loaded, anonymous", ({ loaded }) => loaded?.anonymous),
  memory("memory at the end", ({ memory }) => memory?.resident),
  memory("of it anonymous", ({ memory }) => memory?.anonymous),
  memory("of it the file's and libraries'", ({ memory }) => memory?.file),
  memory("memory at its peak", ({ memory }) => memory?.peak),
];

function time(figure: string, value: Figure["value"]): Figure {
  return { levels: BOTH, figure, unit: "s", lessIsBetter: true, value };
}

function memory(figure: string, value: Figure["value"]): Figure {
  const inMegabytes: Figure["value"] = (measured) => {
    const bytes = value(measured);
    return bytes === undefined ? undefined : bytes / MB;
  };
  return { levels: BOTH, figure, unit: "MB", lessIsBetter: true, value: inMegabytes };
}

/** All figures of a model that at least one side has. */
export function rowsOf(model: BenchModel, runs: readonly Run[]): Row[] {
  const rounds = 1 + Math.max(-1, ...runs.map(({ round }) => round));
  return BOTH.flatMap((level) => {
    const side = (name: SideName): (Run | undefined)[] =>
      Array.from({ length: rounds }, (_, round) =>
        runs.find(
          (run) =>
            run.model === model.name && run.level === level && run.side === name && run.round === round,
        ),
      );
    const [ours, theirs] = [side("ours"), side("llama.cpp")];
    return figures.flatMap(({ levels, figure, unit, lessIsBetter, depth, value }): Row[] => {
      if (!levels.includes(level)) return [];
      const values = (of: readonly (Run | undefined)[]) => of.map((run) => run && value(run.measured));
      const [a, b] = [values(ours), values(theirs)];
      const [summary, other] = [summarise(a), summarise(b)];
      if (summary === undefined && other === undefined) return [];
      const share = (of: readonly (Run | undefined)[], speeds: readonly (number | undefined)[]) =>
        median(of.flatMap((run, i) => shareOf(model, run, speeds[i], depth)));
      const shares = depth === undefined ? undefined : { ours: share(ours, a), theirs: share(theirs, b) };
      const row = { model: model.name, level, figure, unit, lessIsBetter };
      return [{ ...row, ours: summary, theirs: other, ratio: pairedRatio(a, b), shares }];
    });
  });
}

/** The share of the bandwidth that a speed is, in a list that is empty where there is none. */
function shareOf(
  model: BenchModel,
  run: Run | undefined,
  speed: number | undefined,
  depth: number | undefined,
): number[] {
  if (run === undefined || speed === undefined || depth === undefined) return [];
  const bandwidth = run.bandwidth.reduce((sum, { all }) => sum + all, 0) / run.bandwidth.length;
  // Halfway through what is generated.
  return [(bytesPerToken(model, depth + TOKENS / 2) * speed) / (bandwidth * 1e9)];
}

/** On what, with what and when: lines of a page. */
export function aboutLines(about: About): string[] {
  const { machine } = about;
  const setting = [
    `${about.threads} ${about.threads === 1 ? "thread" : "threads"}`,
    about.instructions,
    about.load ? "another process keeps one processor busy" : "nothing else is started",
  ];
  return [
    `${machine.processor}, ${machine.processors} processors (${machine.instructions.join(" ")}), ${(machine.memoryBytes / 2 ** 30).toFixed(0)} GiB, ${machine.system}. ${setting.join("; ")}.`,
    `${about.date}, commit ${about.commit}, \`${about.command}\`, ${about.rounds} ${about.rounds === 1 ? "round" : "rounds"}.`,
  ];
}

/** A comparison as a page of Markdown. */
export function markdown(about: About, models: readonly BenchModel[], comparison: Comparison): string {
  return [
    "# This library and llama.cpp on the same files",
    "",
    ...aboutLines(about),
    "",
    "Medians, with the least and the most in brackets. The ratio is ours to llama.cpp's, the median over the rounds: above 1",
    "we are faster, and where seconds or bytes are counted below 1 is less. Bandwidth: bytes read for a token times tokens per second, to what",
    `a sum over a gigabyte reaches just before and after${bandwidthLine(comparison.runs)}. "Engine": rows of tokens in, logits out; "API": what`,
    "people use, ours in Bun, node-llama-cpp in Node. All with keys and values in F16. A figure that is missing would have taken too long.",
    ...busyLines(comparison.runs),
    ...models.flatMap((model) => section(model, comparison)),
    ...(comparison.failures.length === 0
      ? []
      : ["", "## What failed", "", ...comparison.failures.map((text) => `- ${text.replaceAll("\n", " ")}`)]),
    "",
  ].join("\n");
}

function bandwidthLine(runs: readonly Run[]): string {
  const all = summarise(runs.flatMap(({ bandwidth }) => bandwidth.map((measured) => measured.all)));
  const one = summarise(runs.flatMap(({ bandwidth }) => bandwidth.map((measured) => measured.one)));
  if (all === undefined || one === undefined) return "";
  return ` (${spread(all)} GB/s on all threads, ${spread(one)} on one)`;
}

/** Who measures on a machine that is not quiet has to know. */
function busyLines(runs: readonly Run[]): string[] {
  const busy = summarise(runs.map((run) => 100 * run.busy));
  if (busy === undefined) return [];
  return ["", `Others kept ${spread(busy)} % of the processors busy just before each process was started.`];
}

function section(model: BenchModel, { runs, choices }: Comparison): string[] {
  const rows = rowsOf(model, runs);
  if (rows.length === 0) return [];
  const choice = choices.find((made) => made.model === model.name);
  const kinds = (["ours", "llama.cpp"] as const).flatMap((name) => {
    const found = runs.find((run) => run.model === model.name && run.side === name);
    if (found === undefined) return [];
    const facts = Object.entries(found.measured.about).map(([key, value]) => `${key} ${value}`);
    return [`${name}: ${facts.join(", ")}`];
  });
  return [
    "",
    `## ${model.name}`,
    "",
    ...kinds.map((kind) => `- ${kind}`),
    `- flash attention of llama.cpp: ${choice?.flashAttention ? "on" : "off"}, ${choice?.because ?? "not known"}`,
    "",
    ...table(
      ["", "", "ours", "llama.cpp", "ours / llama.cpp", "our share of bandwidth", "llama.cpp's"],
      rows.map(rowOf),
    ),
  ];
}

function rowOf({ level, figure, unit, lessIsBetter, ours, theirs, ratio, shares }: Row): string[] {
  return [
    level === "engine" ? "engine" : "API",
    `${figure}, ${unit}`,
    spread(ours),
    spread(theirs),
    ratio === undefined ? "" : `${ratio.toFixed(2)}${lessIsBetter ? " (less is better)" : ""}`,
    percent(shares?.ours),
    percent(shares?.theirs),
  ];
}

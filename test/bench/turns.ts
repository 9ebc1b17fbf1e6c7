/**
 * Generation alone, beside llama.cpp: both sides have loaded a model and stay, and generate in turn, a second or two each. What
 * makes a machine slower for a while hits both, so that ratios have less noise than those of whole processes.
 */
import { digits, spread, table } from "./cells.ts";
import type { Children } from "./children.ts";
import { readAll } from "./model_files.ts";
import type { BenchModel } from "./models.ts";
import type { BenchOptions } from "./options.ts";
import { commandOf, type Side, taskOf } from "./sides.ts";
import { median, summarise } from "./statistics.ts";

/** Tokens per second of both sides, by round. */
export type Turns = { readonly model: string; readonly ours: number[]; readonly theirs: number[] };

const TOKENS = 32;
/** llama.cpp's threads look for work for a while before they sleep. */
const PAUSE_MILLISECONDS = 300;
const LONGEST_SECONDS = 120;

/** Adds the rounds of a model to `turns`, as they come. The sides change who begins. */
export async function takeModelTurns(
  model: BenchModel,
  file: string,
  sides: readonly [Side, Side],
  options: BenchOptions,
  children: Children,
  turns: Turns,
): Promise<void> {
  readAll(file);
  const task = taskOf(model, file, options, {
    purpose: "turns",
    promptLengths: [],
    depths: [],
    tokens: TOKENS,
    flashAttention: options.flashAttention ?? true,
  });
  await using owned = new AsyncDisposableStack();
  const [ours, theirs] = sides.map((side) => {
    const name = `${model.name}, ${side.name}`;
    return owned.use(children.converse(name, commandOf(side, task), side.environment));
  });
  const speed = async (side: typeof ours, tokens: number): Promise<number> => {
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MILLISECONDS));
    return Number(await side.ask(String(tokens), LONGEST_SECONDS));
  };
  for (const side of [ours, theirs]) await speed(side, 1);
  for (let round = 0; round < options.rounds; round++) {
    const first = round % 2 === 0 ? await speed(ours, TOKENS) : undefined;
    const other = await speed(theirs, TOKENS);
    turns.ours.push(first ?? (await speed(ours, TOKENS)));
    turns.theirs.push(other);
  }
}

/** Markdown. */
export function turnsTable(all: readonly Turns[]): string {
  const rows = all.map(({ model, ours, theirs }) => {
    const ratios = theirs.map((speed, i) => ours[i] / speed).toSorted((a, b) => a - b);
    const quartile = (share: number): string => digits(ratios[Math.floor((ratios.length - 1) * share)]);
    const rounds = String(ratios.length);
    const ratio = `${digits(median(ratios))} (${quartile(0.25)} .. ${quartile(0.75)})`;
    return [model, rounds, spread(summarise(ours)), spread(summarise(theirs)), ratio];
  });
  const heads = ["model", "rounds", "ours, tok/s", "llama.cpp, tok/s", "ours / llama.cpp (quartiles)"];
  return table(heads, rows).join("\n");
}

// One model on one device, in a process of its own: started with a task, says what it finds, as one line of JSON at the end.
import { Device, Llama, type LoadOptions, type Sequence } from "../../../mod.ts";
import { copySpeed } from "../copy.ts";
import { type Summary, summarise } from "../statistics.ts";
import { readMemory, tokenAt } from "../task.ts";
import { measureHost } from "./host_time.ts";
import type { HostTime, ModelFigures, ModelTask } from "./task.ts";

/** Tokens before those that are timed: steps are compiled, and what a graph is made of settles. */
export const WARM_UP = 8;
/** Seconds of a round of generation, about, and of all rounds of a prompt. */
const ROUND_SECONDS = 0.6;
const PROMPT_SECONDS = 4;
const FEWEST_TOKENS = 16;
const TOKENS_UNTIL_COMPILED = 3000;
/** A context is this many positions longer, at most, than what is generated. */
const CONTEXT_STEP = 256;

if (import.meta.main) {
  const task = JSON.parse(process.argv[2] ?? "{}") as ModelTask;
  console.log(JSON.stringify(await measureModel(task, console.log)));
}

/** Everything about a model, as far as the budget goes. */
export async function measureModel(task: ModelTask, log: (line: string) => void): Promise<ModelFigures> {
  const end = performance.now() + 1e3 * task.budget;
  const leftOut: string[] = [];
  const hasTime = (what: string): boolean => {
    if (performance.now() < end) return true;
    leftOut.push(what);
    return false;
  };
  const options = {
    kvType: "f16",
    batchSize: task.batchSize,
    contextLength: contextOf(task),
    tokensInFlight: task.tokensInFlight,
  } as const satisfies LoadOptions;
  const start = performance.now();
  using device = Device.open(task.device);
  const load = async (): Promise<Llama> => Llama.load(task.path, { ...options, device });
  let llama = await load();
  using _llama = { [Symbol.dispose]: () => llama[Symbol.dispose]() };
  const firstLoad = performance.now() - start;
  log(`loaded in ${firstLoad.toFixed(0)} ms`);
  const copies = [copySpeed(device, task.copyBytes)];

  const prompts: Record<string, Summary> = {};
  for (const length of task.prompts) {
    if (!hasTime(`prompt of ${length}`)) continue;
    const speed = summarise(await promptSpeeds(llama, length, task.rounds));
    if (speed !== undefined) prompts[length] = speed;
    log(`prompt of ${length}: ${speed?.median.toFixed(0)} tok/s`);
  }
  const generation: Record<string, Summary> = {};
  let host: HostTime | undefined;
  {
    using sequence = llama.sequence();
    for (const depth of task.depths) {
      if (!hasTime(`generation at ${depth}`)) continue;
      const prompt = promptOf(llama, depth);
      const { speeds, tokens } = await generationSpeeds(llama, sequence, prompt, task);
      const speed = summarise(speeds);
      if (speed !== undefined) generation[depth] = speed;
      host ??= await hostTime(llama, sequence, prompt, tokens, hasTime);
      log(`generation at ${depth}: ${speed?.median.toFixed(1)} tok/s`);
    }
  }
  copies.push(copySpeed(device, task.copyBytes));
  const { weightBytes, dispatchesPerToken, barriersPerToken } = llama.statistics;
  const allocated = device.allocatedBytes;
  const resident = readMemory()?.resident;

  // Last: people load once, and in memory that was given back and taken again some models are 2 % slower.
  const loads: number[] = [];
  for (let i = 0; i < task.loads && hasTime("loads"); i++) {
    llama[Symbol.dispose]();
    const before = performance.now();
    llama = await load();
    loads.push(performance.now() - before);
  }
  log(`loaded again in ${loads.map((ms) => ms.toFixed(0)).join(", ")} ms`);
  return {
    firstLoad,
    loads: summarise(loads),
    copies,
    weightBytes,
    dispatchesPerToken,
    barriersPerToken,
    prompts,
    generation,
    host,
    allocated,
    resident,
    leftOut,
  };
}

/** What a token costs the host, once JavaScript is compiled, which takes some thousand tokens. Undefined where they take too long. */
async function hostTime(
  llama: Llama,
  sequence: Sequence,
  prompt: readonly number[],
  tokens: number,
  hasTime: (what: string) => boolean,
): Promise<HostTime | undefined> {
  const { queue } = llama.device;
  while (llama.statistics.generatedTokens < TOKENS_UNTIL_COMPILED) {
    if (!hasTime("what a token costs the host")) return undefined;
    await generate(llama, sequence, prompt, tokens);
  }
  return measureHost(queue, async (onFirst) => {
    await generate(llama, sequence, prompt, tokens, onFirst);
    return tokens;
  });
}

/** Positions that a task needs. */
export function contextOf({
  prompts,
  depths,
  tokens,
}: Pick<ModelTask, "prompts" | "depths" | "tokens">): number {
  const most = Math.max(...prompts.map((length) => length + 1), ...depths.map((depth) => depth + tokens));
  return contextFor(most);
}

/** Positions of a context that has room for so many, and for those before. */
export function contextFor(positions: number): number {
  return Math.ceil((positions + WARM_UP) / CONTEXT_STEP) * CONTEXT_STEP;
}

/** Tokens without meaning to the model, the same each time. */
export function promptOf(llama: Llama, length: number): number[] {
  return Array.from({ length }, (_, i) => tokenAt(i, llama.tokenizer.vocabSize));
}

/** Tokens per second from the begin of a prompt to its first token, after one that is not counted. */
async function promptSpeeds(llama: Llama, length: number, rounds: number): Promise<number[]> {
  const prompt = promptOf(llama, length);
  const speeds: number[] = [];
  const begin = performance.now();
  for (let round = 0; round <= rounds; round++) {
    const start = performance.now();
    for await (const _text of llama.generate(prompt, { maxTokens: 1, temperature: 0 }));
    const seconds = (performance.now() - start) / 1e3;
    if (round > 0) speeds.push(length / seconds);
    if (round > 0 && performance.now() - begin > 1e3 * PROMPT_SECONDS) break;
  }
  return speeds;
}

/** Tokens per second behind those of a prompt, which are computed once; and how many tokens a round has. */
async function generationSpeeds(
  llama: Llama,
  sequence: Sequence,
  prompt: readonly number[],
  task: ModelTask,
): Promise<{ speeds: number[]; tokens: number }> {
  const run = (tokens: number) => generate(llama, sequence, prompt, tokens);
  await run(WARM_UP);
  const estimate = await run(WARM_UP);
  const wanted = Math.floor(ROUND_SECONDS * estimate);
  const tokens = Math.min(task.tokens, Math.max(FEWEST_TOKENS, wanted));
  const speeds: number[] = [];
  for (let round = 0; round < task.rounds; round++) speeds.push(await run(tokens));
  return { speeds, tokens };
}

/** Generates, greedily, from a prompt that the sequence holds but for its last token. Returns tokens per second. */
export async function generate(
  llama: Llama,
  sequence: Sequence,
  prompt: readonly number[],
  maxTokens: number,
  onFirst: () => void = () => {},
): Promise<number> {
  const text = llama.generate(prompt, { maxTokens, temperature: 0, sequence });
  let first: number | undefined;
  for (;;) {
    const step = await text.next();
    if (step.done !== true) {
      if (first === undefined) onFirst();
      first ??= performance.now();
      continue;
    }
    const { generatedTokens } = step.value;
    if (first === undefined)
      throw new RangeError(`${generatedTokens} tokens were generated, without any text`);
    if (generatedTokens !== maxTokens)
      throw new RangeError(`${generatedTokens} tokens were generated, and ${maxTokens} asked for`);
    return (1e3 * (generatedTokens - 1)) / (performance.now() - first);
  }
}

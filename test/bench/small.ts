/**
 * The small model that the repository carries, through the public API: so little is computed for a token that what is
 * left is JavaScript, the boundary, and the dispatches.
 */
import { join } from "node:path";
import {
  createSampler,
  type Device,
  Llama,
  type Queue,
  type SamplerOptions,
  StopMatcher,
} from "../../mod.ts";
import { type Contender, type Line, report, takeTurns, timingOf } from "./measure.ts";

const root = join(import.meta.dirname, "../..");
const TOKENS = 128;
/** Times that what takes microseconds is done in a row. */
const REPETITIONS = 1000;

/** How tokens are chosen: the most probable ones, or as `Llama.generate` does unless told. */
const choices: readonly { readonly name: string; readonly options: SamplerOptions }[] = [
  { name: "greedy", options: { temperature: 0 } },
  { name: "default sampling", options: { seed: 1 } },
];

export async function measureSmallModel(device: Device, rounds: number): Promise<Line[]> {
  const files = { q8_0: "examples/models/austen-5m-q8_0.gguf", f16: "test/fixtures/austen-5m-f16.gguf" };
  using q8 = await Llama.load(join(root, files.q8_0), { device });
  using f16 = await Llama.load(join(root, files.f16), { device });
  const prompt = q8.tokenizer.encode("It is a truth universally acknowledged, ".repeat(30)).slice(0, 256);
  const short = prompt.slice(0, 4);
  const contenders = (run: (llama: Llama) => Promise<number>): Contender[] => [
    { name: "Q8_0", run: () => run(q8) },
    { name: "F16", run: () => run(f16) },
  ];
  const lines: Line[] = [];
  const perSecond = (seconds: number): number => 1 / seconds;
  const { dispatchesPerToken } = q8.statistics;
  for (const { name, options } of choices) {
    const generated = await takeTurns(
      contenders((llama) => generate(llama, short, TOKENS, options)),
      rounds,
    );
    lines.push(
      ...report(`austen-5m, streamed text, ${name}`, "tok/s", generated, perSecond),
      ...report(`austen-5m, one token, ${name}`, "µs", generated, (seconds) => seconds * 1e6),
      ...report(
        `austen-5m, one of a token's ${dispatchesPerToken} dispatches, ${name}`,
        "µs",
        generated,
        (seconds) => (seconds * 1e6) / dispatchesPerToken,
      ),
      ...(await parts(device.queue, q8, short, { name, options }, rounds)),
    );
  }
  const prompted = await takeTurns(
    contenders(async (llama) => {
      await generate(llama, prompt, 1, { temperature: 0 });
      return prompt.length;
    }),
    rounds,
  );
  return [...lines, ...report("austen-5m, prompt of 256", "tok/s", prompted, perSecond)];
}

/** Streams a text to its end. Returns how many tokens it has. */
async function generate(
  llama: Llama,
  prompt: readonly number[],
  maxTokens: number,
  options: SamplerOptions,
): Promise<number> {
  const text = llama.generate(prompt, { maxTokens, ...options });
  for (;;) {
    const step = await text.next();
    if (step.done === true) return step.value.generatedTokens;
  }
}

/** Where the time of a token goes. What is left of the whole is JavaScript's. */
async function parts(
  queue: Queue,
  llama: Llama,
  prompt: readonly number[],
  { name, options }: (typeof choices)[number],
  rounds: number,
): Promise<Line[]> {
  const logits = await someLogits(llama, prompt[0]);
  const seconds: Record<string, number[]> = {
    "all of it": [],
    "bridge and device": [],
    sampling: [],
    text: [],
    JavaScript: [],
  };
  for (let round = 0; round <= rounds; round++) {
    using submissions = new TimedSubmissions(queue);
    const start = performance.now();
    const tokens = await generate(llama, prompt, TOKENS, options);
    const whole = (performance.now() - start) / 1e3 / tokens;
    const native = submissions.seconds / tokens;
    const sampling = sampleSeconds(logits, options);
    const text = textSeconds(llama);
    if (round === 0) continue;
    const taken = [whole, native, sampling, text, whole - native - sampling - text];
    Object.values(seconds).forEach((of, i) => {
      of.push(taken[i]);
    });
  }
  const timings = Object.entries(seconds).map(([part, of]) => timingOf(part, of));
  return report(`austen-5m, parts of a token, ${name}`, "µs", timings, (each) => each * 1e6);
}

async function someLogits(llama: Llama, token: number): Promise<Float32Array> {
  using sequence = llama.sequence();
  const [logits] = await llama.decode([{ token, position: 0, sequence, wantsLogits: true }]);
  return logits;
}

/** Sums up the time from handing work to the bridge until it is known to be complete: the lowest call that there is. */
class TimedSubmissions implements Disposable {
  seconds = 0;
  readonly #queue: Queue;

  constructor(queue: Queue) {
    this.#queue = queue;
    const submit = queue.submit.bind(queue);
    queue.submit = async (program, words) => {
      const start = performance.now();
      await submit(program, words);
      this.seconds += (performance.now() - start) / 1e3;
    };
  }

  [Symbol.dispose](): void {
    Reflect.deleteProperty(this.#queue, "submit"); // the class's own is behind it
  }
}

function sampleSeconds(logits: Float32Array, options: SamplerOptions): number {
  const sampler = createSampler(options);
  return secondsOf(() => sampler.sample(logits, []));
}

/** Bytes of pieces to text, and the search for stop strings. */
function textSeconds({ tokenizer }: Llama): number {
  const stream = tokenizer.stream({ continued: true });
  const stops = new StopMatcher([]);
  let token = 0;
  return secondsOf(() => stops.push(stream.push(token++ % tokenizer.vocabSize)));
}

function secondsOf(run: () => unknown): number {
  const start = performance.now();
  for (let i = 0; i < REPETITIONS; i++) run();
  return (performance.now() - start) / 1e3 / REPETITIONS;
}

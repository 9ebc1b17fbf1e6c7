/**
 * The small model that the repository carries, through the public API: so little is computed for a token that what is
 * left is JavaScript, the boundary, and the dispatches.
 */
import { join } from "node:path";
import { type Device, Llama } from "../../mod.ts";
import { type Contender, type Line, report, takeTurns } from "./measure.ts";

const root = join(import.meta.dirname, "../..");
const TOKENS = 64;

export async function measureSmallModel(device: Device, rounds: number): Promise<Line[]> {
  const files = { q8_0: "examples/models/austen-5m-q8_0.gguf", f16: "test/fixtures/austen-5m-f16.gguf" };
  using q8 = await Llama.load(join(root, files.q8_0), { device });
  using f16 = await Llama.load(join(root, files.f16), { device });
  const prompt = q8.tokenizer.encode("It is a truth universally acknowledged, ".repeat(30)).slice(0, 256);
  const generate = async (llama: Llama, input: readonly number[], maxTokens: number): Promise<number> => {
    const text = llama.generate(input, { maxTokens, temperature: 0 });
    for (;;) {
      const step = await text.next();
      if (step.done === true) return step.value.generatedTokens;
    }
  };
  const contenders = (run: (llama: Llama) => Promise<number>): Contender[] => [
    { name: "Q8_0", run: () => run(q8) },
    { name: "F16", run: () => run(f16) },
  ];
  const generated = await takeTurns(
    contenders((llama) => generate(llama, prompt.slice(0, 4), TOKENS)),
    rounds,
  );
  const prompted = await takeTurns(
    contenders(async (llama) => {
      await generate(llama, prompt, 1);
      return prompt.length;
    }),
    rounds,
  );
  const { dispatchesPerToken } = q8.statistics;
  const perSecond = (seconds: number): number => 1 / seconds;
  return [
    ...report("austen-5m, generation", "tok/s", generated, perSecond),
    ...report("austen-5m, one token", "µs", generated, (seconds) => seconds * 1e6),
    ...report(
      `austen-5m, one of a token's ${dispatchesPerToken} dispatches`,
      "µs",
      generated,
      (seconds) => (seconds * 1e6) / dispatchesPerToken,
    ),
    ...report("austen-5m, prompt of 256", "tok/s", prompted, perSecond),
  ];
}

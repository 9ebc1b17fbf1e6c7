// Prints what a model gives and where its weights are, as JSON: a program of its own, because the CPU device reads what
// it shall be like from the environment, once. Arguments: a model, the options of Llama.load as JSON.
import { createHash } from "node:crypto";
import { Llama } from "../../src/llama/index.ts";

const [path, options] = process.argv.slice(2);
try {
  using llama = await Llama.load(path, { batchSize: 32, ...JSON.parse(options) });
  const tokens = llama.tokenizer.encode("It is a truth universally acknowledged");
  using sequence = llama.sequence();
  const rows = tokens.map((token, position) => ({ token, position, sequence, wantsLogits: true }));
  const hash = createHash("sha256");
  for (const logits of await llama.decode(rows)) hash.update(logits);
  sequence[Symbol.dispose]();
  let text = "";
  for await (const piece of llama.generate("Emma was", { temperature: 0, maxTokens: 24 })) text += piece;
  const { weightPlacement, weightBuffers } = llama.statistics;
  console.log(JSON.stringify({ logits: hash.digest("hex"), text, weightPlacement, weightBuffers }));
} catch (error) {
  console.log(JSON.stringify({ error: String(error) }));
}

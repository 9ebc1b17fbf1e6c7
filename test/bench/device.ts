// How fast models run on one device, through the public API, as a share of what it copies in its own memory meanwhile:
//   bun run test/bench/device.ts [--device cuda] [--models 1.1b-q8_0,1.1b-q4_0] [--rounds 5] [--in-flight 4]
// Models are those of `make bench`, random weights, made in build/bench where they are not there yet.
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Device, Llama, ProgramBuilder } from "../../mod.ts";
import { describeCommit, describeMachine } from "./machine.ts";
import { modelFile } from "./model_files.ts";
import { benchModels } from "./models.ts";
import { type Summary, summarise } from "./statistics.ts";

const directory = join(import.meta.dirname, "../../build/bench");
const COPY_BYTES = 2 ** 28;
const COPIES = 16;
const PROMPT = 512;
const DEPTH = 2048;
const GENERATED = 256;

const { values } = parseArgs({
  options: {
    device: { type: "string", default: "auto" },
    models: { type: "string", default: "1.1b-q8_0" },
    rounds: { type: "string", default: "5" },
    "in-flight": { type: "string" },
  },
});
const rounds = Number(values.rounds);
const names = values.models.split(",");
const known = benchModels.map(({ name }) => name);
if (!(rounds >= 1) || names.some((name) => !known.includes(name))) {
  console.error(`device: --rounds is a number from 1 on, and --models knows ${known.join(", ")}`);
  process.exit(2);
}

using device = Device.open(values.device);
console.log(`${device.info.name}, commit ${describeCommit()}, ${new Date().toISOString()}, ${rounds} rounds`);
console.log(`${describeMachine().processor}, Bun ${Bun.version}\n`);
console.log(
  "| model | load, ms | prompt 512, tok/s | generation, tok/s | at 2048, tok/s | copy, GB/s | share of it |",
);
console.log("| --- | --- | --- | --- | --- | --- | --- |");
for (const model of benchModels.filter(({ name }) => names.includes(name))) {
  const path = modelFile(model, directory, console.error);
  const start = performance.now();
  using llama = await Llama.load(path, {
    device,
    ...(values["in-flight"] === undefined ? {} : { tokensInFlight: Number(values["in-flight"]) }),
  });
  const load = performance.now() - start;
  const prompts: number[] = [];
  const generated: number[] = [];
  const deep: number[] = [];
  const copied: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    const copy = copySpeed();
    const { prompt } = await measure(llama, PROMPT, 2);
    const { generation } = await measure(llama, 8, GENERATED);
    const { generation: atDepth } = await measure(llama, DEPTH, GENERATED / 2);
    if (round === 0) continue; // compiles steps
    copied.push(copy);
    prompts.push(prompt);
    generated.push(generation);
    deep.push(atDepth);
  }
  const copy = summarise(copied);
  const generation = summarise(generated);
  const read = (llama.statistics.weightBytes * (generation?.median ?? Number.NaN)) / 1e9;
  const cells = [prompts, generated, deep, copied].map((all) => written(summarise(all)));
  const share = `${((100 * read) / (copy?.median ?? Number.NaN)).toFixed(0)} %`;
  console.log(`| ${[model.name, load.toFixed(0), ...cells, share].join(" | ")} |`);
}

/** Tokens per second of a prompt, from its begin to its first token, and of those that follow. */
async function measure(llama: Llama, length: number, maxTokens: number) {
  const prompt = Array.from({ length }, (_, i) => 1 + ((i * 7919) % 30000));
  const start = performance.now();
  let first = 0;
  let tokens = 0;
  for await (const _text of llama.generate(prompt, { maxTokens, temperature: 0 })) {
    if (tokens++ === 0) first = performance.now();
  }
  return {
    prompt: (1e3 * length) / (first - start),
    generation: (1e3 * (tokens - 1)) / (performance.now() - first),
  };
}

/** Bytes read and written, in GB/s, of copies within the device's memory. */
function copySpeed(): number {
  using from = device.buffer(COPY_BYTES, { storage: "private" });
  using to = device.buffer(COPY_BYTES, { storage: "private" });
  const builder = new ProgramBuilder(device);
  for (let i = 0; i < COPIES; i++) builder.copy(from, 0, to, 0, COPY_BYTES).barrier();
  using program = builder.build();
  device.queue.run(program);
  const start = performance.now();
  device.queue.run(program);
  return (2 * COPIES * COPY_BYTES) / (performance.now() - start) / 1e6;
}

function written(summary: Summary | undefined): string {
  if (summary === undefined) return "";
  const [median, least, most] = [summary.median, summary.least, summary.most].map((v) => v.toPrecision(3));
  return `${Number(median)} (${Number(least)} .. ${Number(most)})`;
}

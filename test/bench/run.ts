// The benchmark: what the layers cost, what the kernels reach of the memory's speed, and how fast the small model is.
// `make bench`, or `bun run test/bench/run.ts [--rounds N] [--json FILE]`. Contenders take turns in one run; ratios are
// to the first line of each group.
import { cpus } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Buffer, Device, Graph, Llama, matmul, ProgramBuilder } from "../../mod.ts";
import { encodeQ8_0 } from "../reference/gguf_writer.ts";
import { randomBlocks } from "../reference/llama_dequantize.ts";
import { gaussianArray, mulberry32 } from "../reference/random.ts";
import { type Contender, type Line, report, table, takeTurns } from "./measure.ts";

const { values: options } = parseArgs({
  options: { rounds: { type: "string", default: "7" }, json: { type: "string" } },
});
const rounds = Number(options.rounds);
if (!Number.isInteger(rounds) || rounds < 1) {
  console.error(`bench: --rounds must be a whole number of at least 1, not "${options.rounds}"`);
  process.exit(2);
}

const root = join(import.meta.dirname, "../..");
const random = mulberry32(1);
const lines: Line[] = [];
using device = Device.open();
console.log(`${device.info.name}, ${cpus().length} cores, Bun ${Bun.version}, ${rounds} rounds\n`);

await programs();
await copying();
await products();
await generation();

console.log(table(lines));
if (options.json !== undefined) {
  const about = {
    date: new Date().toISOString(),
    device: device.info,
    cores: cpus().length,
    bun: Bun.version,
    rounds,
  };
  await Bun.write(options.json, `${JSON.stringify({ about, lines }, undefined, 2)}\n`);
}

/** What one program costs that does next to nothing: the price of crossing all layers. */
async function programs(): Promise<void> {
  using library = device.compile(
    "#include <metal_stdlib>\nkernel void touch(device uint *x [[buffer(0)]], uint i [[thread_position_in_grid]]) { x[i] += 1; }",
  );
  using buffer = device.buffer(4);
  const program = (dispatches: number) => {
    const builder = new ProgramBuilder(device);
    for (let i = 0; i < dispatches; i++) {
      builder.dispatch({
        pipeline: library.pipeline("touch"),
        buffers: { 0: { buffer } },
        threadgroups: [1],
        threadsPerThreadgroup: [1],
      });
      builder.barrier();
    }
    return builder.build();
  };
  using one = program(1);
  using hundred = program(100);
  const runs = 500;
  const contenders: Contender[] = [
    { name: "run, 1 dispatch", run: () => repeat(runs, () => device.queue.run(one)) },
    { name: "run, 100 dispatches", run: () => repeat(runs, () => device.queue.run(hundred)) },
    {
      name: "submit and await, 1 dispatch",
      run: async () => {
        for (let i = 0; i < runs; i++) await device.queue.submit(one);
        return runs;
      },
    },
    {
      name: "submit 500, await all, 1 dispatch",
      run: async () => {
        await Promise.all(Array.from({ length: runs }, () => device.queue.submit(one)));
        return runs;
      },
    },
  ];
  lines.push(...report("program", "µs", await takeTurns(contenders, rounds), (seconds) => seconds * 1e6));
}

/** Bytes per second of a large copy by a kernel, read and written bytes counted. */
async function copying(): Promise<void> {
  const bytes = 128 * 1024 * 1024;
  using source = device.bufferFrom(gaussianArray(random, bytes / 4));
  using destination = device.buffer(bytes);
  using convert = device.shaders().pipeline("convert_f32_f32");
  const n = 4096;
  using copy = new ProgramBuilder(device)
    .dispatch({
      pipeline: convert,
      buffers: { 0: { buffer: source }, 1: { buffer: destination } },
      constants: { 2: new Uint8Array(Uint32Array.of(n).buffer) },
      threadgroups: [n / 256, bytes / 4 / n],
      threadsPerThreadgroup: [256],
    })
    .build();
  const contenders = [{ name: "kernel over 128 MiB", run: () => repeat(1, () => device.queue.run(copy)) }];
  const timings = await takeTurns(contenders, rounds);
  lines.push(...report("copy", "GB/s", timings, (seconds) => (2 * bytes) / seconds / 1e9));
}

/** Products of one row, as in generation, and of 32, as in prompts, by type of the weights. */
async function products(): Promise<void> {
  const [n, k] = [4096, 4096];
  const weights = gaussianArray(random, n * k);
  const f16 = new Uint16Array(new Float16Array(weights).buffer);
  const q8 = encodeQ8_0(weights);
  const variants = [
    { dtype: "f32", data: weights },
    { dtype: "f16", data: f16 },
    { dtype: "q8_0", data: q8 },
    ...(["q4_0", "q4_k", "q6_k"] as const).map((dtype) => ({
      dtype,
      data: randomBlocks(dtype, random, n * k, 1),
    })),
  ] as const;
  using owned = new DisposableStack();
  for (const rows of [1, 32]) {
    const contenders = variants.map(({ dtype, data }): Contender => {
      const buffer: Buffer = owned.use(device.bufferFrom(data));
      const graph = new Graph(device);
      const x = graph.input("x", "f32", [rows, k]);
      graph.output(matmul(x, graph.constant(buffer, dtype, [n, k])), "y");
      const plan = owned.use(graph.compile());
      plan.set("x", gaussianArray(random, rows * k));
      return {
        name: `${dtype}, ${n} x ${k}, ${rows} ${rows === 1 ? "row" : "rows"}`,
        run: () => repeat(4, () => plan.run()),
      };
    });
    const timings = await takeTurns(contenders, rounds);
    lines.push(...report("product", "GFLOP/s", timings, (seconds) => (2 * n * k * rows) / seconds / 1e9));
  }
}

/** The small model through the public API. */
async function generation(): Promise<void> {
  const files = { q8_0: "examples/models/austen-5m-q8_0.gguf", f16: "test/fixtures/austen-5m-f16.gguf" };
  using q8 = await Llama.load(join(root, files.q8_0), { device });
  using f16 = await Llama.load(join(root, files.f16), { device });
  const prompt = q8.tokenizer.encode("It is a truth universally acknowledged, ".repeat(30)).slice(0, 256);
  const generate = async (llama: Llama, input: readonly number[], maxTokens: number): Promise<void> => {
    for await (const _ of llama.generate(input, { maxTokens, temperature: 0 }));
  };
  const tokens = 64;
  const contenders = (run: (llama: Llama) => Promise<number>): Contender[] => [
    { name: "Q8_0", run: () => run(q8) },
    { name: "F16", run: () => run(f16) },
  ];
  const short = prompt.slice(0, 4);
  const generated = contenders(async (llama) => {
    await generate(llama, short, tokens);
    return tokens;
  });
  const prompted = contenders(async (llama) => {
    await generate(llama, prompt, 1);
    return prompt.length;
  });
  const perSecond = (seconds: number): number => 1 / seconds;
  lines.push(...report("austen-5m, generation", "tok/s", await takeTurns(generated, rounds), perSecond));
  lines.push(...report("austen-5m, prompt of 256", "tok/s", await takeTurns(prompted, rounds), perSecond));
}

function repeat(times: number, run: () => void): number {
  for (let i = 0; i < times; i++) run();
  return times;
}

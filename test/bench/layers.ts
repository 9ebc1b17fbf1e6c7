/** What the layers cost, and what the kernels reach of the memory's speed. Ratios are to the first line of each group. */
import { type Buffer, type Device, Graph, matmul, ProgramBuilder } from "../../mod.ts";
import { encodeQ8_0 } from "../reference/gguf_writer.ts";
import { randomBlocks } from "../reference/llama_dequantize.ts";
import { gaussianArray, mulberry32 } from "../reference/random.ts";
import { type Contender, type Line, report, takeTurns } from "./measure.ts";

const SEED = 1;

export async function measureLayers(device: Device, rounds: number): Promise<Line[]> {
  return [
    ...(await programs(device, rounds)),
    ...(await copying(device, rounds)),
    ...(await products(device, rounds)),
  ];
}

/** What one program costs that does next to nothing: the price of crossing all layers. */
async function programs(device: Device, rounds: number): Promise<Line[]> {
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
  return report("program", "µs", await takeTurns(contenders, rounds), (seconds) => seconds * 1e6);
}

/** Bytes per second of a large copy by a kernel, read and written bytes counted. */
async function copying(device: Device, rounds: number): Promise<Line[]> {
  const bytes = 128 * 1024 * 1024;
  using source = device.bufferFrom(gaussianArray(mulberry32(SEED), bytes / 4));
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
  return report("copy", "GB/s", timings, (seconds) => (2 * bytes) / seconds / 1e9);
}

/** Products of one row, as in generation, and of 32, as in prompts, by type of the weights. */
async function products(device: Device, rounds: number): Promise<Line[]> {
  const [n, k] = [4096, 4096];
  const random = mulberry32(SEED);
  const lines: Line[] = [];
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
  return lines;
}

function repeat(times: number, run: () => void): number {
  for (let i = 0; i < times; i++) run();
  return times;
}

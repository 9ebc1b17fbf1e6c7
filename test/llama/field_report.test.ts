// The report that this project began with: Q, K and V projections of a TinyLlama-shaped layer in Q8_0 crashed other
// bindings after 12 to 18 buffers. Here each works, again and again, and leaves nothing behind. The 22 layers share one
// layer's random weights: 47 MB instead of 1 GB, and the same work for the device.
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { BLOCK_SIZE } from "../../src/llama/cache.ts";
import type { LlamaConfig } from "../../src/llama/config.ts";
import { layer } from "../../src/llama/layer.ts";
import type { LayerWeights } from "../../src/llama/weights.ts";
import { type Buffer, Device } from "../../src/runtime/index.ts";
import { Graph, matmul, ropeFrequencies, type Tensor } from "../../src/tensor/index.ts";
import { matVec, type ReferenceLayer, ReferenceLlama } from "../reference/llama.ts";
import { dequantize } from "../reference/llama_dequantize.ts";
import { gaussianArray, mulberry32 } from "../reference/random.ts";
import { expectNoMoreThan, liveObjects } from "./live.ts";
import { roundingOfProducts } from "./rounding.ts";

// Work is bounded by the tests themselves; a machine may be slow or busy.
setDefaultTimeout(120_000);

const config: LlamaConfig = {
  architecture: "llama",
  name: "TinyLlama's shape",
  embeddingLength: 2048,
  feedForwardLength: 5632,
  blockCount: 22,
  headCount: 32,
  headCountKv: 4,
  headLength: 64,
  ropeDimensionCount: 64,
  ropeFrequencyBase: 10000,
  ropeScaling: {
    type: "none",
    factor: 1,
    originalContextLength: 2048,
    magnitude: 1,
    betaFast: 32,
    betaSlow: 1,
  },
  attentionScale: 1 / 8,
  attentionSoftCap: 0,
  finalSoftCap: 0,
  slidingWindow: 0,
  globalEvery: 0,
  expertCount: 0,
  expertUsedCount: 0,
  rmsEpsilon: 1e-5,
  vocabularySize: 32000,
  contextLength: 2048,
};

const TOKENS = 5;
const SEED = 2024;

type Matrix = { readonly bytes: Uint8Array; readonly rows: number; readonly columns: number };

/** Random Q8_0 blocks: one scale, evenly distributed quants, so that outputs are about as large as inputs. */
function randomMatrix(random: () => number, rows: number, columns: number): Matrix {
  const blocks = (rows * columns) / 32;
  const bytes = new Uint8Array(blocks * 34);
  const words = new Uint32Array(bytes.buffer, 0, Math.floor(bytes.length / 4));
  for (let i = 0; i < words.length; i++) words[i] = random() * 2 ** 32;
  const view = new DataView(bytes.buffer);
  // Evenly distributed bytes have a standard deviation of 73.9.
  const scale = 1 / (73.9 * Math.sqrt(columns));
  for (let block = 0; block < blocks; block++) view.setFloat16(block * 34, scale, true);
  return { bytes, rows, columns };
}

const { embeddingLength: dim, feedForwardLength: hidden } = config;
const kv = config.headCountKv * config.headLength;
let device: Device;
let matrices: Omit<LayerWeights<Matrix>, "attentionNorm" | "feedForwardNorm">;
let norm: Float32Array;
let inputs: Float32Array;

beforeAll(() => {
  device = Device.open();
  const random = mulberry32(SEED);
  matrices = {
    q: randomMatrix(random, dim, dim),
    k: randomMatrix(random, kv, dim),
    v: randomMatrix(random, kv, dim),
    attentionOutput: randomMatrix(random, dim, dim),
    gate: randomMatrix(random, hidden, dim),
    up: randomMatrix(random, hidden, dim),
    down: randomMatrix(random, dim, hidden),
  };
  norm = gaussianArray(random, dim, 0.1).map((x) => 1 + x);
  inputs = gaussianArray(random, TOKENS * dim);
  // What the device opens once, at the first use of a kernel, is not a leak of the first test.
  device.shaders();
  projections(["q"]);
});

afterAll(() => device[Symbol.dispose]());

/** |a - b| / |b| */
function relativeError(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let error = 0;
  let size = 0;
  for (let i = 0; i < b.length; i++) {
    error += (a[i] - b[i]) ** 2;
    size += b[i] ** 2;
  }
  return Math.sqrt(error / size);
}

/** One token through some of the projections, everything made for it and disposed after it. */
function projections(names: readonly ("q" | "k" | "v")[]): Float32Array[] {
  using owned = new DisposableStack();
  const graph = new Graph(device);
  const x = graph.input("x", "f32", [1, dim]);
  for (const name of names) {
    const { bytes, rows, columns } = matrices[name];
    const buffer = owned.use(device.bufferFrom(bytes));
    graph.output(matmul(x, graph.constant(buffer, "q8_0", [rows, columns])), name);
  }
  const plan = owned.use(graph.compile());
  plan.set("x", inputs.subarray(0, dim)).run();
  return names.map((name) => plan.f32(name).slice());
}

for (const names of [["q"], ["q", "k"], ["q", "k", "v"]] as const) {
  test(`matmul() takes a token through ${names.join(", ")} of a TinyLlama layer 40 times`, async () => {
    const expected = names.map((name) =>
      matVec(dequantize(matrices[name].bytes, "q8_0"), Float64Array.from(inputs.subarray(0, dim))),
    );
    const before = await liveObjects();
    for (let round = 0; round < 40; round++) {
      for (const [i, result] of projections(names).entries()) {
        expect(relativeError(result, expected[i]), `round ${round} ${names[i]}`).toBeLessThan(
          1e-5 + roundingOfProducts,
        );
      }
    }
    await expectNoMoreThan(before);
  });
}

/** Five tokens at positions 0 to 4 through all layers, everything made for it and disposed after it. */
function allLayers(): Float32Array {
  using owned = new DisposableStack();
  const constant = (bytes: ArrayBufferView): Buffer => owned.use(device.bufferFrom(bytes));
  const graph = new Graph(device);
  const rows = graph.rows("rows", TOKENS);
  const matrix = ({ bytes, rows: n, columns }: Matrix): Tensor =>
    graph.constant(constant(bytes), "q8_0", [n, columns]);
  const weights: LayerWeights<Tensor> = {
    attentionNorm: graph.constant(constant(norm), "f32", [dim]),
    q: matrix(matrices.q),
    k: matrix(matrices.k),
    v: matrix(matrices.v),
    attentionOutput: matrix(matrices.attentionOutput),
    feedForwardNorm: graph.constant(constant(norm), "f32", [dim]),
    gate: matrix(matrices.gate),
    up: matrix(matrices.up),
    down: matrix(matrices.down),
  };
  const frequencies = graph.constant(
    constant(ropeFrequencies(config.ropeFrequencyBase, config.ropeDimensionCount)),
    "f32",
    [config.ropeDimensionCount / 2],
  );
  const turn = { frequencies, magnitude: 1 };
  const step = {
    tokens: graph.words("tokens", rows),
    positions: graph.words("positions", rows),
    sequences: graph.words("sequences", rows),
    slots: graph.words("slots", rows),
    turns: { global: turn, local: turn },
  };
  const blockTables = graph.words("blockTables", [1, 1]);
  let x = graph.input("x", "f32", [rows, dim]);
  for (let i = 0; i < config.blockCount; i++) {
    const cache = (): Tensor =>
      graph.constant(owned.use(device.buffer(BLOCK_SIZE * kv * 4)), "f32", [BLOCK_SIZE, kv]);
    x = layer(
      x,
      weights,
      { keys: cache(), values: cache(), blockTables, blockSize: BLOCK_SIZE },
      step,
      config,
      i,
    );
  }
  graph.output(x, "out");
  const plan = owned.use(graph.compile());
  const places = [0, 1, 2, 3, 4];
  plan.setRows("rows", TOKENS).set("x", inputs).set("positions", places).set("slots", places).run();
  return plan.f32("out").slice();
}

test("layer() takes five tokens through 22 TinyLlama layers, again and again", async () => {
  const first = allLayers();
  const before = await liveObjects();
  const second = allLayers();
  await expectNoMoreThan(before);
  expect(second).toEqual(first);

  const weight = ({ bytes }: Matrix): Float64Array => dequantize(bytes, "q8_0");
  const reference: ReferenceLayer = {
    attentionNorm: Float64Array.from(norm),
    q: weight(matrices.q),
    k: weight(matrices.k),
    v: weight(matrices.v),
    attentionOutput: weight(matrices.attentionOutput),
    feedForwardNorm: Float64Array.from(norm),
    gate: weight(matrices.gate),
    up: weight(matrices.up),
    down: weight(matrices.down),
  };
  // The oracle embeds token i as input i; an output matrix of no rows skips the logits.
  const oracle = new ReferenceLlama(config, {
    embedding: Float64Array.from(inputs),
    layers: Array.from({ length: config.blockCount }, () => reference),
    outputNorm: Float64Array.from(norm),
    output: new Float64Array(0),
  });
  for (let token = 0; token < TOKENS; token++) {
    const expected = oracle.forward(token);
    const row = first.subarray(token * dim, (token + 1) * dim);
    expect(relativeError(row, expected), `token ${token}, seed ${SEED}`).toBeLessThan(
      1e-4 + roundingOfProducts,
    );
  }
});

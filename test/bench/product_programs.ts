/**
 * Programs of many products, one after the other or side by side, each with its own copy of the weights, so that these come
 * from memory and not from a cache. Kernels, arguments and grids are those that the tensor room makes of such products.
 */
import {
  type Buffer,
  type BufferBinding,
  type Device,
  Graph,
  type Program,
  ProgramBuilder,
} from "../../mod.ts";
import { rowBytes, type Tensor } from "../../src/tensor/index.ts";
import type { Binding, GridAxis, Operation } from "../../src/tensor/operation.ts";
import { Matmul } from "../../src/tensor/ops/matmul.ts";
import { MatvecFused } from "../../src/tensor/ops/matvec_fused.ts";
import { dequantize, randomBlocks } from "../reference/llama_dequantize.ts";
import { gaussianArray, mulberry32 } from "../reference/random.ts";
import type { ProductCase } from "./product_cases.ts";
import { fillRandom, isRandomType, RandomWords } from "./random_weights.ts";

/** What is read before the same weights are read again. Caches of GPUs have up to 128 MB. */
export const ROTATION_BYTES: number = 3 * 2 ** 27;
/** Of random weights that are made: the rest repeats them. */
const TILE_BYTES = 1 << 22;
const SEED = 1;
const EPS = 1e-5;
/** Outputs that are compared with float64, and rows. */
const CHECKED_OUTPUTS = 32;

export type ProductProgram = Disposable & {
  readonly program: Program;
  readonly words: Uint32Array;
  readonly kernel: string;
  /** Products in the program, and copies of the weights that they take turns with. */
  readonly count: number;
  readonly copies: number;
  /** Bytes of weights that one product reads, and its multiplications and additions. */
  readonly weightBytes: number;
  readonly operations: number;
  /** The error of outputs of the first product against float64, relative to their size: root mean squares. */
  error(): number;
};

export type ProgramOptions = {
  /** Products of the program. */
  readonly count: number;
  /** Whether each waits for the one before. */
  readonly chained: boolean;
  /** Bytes that weights rotate through; 0: all read the same ones. */
  readonly rotationBytes: number;
};

/** Makes a program of products. Its owner disposes it. */
export function productProgram(
  device: Device,
  product: ProductCase,
  options: ProgramOptions,
): ProductProgram {
  const { type, k, n, rows, form } = product;
  const matrixBytes = n * rowBytes(type, k);
  const matrices = form === "gated" ? 2 : 1;
  const weightBytes = matrices * matrixBytes;
  const copies = Math.max(1, Math.min(options.count, Math.ceil(options.rotationBytes / weightBytes)));
  using owned = new DisposableStack();
  const tile = randomTile(product);
  const weights = Array.from({ length: copies * matrices }, () => {
    const buffer = owned.use(device.buffer(matrixBytes, { storage: "private", label: "weights" }));
    repeat(buffer, tile);
    return buffer;
  });
  const random = mulberry32(SEED);
  const input = gaussianArray(random, rows * k);
  const normWeight = gaussianArray(random, k);
  const residual = gaussianArray(random, n);
  const constant = (data: Float32Array): Buffer =>
    owned.use(device.bufferFrom(data, { storage: "private", label: "operand" }));
  const [x, norm, added] = [constant(input), constant(normWeight), constant(residual)];
  // Nobody writes where another one may write at the same time.
  const outs = Array.from({ length: options.chained ? 2 : options.count }, () =>
    owned.use(device.buffer(rows * n * 4, { storage: "private", label: "products" })),
  );

  const graph = new Graph(device);
  const operation = (i: number): Operation => {
    const matrix = (which: number) => graph.constant(weights[(i % copies) * matrices + which], type, [n, k]);
    const from = graph.constant(x, "f32", [rows, k]);
    const to = graph.constant(outs[i % outs.length], "f32", [rows, n]);
    if (form === "plain") return new Matmul(from, matrix(0), to);
    const inputNorm = { weight: graph.constant(norm, "f32", [k]), eps: EPS };
    if (form === "norm") return new MatvecFused(from, matrix(0), inputNorm, { kind: "none" }, to);
    if (form === "gated")
      return new MatvecFused(from, matrix(0), inputNorm, { kind: "silu", second: matrix(1) }, to);
    const ending = { kind: "add", residual: graph.constant(added, "f32", [1, n]) } as const;
    return new MatvecFused(from, matrix(0), undefined, ending, to);
  };
  const builder = new ProgramBuilder(device, { dynamicWords: 1, label: "products" });
  let kernel = "";
  for (let i = 0; i < options.count; i++) {
    const { kernel: name, bindings, args, grid, threads } = operation(i).encode(device.info);
    kernel = name;
    if (i > 0 && options.chained) builder.barrier();
    builder.dispatch({
      pipeline: device.shaders().pipeline(name),
      buffers: bindings.map(bindingOf),
      constants: { [bindings.length]: args },
      threadgroups: [groups(grid[0]), rows === 1 ? 1 : { word: 0, itemsPerGroup: grid[1].itemsPerGroup }],
      threadsPerThreadgroup: [threads],
    });
  }
  const program = owned.use(builder.build());
  const words = Uint32Array.of(rows);
  const keeps = owned.move();

  return {
    program,
    words,
    kernel,
    count: options.count,
    copies,
    weightBytes,
    operations: 2 * matrices * rows * n * k,
    error() {
      device.queue.run(program, words);
      const outputs = Math.min(n, CHECKED_OUTPUTS, Math.floor(tile.length / rowBytes(type, k)));
      const matrix = dequantize(tile.subarray(0, outputs * rowBytes(type, k)), type);
      let [difference, size] = [0, 0];
      for (const row of new Set([0, rows - 1])) {
        const found = new Float32Array(outputs);
        outs[0].download(found, row * n * 4);
        const operand = input.subarray(row * k, (row + 1) * k);
        for (let i = 0; i < outputs; i++) {
          const wanted = expected(
            product,
            operand,
            matrix.subarray(i * k, (i + 1) * k),
            normWeight,
            residual[i],
          );
          difference += (found[i] - wanted) ** 2;
          size += wanted ** 2;
        }
      }
      return Math.sqrt(difference / size);
    },
    [Symbol.dispose]: () => keeps.dispose(),
  };
}

/** One output in float64. Both matrices of a gate begin with the same weights. */
function expected(
  { form }: ProductCase,
  x: Float32Array,
  weights: Float64Array,
  norm: Float32Array,
  residual: number,
): number {
  const isNormed = form === "norm" || form === "gated";
  const scale = isNormed ? 1 / Math.sqrt(x.reduce((sum, v) => sum + v * v, 0) / x.length + EPS) : 1;
  const product = weights.reduce((sum, w, j) => sum + w * x[j] * (isNormed ? scale * norm[j] : 1), 0);
  if (form === "gated") return (product / (1 + Math.exp(-product))) * product;
  return form === "residual" ? product + residual : product;
}

/** Whole rows of random weights: a few megabytes, or as many as the matrix has. */
function randomTile({ type, k, n }: ProductCase): Uint8Array<ArrayBuffer> {
  const bytes = rowBytes(type, k);
  const tileRows = Math.min(n, Math.max(2, Math.floor(TILE_BYTES / bytes)));
  const deviation = 1 / Math.sqrt(k);
  if (!isRandomType(type) || (tileRows * bytes) % 4 !== 0) {
    // Slow, but of every type.
    const few = Math.min(tileRows, 64);
    return new Uint8Array(randomBlocks(type, mulberry32(SEED), few * k, deviation));
  }
  const tile = new Uint8Array(tileRows * bytes);
  fillRandom(type, tile, deviation, new RandomWords(SEED));
  return tile;
}

/** Fills a buffer with repetitions of a tile, doubling what is there. */
function repeat(buffer: Buffer, tile: Uint8Array): void {
  buffer.upload(tile.subarray(0, Math.min(tile.length, buffer.byteLength)));
  for (let filled = tile.length; filled < buffer.byteLength; filled *= 2)
    buffer.copyFrom(buffer, 0, filled, Math.min(filled, buffer.byteLength - filled));
}

function bindingOf(binding: Binding): BufferBinding {
  if ("rowCount" in binding) return { dynamicWords: 0 };
  const { source }: Tensor = binding;
  if (source.kind !== "constant") throw new TypeError(`${binding} lives in no buffer`);
  return { buffer: source.memory as Buffer, offset: source.byteOffset };
}

function groups({ extent, itemsPerGroup }: GridAxis): number {
  if (typeof extent === "number") return Math.ceil(extent / itemsPerGroup);
  throw new TypeError("The number of outputs is no dynamic one");
}

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
import { silu } from "../reference/kernels.ts";
import { dequantize, randomBlocks } from "../reference/llama_dequantize.ts";
import { gaussianArray, mulberry32 } from "../reference/random.ts";
import type { Form, ProductCase } from "./product_cases.ts";
import { fillRandom, isRandomType, RandomWords } from "./random_weights.ts";

/** What is read before the same weights are read again. Caches of GPUs have up to 128 MB. */
export const ROTATION_BYTES: number = 3 * 2 ** 27;
/** Of random weights that are made: the rest repeats them. */
const TILE_BYTES = 1 << 22;
const SEED = 1;
const EPS = 1e-5;
/** Outputs of a matrix that are compared with float64, of the first row and the last. */
const CHECKED_OUTPUTS = 32;
/** Rows of the tile by which matrices begin one after the other: no two that are near have the same. */
const MATRIX_STEP = 7;

export type ProductProgram = Disposable & {
  readonly program: Program;
  readonly words: Uint32Array;
  readonly kernel: string;
  /** Of the weights, which the products take turns with. */
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

/** One weight matrix, whose first row is this one of the tile. */
type Matrix = { readonly buffer: Buffer; readonly start: number };

/** What products read besides weights. */
type Operands = { readonly x: Float32Array; readonly norm: Float32Array; readonly residual: Float32Array };

/** Makes a program of products. Its owner disposes it. */
export function productProgram(
  device: Device,
  product: ProductCase,
  options: ProgramOptions,
): ProductProgram {
  const { type, k, n, rows, form, also = [] } = product;
  const matrices = form === "gated" ? 2 : 1;
  const heights = [n, ...also];
  const outputs = heights.reduce((sum, height) => sum + height, 0);
  const weightBytes = matrices * outputs * rowBytes(type, k);
  const copies = Math.max(1, Math.min(options.count, Math.ceil(options.rotationBytes / weightBytes)));
  using owned = new DisposableStack();
  const tile = randomTile(product);
  const tileRows = tile.length / rowBytes(type, k);
  const privateBuffer = (byteLength: number, label: string): Buffer =>
    owned.use(device.buffer(byteLength, { storage: "private", label }));
  let made = 0;
  const weights = Array.from({ length: copies }, () =>
    heights.map((height) =>
      Array.from({ length: matrices }, (): Matrix => {
        const buffer = privateBuffer(height * rowBytes(type, k), "weights");
        const start = (MATRIX_STEP * made++) % tileRows;
        repeat(buffer, rotated(tile, start * rowBytes(type, k)));
        return { buffer, start };
      }),
    ),
  );
  const random = mulberry32(SEED);
  const operands: Operands = {
    x: gaussianArray(random, rows * k),
    norm: gaussianArray(random, k),
    residual: gaussianArray(random, n),
  };
  const constant = (data: Float32Array): Buffer =>
    owned.use(device.bufferFrom(data, { storage: "private", label: "operand" }));
  const [x, norm, residual] = [constant(operands.x), constant(operands.norm), constant(operands.residual)];
  // Nobody writes where another one may write at the same time.
  const outs = Array.from({ length: options.chained ? 2 : options.count }, () =>
    heights.map((height) => privateBuffer(rows * height * 4, "products")),
  );

  const graph = new Graph(device);
  const operation = (i: number, which: number): Operation => {
    const height = heights[which];
    const [first, second] = weights[i % copies][which].map(({ buffer }) =>
      graph.constant(buffer, type, [height, k]),
    );
    const from = graph.constant(x, "f32", [rows, k]);
    const to = graph.constant(outs[i % outs.length][which], "f32", [rows, height]);
    if (form === "plain") return new Matmul(from, first, to);
    const inputNorm = { weight: graph.constant(norm, "f32", [k]), eps: EPS };
    if (form === "norm") return new MatvecFused(from, first, inputNorm, { kind: "none" }, to);
    if (form === "gated") return new MatvecFused(from, first, inputNorm, { kind: "silu", second }, to);
    const ending = { kind: "add", residual: graph.constant(residual, "f32", [1, n]) } as const;
    return new MatvecFused(from, first, undefined, ending, to);
  };
  const builder = new ProgramBuilder(device, { dynamicWords: 1, label: "products" });
  let kernel = "";
  for (let i = 0; i < options.count; i++) {
    if (i > 0 && options.chained) builder.barrier();
    for (let which = 0; which < heights.length; which++) {
      const { kernel: name, bindings, args, grid, threads } = operation(i, which).encode(device.info);
      kernel = name;
      builder.dispatch({
        pipeline: device.shaders().pipeline(name),
        buffers: bindings.map(bindingOf),
        constants: { [bindings.length]: args },
        threadgroups: [groups(grid[0]), rows === 1 ? 1 : { word: 0, itemsPerGroup: grid[1].itemsPerGroup }],
        threadsPerThreadgroup: [threads],
      });
    }
  }
  const program = owned.use(builder.build());
  const words = Uint32Array.of(rows);
  const keeps = owned.move();
  /** The last product that wrote into the first place for outputs. */
  const last = outs.length * Math.floor((options.count - 1) / outs.length);

  return {
    program,
    words,
    kernel,
    copies,
    weightBytes,
    operations: 2 * matrices * rows * outputs * k,
    error() {
      device.queue.run(program, words);
      let [difference, size] = [0, 0];
      for (const [which, height] of heights.entries()) {
        const found = new Float32Array(height);
        for (const row of new Set([0, rows - 1])) {
          outs[0][which].download(found, row * height * 4);
          for (const i of someOf(height)) {
            const [first, second] = weights[last % copies][which].map(({ start }) => {
              const at = ((start + i) % tileRows) * rowBytes(type, k);
              return dequantize(tile.subarray(at, at + rowBytes(type, k)), type);
            });
            const wanted = expected(form, operands, row, first, second, i);
            difference += (found[i] - wanted) ** 2;
            size += wanted ** 2;
          }
        }
      }
      return Math.sqrt(difference / size);
    },
    [Symbol.dispose]: () => keeps.dispose(),
  };
}

/** The outputs that are compared: the first ones and the last. */
function someOf(outputs: number): Set<number> {
  const few = Math.min(outputs, CHECKED_OUTPUTS / 2);
  return new Set(Array.from({ length: 2 * few }, (_, i) => (i < few ? i : outputs - 2 * few + i)));
}

/** Output `i` of a row, in float64. */
function expected(
  form: Form,
  { x, norm, residual }: Operands,
  row: number,
  first: Float64Array,
  second: Float64Array | undefined,
  i: number,
): number {
  const k = first.length;
  const operand = x.subarray(row * k, (row + 1) * k);
  const isNormed = form === "norm" || form === "gated";
  const scale = isNormed ? 1 / Math.sqrt(operand.reduce((sum, v) => sum + v * v, 0) / k + EPS) : 1;
  const dot = (weights: Float64Array): number =>
    weights.reduce((sum, w, j) => sum + w * operand[j] * (isNormed ? scale * norm[j] : 1), 0);
  const product = dot(first);
  if (second !== undefined) return silu(product) * dot(second);
  return form === "residual" ? product + residual[i] : product;
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

/** The bytes from one on, and those before it behind them. */
function rotated(tile: Uint8Array<ArrayBuffer>, start: number): Uint8Array<ArrayBuffer> {
  if (start === 0) return tile;
  const bytes = new Uint8Array(tile.length);
  bytes.set(tile.subarray(start));
  bytes.set(tile.subarray(0, start), tile.length - start);
  return bytes;
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

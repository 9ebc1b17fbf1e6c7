/** Runs one kernel through the public runtime, and judges every byte that it could have written. */

import { Buffer as Bytes } from "node:buffer";
import type { Buffer, BufferBinding, Library } from "../../src/runtime/index.ts";
import { Device, ProgramBuilder } from "../../src/runtime/index.ts";
import { decodeF16 } from "../reference/kernels_formats.ts";
import type { BufferSpec, Dispatch, ElementType } from "./case.ts";

/** Bytes behind every buffer that no kernel may touch. */
const sentinelBytes = 1024;
const sentinel = 0xcd;
/** A NaN in F32 and F16, and no index that a kernel could mean: an element that was not written is found. */
const poison = 0xff;

const elementBytes: Record<ElementType, number> = { f32: 4, f16: 2, u32: 4, q8_0: 34 / 32 };

/** Raised by `KernelRunner.run` when a kernel did not do what was expected. */
export class KernelMismatch extends Error {
  override readonly name = "KernelMismatch";
}

/**
 * The largest error of an output: |actual - expected| over the larger of |expected| and the root mean square of all that
 * was expected. So it is the relative error, except where terms cancelled: there it is relative to the typical element.
 */
export function largestError(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
): { error: number; index: number } {
  let squares = 0;
  let count = 0;
  for (let i = 0; i < expected.length; i++) {
    const value = expected[i] ?? NaN;
    // Masked scores are huge on purpose, and would hide all others.
    if (Number.isNaN(value) || Math.abs(value) > 1e30) continue;
    squares += value * value;
    count++;
  }
  const typical = count === 0 ? 0 : Math.sqrt(squares / count);
  const worst = { error: 0, index: 0 };
  for (let i = 0; i < expected.length; i++) {
    const want = expected[i] ?? NaN;
    const got = actual[i] ?? NaN;
    if (Object.is(got, want) || got === want) continue;
    const error = Math.abs(got - want) / Math.max(Math.abs(want), typical);
    if (!(error <= worst.error)) {
      worst.error = Number.isNaN(error) ? Infinity : error;
      worst.index = i;
    }
  }
  return worst;
}

function read(type: ElementType, bytes: Uint8Array): Float64Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Float64Array.from({ length: bytes.byteLength / elementBytes[type] }, (_, i) => {
    switch (type) {
      case "f32":
        return view.getFloat32(4 * i, true);
      case "f16":
        return decodeF16(view.getUint16(2 * i, true));
      case "u32":
        return view.getUint32(4 * i, true);
      case "q8_0": {
        const block = 34 * Math.floor(i / 32);
        return decodeF16(view.getUint16(block, true)) * view.getInt8(block + 2 + (i % 32));
      }
      default:
        return type satisfies never;
    }
  });
}

export class KernelRunner implements Disposable {
  readonly #device: Device;
  readonly #library: Library;

  constructor() {
    this.#device = Device.open();
    this.#library = this.#device.shaders();
  }

  /** The names of all kernels there are. */
  get kernels(): readonly string[] {
    return this.#library.functionNames;
  }

  /** Whether kernels with simdgroup_matrix work here. */
  get hasSimdgroupMatrix(): boolean {
    return this.#device.info.simdgroupMatrix;
  }

  /** Most threads that a threadgroup of this kernel may have. */
  maxThreads(kernel: string): number {
    return this.#library.pipeline(kernel).maxTotalThreadsPerThreadgroup;
  }

  /**
   * Runs a kernel and compares all of its buffers.
   *
   * @returns the largest error of its outputs
   * @throws {KernelMismatch} on an error above `bound`, an element not written, or one written that should not have been.
   */
  run(kernel: string, dispatch: Dispatch, bound: number): number {
    using stack = new DisposableStack();
    const buffers: (Buffer | undefined)[] = dispatch.buffers.map((spec) => {
      if (spec.kind === "alias") return undefined;
      const before = contentsBefore(spec);
      // Where weights are kept is where tools see which bytes are read and written.
      const storage = this.#device.info.weightStorage;
      const buffer = stack.use(this.#device.buffer(before.length, { storage }));
      buffer.upload(before);
      return buffer;
    });

    const bindings: BufferBinding[] = dispatch.buffers.map((spec, i) => {
      const buffer = buffers[spec.kind === "alias" ? spec.of : i];
      if (buffer === undefined) throw new RangeError(`Buffer ${i} is an alias of an alias`);
      return { buffer };
    });
    const program = stack.use(
      new ProgramBuilder(this.#device)
        .dispatch({
          pipeline: this.#library.pipeline(kernel),
          buffers: bindings,
          constants: { [bindings.length]: dispatch.args },
          threadgroups: dispatch.threadgroups,
          threadsPerThreadgroup: [dispatch.threads, 1, 1],
        })
        .build(),
    );
    this.#device.queue.run(program);

    const errors = dispatch.buffers.map((spec, i) => {
      const buffer = buffers[i];
      if (buffer === undefined || spec.kind === "alias") return 0;
      const after = new Uint8Array(buffer.byteLength);
      buffer.download(after);
      return judge(`buffer ${i}`, spec, after, bound);
    });
    return Math.max(...errors);
  }

  [Symbol.dispose](): void {
    this.#device[Symbol.dispose]();
  }
}

/** What is uploaded for a buffer: its data or poison, then the sentinels. */
function contentsBefore(spec: Exclude<BufferSpec, { kind: "alias" }>): Uint8Array {
  if (spec.kind === "scratch") return withSentinels(new Uint8Array(spec.byteLength).fill(poison));
  const data =
    spec.kind === "input"
      ? spec.data
      : (spec.initial ?? new Uint8Array(spec.expected.length * elementBytes[spec.type]).fill(poison));
  return withSentinels(data);
}

function withSentinels(data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(data.length + sentinelBytes).fill(sentinel);
  bytes.set(data);
  return bytes;
}

/** @returns the largest error */
function judge(
  name: string,
  spec: Exclude<BufferSpec, { kind: "alias" }>,
  after: Uint8Array,
  bound: number,
): number {
  const length = after.length - sentinelBytes;
  for (let i = length; i < after.length; i++) {
    if (after[i] !== sentinel)
      throw new KernelMismatch(`${name}: byte ${i - length} behind its end was written`);
  }
  if (spec.kind === "scratch") return 0;
  if (spec.kind === "input") {
    if (Bytes.compare(after.subarray(0, length), spec.data) !== 0) {
      throw new KernelMismatch(`${name}: an input was written`);
    }
    return 0;
  }
  const actual = read(spec.type, after.subarray(0, length));
  const { error, index } = largestError(actual, spec.expected);
  if (error > bound) {
    throw new KernelMismatch(
      `${name}: element ${index} of ${actual.length} is ${actual[index]}, expected ${spec.expected[index]}: ` +
        `error ${error.toExponential(2)} is above ${bound}`,
    );
  }
  return error;
}

/**
 * A compiled graph: one program, its memory, and the words of the next run.
 */

import { type Buffer, type Device, type Program, ProgramBuilder, requireRuns } from "../runtime/index.ts";
import type { DType } from "./dtype.ts";
import { LimitChecker } from "./limits.ts";
import { listing } from "./listing.ts";
import { PlanMemory } from "./memory.ts";
import type { Nodes } from "./nodes.ts";
import { type Schedule, type ScheduleOptions, schedule } from "./schedule.ts";
import { type Dimension, elementCount, type Rows } from "./shape.ts";
import type { Memory, Tensor } from "./tensor.ts";
import { type DerivedWord, WordLayout } from "./words.ts";

/** A dynamic dimension and what it is set to. */
interface RowSetting {
  readonly rows: Rows;
  /** Words that follow it, its own not among them. */
  readonly derived: readonly DerivedWord[];
  isSet: boolean;
}

/** A tensor that the caller reads or writes by name. */
interface Named {
  readonly tensor: Tensor;
  /** Where it lives; undefined for words. */
  readonly buffer: Buffer | undefined;
  /** Its live elements: f32, u32, or the bytes of other types. */
  readonly view: Float32Array | Uint32Array | Uint8Array;
}

/**
 * A program with its memory: one native call per run, or for several. Owns its program, the arena of intermediates, and the buffers of
 * inputs and outputs; constants stay the caller's. Made by `Graph.compile`.
 *
 * A plan may have several runs in flight. They execute one after the other, each with the words that it was given, but
 * they share inputs and outputs: read an output before the next run overwrites it.
 */
export class Plan implements Disposable {
  readonly program: Program;
  /** Bytes that the intermediates share. */
  readonly arenaBytes: number;
  readonly dispatchCount: number;
  readonly barrierCount: number;
  readonly #device: Device;
  readonly #owned: DisposableStack;
  readonly #words: Uint32Array; // dynamic words of the next run
  #wordsOfRuns = new Uint32Array(0); // of those that are submitted together
  readonly #rows = new Map<string, RowSetting>();
  readonly #named = new Map<string, Named>();
  readonly #limits: LimitChecker;
  readonly #schedule: Schedule;
  readonly #bufferOf: (memory: Memory) => Buffer;

  /** @internal use `Graph.compile` or `compileNodes` */
  constructor(device: Device, nodes: Nodes, bufferOf: (memory: Memory) => Buffer, options: ScheduleOptions) {
    this.#device = device;
    this.#bufferOf = bufferOf;
    this.#schedule = schedule(nodes, device.info, options);
    const { steps, arenaBytes } = this.#schedule;
    const layout = new WordLayout(nodes.wordCount);
    const operations = steps.map((step) => step.operation);

    using owned = new DisposableStack(); // disposes what was made if a later part fails
    const buffers = this.#makeBuffers(nodes, owned);
    const arena =
      arenaBytes === 0
        ? undefined
        : owned.use(device.buffer(arenaBytes, { storage: "private", label: "arena" }));
    const memory = new PlanMemory(this.#schedule, { constant: bufferOf, own: buffers, arena }, layout);
    const dispatches = steps.map((step) => memory.dispatch(step));
    const builder = new ProgramBuilder(device, { dynamicWords: layout.count, label: "plan" });
    steps.forEach((step, i) => {
      if (step.barrier) builder.barrier();
      builder.dispatch({ pipeline: device.shaders().pipeline(step.dispatch.kernel), ...dispatches[i] });
    });
    this.program = owned.use(builder.build());

    this.arenaBytes = arenaBytes;
    this.dispatchCount = this.program.dispatchCount;
    this.barrierCount = this.program.barrierCount;
    this.#words = new Uint32Array(layout.count);
    for (const [value, word] of layout.fixed) this.#words[word] = value;
    for (const rows of nodes.dynamicRows) {
      const derived = layout.derived.filter((word) => word.rows === rows);
      this.#rows.set(rows.name, { rows, derived, isSet: false });
    }
    this.#nameTensors(nodes, buffers);
    this.#limits = new LimitChecker(
      operations.flatMap((operation) => operation.limits),
      { values: (tensor) => this.#indices(tensor), size: (dimension) => this.#size(dimension) },
    );
    this.#owned = owned.move();
  }

  /**
   * Sets a dynamic dimension for the following runs. With 0 rows the operations over them do nothing, and their outputs
   * keep what they had.
   *
   * @throws {RangeError} if there is no such dimension, or `count` is not a whole number from 0 to its maximum
   */
  setRows(name: string, count: number): this {
    const setting = this.#rows.get(name);
    if (setting === undefined) {
      throw new RangeError(`The plan has no rows "${name}"; it has ${quoted(this.#rows.keys())}`);
    }
    const { rows, derived } = setting;
    if (!Number.isInteger(count) || count < 0 || count > rows.max) {
      throw new RangeError(
        `Cannot set rows "${name}" to "${count}": it must be a whole number from 0 to ${rows.max}`,
      );
    }
    if (setting.isSet && this.#words[rows.word] === count) return this;
    setting.isSet = true;
    this.#words[rows.word] = count;
    for (const { word, factor } of derived) this.#words[word] = count * factor;
    return this;
  }

  /**
   * Copies values into words or an input: all of them, or, with a dynamic dimension, as many whole rows as are given.
   *
   * @param values numbers for f32 and u32; for other types an array whose bytes are taken as they are
   * @throws {RangeError} if the number of values does not fit
   * @throws {TypeError} if `name` is an output, or the values are no bytes where bytes are needed
   */
  set(name: string, values: ArrayLike<number> | ArrayBufferView): this {
    const { tensor, view } = this.#get(name);
    if (tensor.source.kind === "result") throw new TypeError(`Cannot set "${name}": it is an output`);
    const isBytes = tensor.dtype !== "f32" && tensor.dtype !== "u32";
    if (isBytes && !ArrayBuffer.isView(values)) {
      throw new TypeError(`Cannot set "${name}" of ${tensor} from numbers: give its bytes`);
    }
    const source = isBytes && ArrayBuffer.isView(values) ? bytesOf(values) : values;
    if (!("length" in source))
      throw new TypeError(`Cannot set "${name}" from a DataView: give a typed array`);
    const [leading] = tensor.shape;
    const step = typeof leading === "number" ? view.length : view.length / leading.max;
    if (source.length > view.length || source.length % step !== 0 || source.length === 0) {
      const wanted =
        typeof leading === "number" ? `${step}` : `a multiple of ${step}, at most ${view.length}`;
      const unit = isBytes ? "bytes" : "values";
      throw new RangeError(
        `Cannot set "${name}" of ${tensor} from ${source.length} ${unit}: it takes ${wanted}`,
      );
    }
    if (view instanceof Uint32Array) requireUnsigned(name, source);
    view.set(source);
    return this;
  }

  /**
   * The values of an f32 input or output, live, for the maximum of its rows. The same array at each call; it ends with
   * the plan.
   *
   * @throws {TypeError} if the tensor is of another type
   */
  f32(name: string): Float32Array {
    const { view, tensor } = this.#get(name);
    if (!(view instanceof Float32Array)) throw new TypeError(`"${name}" is ${tensor}, not f32`);
    return view;
  }

  /**
   * The values of u32 words, or of a u32 input or output, live, for the maximum of its rows. The same array at each
   * call. Words are those of the next run: they may be changed while an earlier one is in flight.
   *
   * @throws {TypeError} if the tensor is of another type
   */
  u32(name: string): Uint32Array {
    const { view, tensor } = this.#get(name);
    if (!(view instanceof Uint32Array)) throw new TypeError(`"${name}" is ${tensor}, not u32`);
    return view;
  }

  /** The bytes of an input or output of any type, live. */
  bytes(name: string): Uint8Array {
    return bytesOf(this.#get(name).view);
  }

  /** The buffer of an input or output; it belongs to the plan. @throws {TypeError} for words, which have none */
  buffer(name: string): Buffer {
    const { buffer } = this.#get(name);
    if (buffer === undefined)
      throw new TypeError(`"${name}" are words of the run and have no buffer: use u32`);
    return buffer;
  }

  /**
   * Runs and waits: one native call.
   *
   * @throws {RangeError} if rows were never set, or an index that the caller gave is out of range
   * @throws {ReleasedError} if the plan was disposed
   */
  run(): void {
    this.#check();
    this.#device.queue.run(this.program, this.#words);
  }

  /**
   * Submits a run: one native call that does not block. Rejects as `run` throws.
   *
   * @returns when the outputs are ready
   */
  runAsync(): Promise<void> {
    try {
      this.#check();
      return this.#device.queue.submit(this.program, this.#words);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Submits several runs at once, which execute one after the other: one native call, and the event loop turns once for all.
   *
   * @param runs from 1 to 64
   * @param prepare sets what the words of a run are to be, before each; inputs are the same for all
   * @returns when the outputs of the last run are ready
   * @throws {RangeError} at once and not as a rejection: as `run`, or where there cannot be so many runs; and what `prepare`
   *   throws. Then nothing is submitted.
   */
  runEachAsync(runs: number, prepare: (run: number) => void): Promise<void> {
    requireRuns(this.program, runs);
    const { length } = this.#words;
    if (this.#wordsOfRuns.length < runs * length) this.#wordsOfRuns = new Uint32Array(runs * length);
    for (let run = 0; run < runs; run++) {
      prepare(run);
      this.#check();
      this.#wordsOfRuns.set(this.#words, run * length);
    }
    return this.#device.queue.submit(this.program, this.#wordsOfRuns.subarray(0, runs * length), runs);
  }

  /** The program for people: each dispatch with its shapes and places, barriers between. */
  describe(): string {
    return listing(this.#schedule);
  }

  /** Releases program and memory; runs in flight finish first. Does nothing when called again. */
  [Symbol.dispose](): void {
    this.#owned.dispose();
  }

  #check(): void {
    for (const { rows, isSet } of this.#rows.values()) {
      if (!isSet) throw new RangeError(`Cannot run the plan: rows "${rows.name}" were never set`);
    }
    this.#limits.check();
  }

  /** Buffers of inputs that are used, and of outputs, by tensor. */
  #makeBuffers(nodes: Nodes, owned: DisposableStack): Map<Tensor, Buffer> {
    const buffers = new Map<Tensor, Buffer>();
    const add = (tensor: Tensor, label: string): void => {
      buffers.set(tensor, owned.use(this.#device.buffer(tensor.byteLength, { label })));
    };
    for (const tensor of nodes.tensors) if (tensor.source.kind === "input") add(tensor, tensor.source.name);
    for (const { tensor, name } of nodes.outputs) add(tensor, name);
    return buffers;
  }

  #nameTensors(nodes: Nodes, buffers: ReadonlyMap<Tensor, Buffer>): void {
    for (const tensor of nodes.tensors) {
      if (tensor.source.kind !== "words") continue;
      const { name, word } = tensor.source;
      const view = this.#words.subarray(word, word + elementCount(tensor.shape));
      this.#named.set(name, { tensor, buffer: undefined, view });
    }
    const names = new Map(nodes.outputs.map(({ tensor, name }) => [tensor, name]));
    for (const [tensor, buffer] of buffers) {
      const name = tensor.source.kind === "input" ? tensor.source.name : names.get(tensor);
      if (name !== undefined) this.#named.set(name, { tensor, buffer, view: viewOf(buffer, tensor.dtype) });
    }
  }

  #get(name: string): Named {
    const named = this.#named.get(name);
    if (named === undefined) {
      throw new RangeError(`The plan has no tensor "${name}"; it has ${quoted(this.#named.keys())}`);
    }
    return named;
  }

  /** The values of an index tensor where the CPU sees them. */
  #indices(tensor: Tensor): Uint32Array | undefined {
    const { source } = tensor;
    if (source.kind === "words" || source.kind === "input") return this.u32(source.name);
    if (source.kind !== "constant") return undefined;
    const buffer = this.#bufferOf(source.memory);
    if (buffer.storage !== "shared") return undefined;
    return buffer.view(Uint32Array, source.byteOffset, elementCount(tensor.shape));
  }

  #size(dimension: Dimension): number {
    return typeof dimension === "number" ? dimension : this.#words[dimension.word];
  }
}

/**
 * Compiles a graph whose constants were made before there were buffers for them.
 *
 * @param buffers the buffer for each memory that the graph names
 * @returns a plan that the caller disposes
 * @throws {TypeError} if one has no buffer
 * @throws {RangeError} if there is nothing to compute, or a buffer would be larger than the device allows
 */
export function compileNodes(device: Device, nodes: Nodes, buffers: ReadonlyMap<Memory, Buffer>): Plan {
  const bufferOf = (memory: Memory): Buffer => {
    const buffer = buffers.get(memory);
    if (buffer !== undefined && buffer.byteLength >= memory.byteLength) return buffer;
    throw new TypeError(
      `A constant lives in memory of ${memory.byteLength} bytes that has no buffer of as many`,
    );
  };
  return new Plan(device, nodes, bufferOf, {});
}

function viewOf(buffer: Buffer, dtype: DType): Float32Array | Uint32Array | Uint8Array {
  if (dtype === "f32") return buffer.view(Float32Array);
  if (dtype === "u32") return buffer.view(Uint32Array);
  return buffer.bytes();
}

/** A typed array would wrap what does not fit, and -1 is a slot that is skipped. */
function requireUnsigned(name: string, values: ArrayLike<number>): void {
  for (let i = 0; i < values.length; i++) {
    if (values[i] >>> 0 !== values[i]) {
      throw new RangeError(
        `Cannot set "${name}": value ${i} is ${values[i]}, not a whole number from 0 to 4294967295`,
      );
    }
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function quoted(names: Iterable<string>): string {
  return [...names].map((name) => `"${name}"`).join(", ") || "none";
}

/** Devices: what there is, and the objects that each makes. */
import {
  type Bridge,
  BridgeError,
  deviceTexts,
  environmentVariable,
  type Handle,
  handleKinds,
  loadBridge,
  readText,
  statisticNames,
  storageModes,
} from "../ffi/index.ts";
import { Buffer, type BufferOptions } from "./buffer.ts";
import { cString, requireBytes, requireNumber } from "./check.ts";
import type { Backend, DeviceContext, DeviceInfo } from "./context.ts";
import { readDeviceNumbers } from "./device_numbers.ts";
import { disabledByEnvironment, type Feature, featureMask, featuresOf } from "./features.ts";
import { Library } from "./library.ts";
import { Owned } from "./owned.ts";
import { Queue } from "./queue.ts";

/** Native objects that JavaScript holds, by kind, in the whole process. */
export type LiveHandles = Readonly<Record<(typeof handleKinds)[number], number>>;

/** Numbers about the native side of the whole process. */
export type BridgeStatistics = Readonly<Record<(typeof statisticNames)[number], number>>;

/** How to open a device. */
export interface OpenOptions {
  /** Features to do without, besides those of the environment's BUN_METAL_DISABLE. No result depends on them. */
  readonly disable?: readonly Feature[];
}

/** Which part of a file to map. */
export interface MapOptions {
  /** Bytes; a multiple of the device's page size. Default 0. */
  readonly offset?: number;
  /** Bytes; by default up to the file's end. */
  readonly length?: number;
  /** What messages call the buffer. Default: the path. */
  readonly label?: string;
}

/** What `"auto"` prefers, the best first. */
const preference: readonly Backend[] = ["metal", "cuda", "cpu"];

/**
 * A device, opened. Disposing it disposes its queue (which waits for what is in flight) and its shaders. Other objects
 * that it made stay valid, but buffers can no longer be uploaded to and the like, which goes through that queue.
 */
export class Device extends Owned implements DeviceContext {
  readonly info: DeviceInfo;
  declare readonly bridge: Bridge;
  #queue: Queue | undefined;
  #shaders: Library | undefined;

  /**
   * The devices that can be used, as `open()` opens them without options.
   *
   * @throws {RangeError} for a name in BUN_METAL_DISABLE that is not a feature's.
   */
  static list(): DeviceInfo[] {
    return survey(loadBridge()).infos;
  }

  /**
   * Opens a device.
   *
   * @param name `"cpu"`, `"metal"`, `"cuda"`, `"cuda:1"` for the second of a kind, or `"auto"` for the best there is.
   *   Default: `"auto"`, which the environment's BUN_METAL_DEVICE can give another meaning.
   * @param options `disable`: features to do without, besides those of the environment's BUN_METAL_DISABLE, which lists
   *   them with commas between.
   * @throws {BridgeError} `not-found`, with a list of what there is, and why other devices cannot be used.
   * @throws {RangeError} for a name that is not a feature's, with a list of those that are.
   */
  static open(name: string = "auto", options: OpenOptions = {}): Device {
    const wanted = (name === "auto" && environmentVariable("BUN_METAL_DEVICE")) || name;
    const disabled = featureMask(options.disable ?? [], "the option disable") | disabledByEnvironment();
    const bridge = loadBridge();
    const { infos, refusals } = survey(bridge);
    const info =
      wanted === "auto"
        ? best(infos)
        : infos.find(({ id, backend }) => wanted === id || (wanted === `${backend}:0` && id === backend));
    if (info === undefined) {
      const there = infos.map(({ id, name: model }) => `"${id}" (${model})`).join(", ") || "none";
      const sentence = [`Cannot open device "${wanted}"; there is ${there}`, ...refusals].join(". ");
      throw new BridgeError("not-found", sentence);
    }
    const handle = openHandle(bridge, info.index, disabled);
    const features = featuresOf(readDeviceNumbers(bridge, handle)("features"));
    return new Device(bridge, handle, { ...info, features });
  }

  /** How many native objects are held, by kind, in the whole process: all threads, all devices. */
  static liveHandles(): LiveHandles {
    const { symbols } = loadBridge();
    return readCounts(handleKinds, (out, capacity) => symbols.bm_live_handles(out, capacity));
  }

  /** Bytes, submissions in flight, and Objective-C objects (NaN where the platform cannot tell), in the whole process. */
  static statistics(): BridgeStatistics {
    const { symbols } = loadBridge();
    return readCounts(statisticNames, (out, capacity) => symbols.bm_statistics(out, capacity));
  }

  /** Live Objective-C objects by class; empty where the platform cannot tell. */
  static liveObjects(): Map<string, number> {
    const { symbols } = loadBridge();
    const text = readText((out, capacity) => symbols.bm_live_objects(out, capacity));
    const lines = text.split("\n").filter((line) => line !== "");
    return new Map(
      lines.map((line) => [line.replace(/ \d+$/, ""), Number(line.slice(line.lastIndexOf(" ")))]),
    );
  }

  /** The SHA-256 of the source of the shaders that the native library brings, in hexadecimal. */
  static shadersDigest(): string {
    const { symbols } = loadBridge();
    return readText((out, capacity) => symbols.bm_shaders_digest(out, capacity));
  }

  private constructor(bridge: Bridge, handle: Handle, info: DeviceInfo) {
    super(bridge, handle, `device "${info.id}"`);
    this.info = info;
  }

  /** Bytes that the device has allocated now, by whomever in this process. */
  get allocatedBytes(): number {
    return readDeviceNumbers(this.bridge, this.handle)("allocated");
  }

  /** The device's own queue, made on the first use. Uploads, downloads, fills and copies of its buffers run there. */
  get queue(): Queue {
    const handle = this.handle;
    this.#queue ??= Queue.create(this.bridge, handle, `queue of ${this.label}`);
    return this.#queue;
  }

  /** Makes another queue, which the caller owns. */
  createQueue(): Queue {
    return Queue.create(this.bridge, this.handle, `queue on ${this.label}`);
  }

  /**
   * Makes a buffer.
   *
   * @throws {BridgeError} `argument` or `range` for a length that no buffer has, `memory` for one that there is no room for.
   */
  buffer(byteLength: number, options: BufferOptions = {}): Buffer {
    const { storage = "shared", label } = options;
    const handle = Buffer.allocate(this, byteLength, storage);
    return new Buffer(this, handle, { byteLength, storage, label });
  }

  /** Makes a buffer with a copy of `data`, shared unless the options say otherwise. */
  bufferFrom(data: ArrayBufferView, options: BufferOptions = {}): Buffer {
    const bytes = requireBytes(data, "data for a buffer");
    const buffer = this.buffer(bytes.byteLength, options);
    try {
      if (buffer.storage === "shared") buffer.bytes().set(bytes);
      else buffer.upload(bytes);
    } catch (error) {
      buffer.dispose();
      throw error;
    }
    return buffer;
  }

  /**
   * Makes a shared buffer over memory of JavaScript's, without a copy. Address and length have to be multiples of
   * `info.pageSize`; `alignedMemory` makes such. The buffer keeps the memory alive, and so do programs that use it. The
   * memory must not be transferred or resized meanwhile.
   */
  wrap(memory: Uint8Array, options: { readonly label?: string } = {}): Buffer {
    const bytes = requireBytes(memory, "memory to wrap");
    const { byteLength } = bytes;
    const handle = this.bridge.symbols.bm_buffer_wrap(this.handle, bytes, byteLength);
    if (handle === 0) {
      throw this.bridge.failure(
        `Cannot wrap ${byteLength} bytes at address 0x${this.bridge.addressOf(bytes).toString(16)}, pages having ` +
          `${this.info.pageSize} bytes; see Device.alignedMemory()`,
      );
    }
    return new Buffer(this, handle, { byteLength, storage: "shared", label: options.label, memory: bytes });
  }

  /** Makes memory that `wrap` takes: zeros, aligned to a page, `byteLength` rounded up to whole pages. */
  alignedMemory(byteLength: number): Uint8Array {
    const { pageSize } = this.info;
    const length = Math.ceil(requireNumber(byteLength, "a length") / pageSize) * pageSize;
    const memory = new Uint8Array(length + pageSize);
    const start = (pageSize - (this.bridge.addressOf(memory) % pageSize)) % pageSize;
    return memory.subarray(start, start + length);
  }

  /**
   * Makes a shared buffer of a file's bytes, mapped and not read. Writes to it do not reach the file. The mapping goes
   * with the buffer. A file that is made shorter meanwhile takes the process with it, as with every mapping.
   *
   * @throws {BridgeError} `not-found`, or `range` for a part that the file does not have.
   */
  mapFile(path: string, options: MapOptions = {}): Buffer {
    const { offset = 0, length = 0, label = path } = options;
    const { symbols } = this.bridge;
    requireNumber(offset, "an offset");
    requireNumber(length, "a length");
    const handle = symbols.bm_buffer_map(this.handle, cString(path, "a path"), offset, length);
    if (handle === 0) {
      const part = length === 0 ? `from byte ${offset} on` : `, ${length} bytes from byte ${offset} on`;
      throw this.bridge.failure(`Cannot map "${path}" ${part}`);
    }
    const byteLength = symbols.bm_buffer_length(handle);
    return new Buffer(this, handle, { byteLength, storage: "shared", label });
  }

  /** The shaders that ship with the package. Opened on the first call; they belong to the device, which disposes them. */
  shaders(): Library {
    const handle = this.handle;
    if (this.#shaders !== undefined && !this.#shaders.disposed && handle !== 0) return this.#shaders;
    const shaders = this.bridge.symbols.bm_library_shaders(handle);
    if (shaders === 0) throw this.bridge.failure(`Cannot load the shaders for ${this.label}`);
    this.#shaders = new Library(this.bridge, shaders, "library of shaders");
    return this.#shaders;
  }

  /**
   * Compiles Metal Shading Language.
   *
   * @param options `name`: what messages call the source.
   * @throws {CompileError} with the compiler's messages, lines and columns.
   * @throws {BridgeError} `unsupported` where there is no compiler.
   */
  compile(source: string, options: { readonly name?: string } = {}): Library {
    const name = options.name ?? "source.metal";
    const text = cString(source, "shader source");
    const title = cString(name, "a source's name");
    const { symbols } = this.bridge;
    const handle = symbols.bm_library_from_source(this.handle, text, text.byteLength - 1, title);
    if (handle === 0) throw this.bridge.failure(`Cannot compile "${name}"`);
    return new Library(this.bridge, handle, `library "${name}"`);
  }

  /** Loads compiled shaders: a .metallib, or what `mslc` writes. */
  loadLibrary(path: string): Library {
    const handle = this.bridge.symbols.bm_library_from_file(this.handle, cString(path, "a path"));
    if (handle === 0) throw this.bridge.failure(`Cannot load the shader library "${path}"`);
    return new Library(this.bridge, handle, `library "${path}"`);
  }

  protected override releasing(): void {
    this.#queue?.dispose();
    this.#shaders?.dispose();
  }
}

/** The devices that can be used, and the bridge's sentences about those that cannot. */
function survey(bridge: Bridge): { readonly infos: DeviceInfo[]; readonly refusals: string[] } {
  const disabled = disabledByEnvironment();
  const count = new Uint32Array(1);
  if (bridge.symbols.bm_device_count(count) !== 0) throw bridge.failure("Cannot list the devices");
  const infos: DeviceInfo[] = [];
  const refusals: string[] = [];
  for (let index = 0; index < count[0]; index++) {
    const handle = bridge.symbols.bm_device_open(index, disabled);
    if (handle === 0) {
      const { code, message } = bridge.failure(`Cannot open device ${index}`);
      if (code !== "unsupported") throw new BridgeError(code, message);
      refusals.push(message);
      continue;
    }
    try {
      infos.push(readInfo(bridge, handle, index, infos));
    } finally {
      bridge.symbols.bm_release(handle);
    }
  }
  return { infos, refusals };
}

function openHandle(bridge: Bridge, index: number, disabled: number): Handle {
  const handle = bridge.symbols.bm_device_open(index, disabled);
  if (handle === 0) throw bridge.failure(`Cannot open device ${index}`);
  return handle;
}

function best(infos: readonly DeviceInfo[]): DeviceInfo | undefined {
  return infos.toSorted((a, b) => preference.indexOf(a.backend) - preference.indexOf(b.backend)).at(0);
}

function backendOf(architecture: string): Backend {
  if (architecture.startsWith("cpu")) return "cpu";
  return architecture.startsWith("cuda") ? "cuda" : "metal";
}

function readInfo(bridge: Bridge, device: Handle, index: number, before: readonly DeviceInfo[]): DeviceInfo {
  const text = (which: (typeof deviceTexts)[number]): string =>
    readText((out, capacity) =>
      bridge.symbols.bm_device_text(device, deviceTexts.indexOf(which), out, capacity),
    );
  const number = readDeviceNumbers(bridge, device);
  const architecture = text("architecture");
  const backend = backendOf(architecture);
  const siblings = before.filter((other) => other.backend === backend).length;
  return {
    id: siblings === 0 ? backend : `${backend}:${siblings}`,
    index,
    name: text("name"),
    architecture,
    backend,
    unifiedMemory: number("unifiedMemory") !== 0,
    maxBufferLength: number("maxBufferLength"),
    workingSet: number("workingSet"),
    maxThreadgroupMemory: number("maxThreadgroupMemory"),
    maxThreadsPerThreadgroup: [number("maxThreadsX"), number("maxThreadsY"), number("maxThreadsZ")],
    simdgroupMatrix: number("simdgroupMatrix") !== 0,
    serialLanes: backend === "cpu",
    pageSize: number("pageSize"),
    weightStorage: storageModes[number("weightStorage")],
    nonuniformThreadgroups: number("nonuniformThreadgroups") !== 0,
    features: featuresOf(number("features")),
  };
}

function readCounts<const K extends readonly string[]>(
  names: K,
  read: (out: Float64Array, capacity: number) => number,
): Readonly<Record<K[number], number>> {
  const numbers = new Float64Array(names.length);
  read(numbers, numbers.length);
  return Object.fromEntries(names.map((name, i) => [name, numbers[i]])) as Record<K[number], number>;
}

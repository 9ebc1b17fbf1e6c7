/** How a model is loaded: its options, what happens in which order, and who owns what came of it. */
import { type GgufFile, openGguf } from "../gguf/index.ts";
import { Device, type DeviceInfo } from "../runtime/index.ts";
import { kernelsOf } from "../tensor/index.ts";
import { type Tokenizer, tokenizerFromMetadata } from "../text/index.ts";
import { checkKvType, type KvType, layoutCache } from "./cache.ts";
import { type LlamaConfig, readConfig } from "./config.ts";
import { checkMemory } from "./memory_check.ts";
import { Model } from "./model.ts";
import { ModelGraphs, type ModelOptions, type ModelParts } from "./model_graphs.ts";
import { MOST_TOKENS_IN_FLIGHT } from "./pace.ts";
import { readRopeFactors } from "./rope_factors.ts";
import { type RopeFactors, ropeTables } from "./rope_tables.ts";
import { layoutWeights, loadWeights, type WeightBuffers } from "./weight_buffers.ts";
import { findWeights, type LlamaWeights, type WeightPlace } from "./weights.ts";

/** Positions of a sequence unless told: a longer context is memory that few texts use. */
const DEFAULT_CONTEXT_LENGTH = 4096;
const DEFAULT_BATCH_SIZE = 128;
/** Where it takes more rows to keep the device busy, and it is fast enough that weights should be read less often. */
const LARGE_BATCH_SIZE = 512;
/** Where the device is not the CPU itself: two groups of eight, for each of which JavaScript's thread wakes up once (pace.ts). */
const DEFAULT_TOKENS_IN_FLIGHT = 16;
/** Which part of loading is the weights' where they are copied, as a fraction. */
const PLACING_BEGINS = 0.2;
const PLACING_ENDS = 0.8;

export type LoadProgress = {
  /** What is being done, for people. */
  readonly stage:
    | "reading the file"
    | "opening the device"
    | "placing the weights"
    | "preparing kernels"
    | "ready";
  /** How much is done, from 0 to 1. */
  readonly fraction: number;
};

export type LoadOptions = {
  /**
   * A name as for `Device.open` (`"auto"`, `"cpu"`, `"metal"`, `"cuda"`): the model opens it and disposes it with itself.
   * Or a device, which stays the caller's and has to outlive the model. Default: `"auto"`.
   */
  readonly device?: string | Device;
  /** Positions that each sequence can hold. Memory grows with it. Default: what the model was trained for, at most 4096. */
  readonly contextLength?: number;
  /**
   * Rows of a prompt that are computed at once. More are faster on large devices and take more memory. Default: 128 on a
   * CPU without AMX, else 512.
   */
  readonly batchSize?: number;
  /** Sequences that can be open at once, each with room for a whole context. Memory grows with it. Default: 1. */
  readonly maxSequences?: number;
  /**
   * How keys and values are stored. `"f32"` keeps logits within 1e-4 of exact arithmetic; `"f16"` takes half the memory, and
   * moves them by a few thousandths; `"q8_0"` takes 17/64 of the memory, moves them by a few hundredths, and needs heads of
   * a multiple of 32 elements. Default: `"f32"`.
   */
  readonly kvType?: KvType;
  /**
   * How many tokens of a generation are computed, at most, before the host has looked at the first of them: the device
   * chooses them then, exactly as the host would, and need not wait for JavaScript between two tokens. They come in groups:
   * as many together as take a 30th of a second, and at most half of these; fewer at the begin, and where many generations
   * run at a time. Where a step takes longer than that, two are on their way. 0: the host chooses each token from its logits.
   * A generation with a repetition penalty takes that path in any case. Default: 0 on the CPU, which gains nothing from it,
   * else 16.
   */
  readonly tokensInFlight?: number;
  /**
   * Whether to load a model that needs more memory than the device's working set (`DeviceInfo.workingSet`). That is a
   * recommendation: beyond it a device gets slow, and work may fail with a `BridgeError` when memory runs out. Without it
   * such a model is refused before anything is allocated. Default: false.
   */
  readonly exceedWorkingSet?: boolean;
  /** Ends loading with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Called between the parts of loading and, where weights are copied, between their pieces. */
  readonly onProgress?: (progress: LoadProgress) => void;
};

/** What is known of a model without a device. */
export type ModelFile = {
  readonly gguf: GgufFile;
  readonly config: LlamaConfig;
  readonly tokenizer: Tokenizer;
  readonly places: LlamaWeights<WeightPlace>;
  readonly ropeFactors: RopeFactors;
};

/** Reads a model's file and checks all of it. Throws as `Llama.load`. */
export function readModelFile(path: string): ModelFile {
  const gguf = openGguf(path);
  const config = readConfig(gguf);
  const places = findWeights(gguf, config);
  const ropeFactors = readRopeFactors(gguf, config);
  return { gguf, config, places, ropeFactors, tokenizer: tokenizerFromMetadata(gguf.metadata) };
}

/** A model on its device. */
export type LoadedModel = {
  readonly file: ModelFile;
  readonly device: Device;
  readonly model: Model;
  /** All that was made, the device too where it was opened here. The receiver disposes it. */
  readonly owned: DisposableStack;
};

/** Loads a model. If it fails or is aborted, nothing stays behind. Throws as `Llama.load`. */
export async function loadModel(path: string, options: LoadOptions): Promise<LoadedModel> {
  const begin = async (stage: LoadProgress["stage"], fraction: number): Promise<void> => {
    options.onProgress?.({ stage, fraction });
    await new Promise((resolve) => setImmediate(resolve)); // a chance to paint, and to abort
    options.signal?.throwIfAborted();
  };
  options.signal?.throwIfAborted();
  await begin("reading the file", 0);
  const file = readModelFile(path);
  const resolved = resolveOptions(options, file.config);
  const rope = ropeTables(file.config, file.ropeFactors, resolved.contextLength);
  await begin("opening the device", 0.1);
  using owned = new DisposableStack();
  const device = typeof options.device === "object" ? options.device : owned.use(Device.open(options.device));
  const modelOptions = resolveForDevice(options, resolved, device.info);
  await begin("placing the weights", PLACING_BEGINS);
  const parts: ModelParts = {
    config: file.config,
    places: file.places,
    weights: layoutWeights(file.places, device.info),
    cache: layoutCache(file.config, modelOptions, device.info.maxBufferLength),
    rope,
  };
  const graphs = new ModelGraphs(parts, modelOptions);
  const bytes = { weights: parts.weights.byteLength, cache: parts.cache.byteLength };
  const { exceedWorkingSet = false } = options;
  checkMemory(device.info, bytes, graphs, { ...modelOptions, exceedWorkingSet });
  const onProgress = (done: number): void => {
    const fraction = PLACING_BEGINS + done * (PLACING_ENDS - PLACING_BEGINS);
    options.onProgress?.({ stage: "placing the weights", fraction });
  };
  const loading = loadWeights(device, file.gguf.parts, parts.weights, { signal: options.signal, onProgress });
  const kernels = beginKernels(device, graphs);
  let weights: WeightBuffers;
  try {
    weights = owned.use(await loading);
  } finally {
    await kernels;
  }
  await begin("preparing kernels", PLACING_ENDS);
  const model = owned.use(new Model(device, parts, graphs, weights, modelOptions));
  await begin("ready", 1);
  return { file, device, model, owned: owned.move() };
}

/**
 * Has kernels compiled while weights are on their way, where that takes long and goes on in the background (bridge/linux/cuda):
 * those of all steps, as a prompt comes soon. Never rejects: what is wrong with them is found where they are used.
 */
async function beginKernels(device: Device, graphs: ModelGraphs): Promise<void> {
  if (device.info.backend !== "cuda") return;
  try {
    for (let step = 0; step < graphs.limits.length; step++) {
      await new Promise((resolve) => setImmediate(resolve)); // weights first
      for (const kernel of kernelsOf(graphs.graph(step), device.info)) device.shaders().pipeline(kernel);
    }
  } catch {}
}

/** Whether a step should have many rows: a CPU without matrices in registers gains little by that, and is long at each step. */
function wantsManyRows({ serialLanes, architecture }: DeviceInfo): boolean {
  return !serialLanes || architecture.endsWith("+amx");
}

type ResolvedOptions = Omit<ModelOptions, "tokensInFlight">;

/**
 * The options as far as they need no device, checked, with the defaults of one that is the CPU.
 *
 * @throws {RangeError} if one is out of range
 */
export function resolveOptions(options: LoadOptions, config: LlamaConfig): ResolvedOptions {
  const {
    contextLength = Math.min(config.contextLength, DEFAULT_CONTEXT_LENGTH),
    batchSize = DEFAULT_BATCH_SIZE,
    maxSequences = 1,
    kvType = "f32",
    tokensInFlight = 0,
  } = options;
  checkCount("contextLength", contextLength, config.contextLength, "what the model was trained for");
  checkCount("batchSize", batchSize, 65536, "the most that a step takes");
  checkCount("maxSequences", maxSequences, 65536, "the most that there can be");
  if (tokensInFlight !== 0) {
    checkCount(
      "tokensInFlight",
      tokensInFlight,
      MOST_TOKENS_IN_FLIGHT,
      "or 0, where the host chooses tokens",
    );
  }
  checkKvType(kvType, config);
  return {
    contextLength,
    batchSize: fullBatch(batchSize, contextLength, maxSequences),
    maxSequences,
    kvType,
  };
}

/** All options: what `resolveOptions` has found, with the defaults that depend on the device. */
function resolveForDevice(options: LoadOptions, resolved: ResolvedOptions, device: DeviceInfo): ModelOptions {
  const { contextLength, maxSequences } = resolved;
  const { tokensInFlight = device.serialLanes ? 0 : DEFAULT_TOKENS_IN_FLIGHT } = options;
  const isLarge = options.batchSize === undefined && wantsManyRows(device);
  const batchSize = isLarge ? fullBatch(LARGE_BATCH_SIZE, contextLength, maxSequences) : resolved.batchSize;
  return { ...resolved, batchSize, tokensInFlight };
}

/** A batch larger than the whole cache would never be full. */
function fullBatch(batchSize: number, contextLength: number, maxSequences: number): number {
  return Math.min(batchSize, contextLength * maxSequences);
}

function checkCount(name: string, value: number, most: number, why: string): void {
  if (Number.isSafeInteger(value) && value >= 1 && value <= most) return;
  throw new RangeError(`${name} must be a whole number from 1 to ${most} (${why}), not ${value}`);
}

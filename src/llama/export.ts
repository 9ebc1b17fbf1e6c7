/**
 * A model without JavaScript: its compiled steps, buffers and tokenizer in one `.bmplan` file, which the C API runs
 * with the weights of the GGUF file beside it ("models without JavaScript" in bridge/bun_metal.h).
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { basename, dirname, isAbsolute, relative, resolve, sep } from "node:path";
import { abiVersion, Device } from "../runtime/index.ts";
import type { KernelTarget } from "../tensor/index.ts";
import { tokenizerTables } from "../text/index.ts";
import { BLOCK_SIZE, type KvType } from "./cache.ts";
import { ModelError } from "./errors.ts";
import { compileSteps } from "./export_programs.ts";
import { encodeTokenizer } from "./export_tokenizer.ts";
import { type ModelFile, readModelFile, resolveOptions } from "./load.ts";
import { encodePlanFile, SectionWriter, sha256 } from "./plan_file.ts";
import { ropeTables } from "./rope_tables.ts";
import { distinctPlaces } from "./weights.ts";

/** `apple`: GPUs of family Apple7 and later (iPhones and iPads from A14, Macs from M1). `cpu`: the CPU of Metal for Linux. */
export type ExportTarget = "apple" | "cpu";

export const exportTargets: readonly ExportTarget[] = ["apple", "cpu"];

/** What decides which kernels a plan uses. */
const targets: Readonly<Record<ExportTarget, KernelTarget>> = {
  apple: { simdgroupMatrix: true, serialLanes: false },
  cpu: { simdgroupMatrix: true, serialLanes: true },
};

/** Threads of a SIMD group that the kernels are written for. */
const SIMD_WIDTH = 32;
/** PLAN_NEEDS_SIMDGROUP_MATRIX of bridge/model/format.h. */
const NEEDS_SIMDGROUP_MATRIX = 1;

const DEFAULT_MAX_BUFFER = 2 ** 30;
/** Pages of Apple's GPUs and of arm64 systems; a multiple of the 4096 of x86-64. */
const DEFAULT_PAGE_SIZE = 16384;

export type ExportOptions = {
  /** Which kind of device will run the plan. Default: `"apple"`. */
  readonly target?: ExportTarget;
  /** Positions of a text. Default: what the model was trained for, at most 4096. */
  readonly contextLength?: number;
  /** Rows of a prompt that are computed at once. Default: 128. */
  readonly batchSize?: number;
  /** How keys and values are stored. Default: `"f32"`. */
  readonly kvType?: KvType;
  /** Bytes of the largest buffer. Default: 1 GiB. */
  readonly maxBufferLength?: number;
  /** Bytes of a page, a power of two from 4096 to 65536. Default: 16384. */
  readonly pageSize?: number;
  /** Whether an existing file may be replaced. Default: false. */
  readonly overwrite?: boolean;
};

/** What was written. */
export type ExportResult = {
  readonly byteLength: number;
  /** The name by which the plan finds the weights, from its own directory. */
  readonly modelName: string;
  /** Whether the weights are there now; if not, they have to be put there. */
  readonly isBesideModel: boolean;
  readonly contextLength: number;
  readonly kernelCount: number;
  /** Buffers that the weights are spread over. */
  readonly weightBuffers: number;
  readonly cacheBytes: number;
};

/**
 * Writes the plan of a model. The file appears whole or not at all.
 *
 * @param path A GGUF file, as for `Llama.load`.
 * @param out The file to write.
 * @throws {GgufError | ModelError | TypeError} As `Llama.load`, for a model that cannot run.
 * @throws {RangeError} If an option is out of range.
 * @throws {Error} If `out` exists, or cannot be written; `cause` holds the system's error.
 * @throws {BridgeError} If the native library is missing: it knows the shaders that the plan is for.
 */
export function exportModel(path: string, out: string, options: ExportOptions = {}): ExportResult {
  const model = readModelFile(path);
  refuseSplit(path, model);
  const { target = "apple", maxBufferLength = DEFAULT_MAX_BUFFER, pageSize = DEFAULT_PAGE_SIZE } = options;
  if (!Object.hasOwn(targets, target)) {
    throw new RangeError(`target must be one of ${exportTargets.join(", ")}, not "${target}"`);
  }
  checkPages(maxBufferLength, pageSize);
  const { contextLength, batchSize, kvType } = resolveOptions(options, model.config);
  checkTarget(path, out, options.overwrite === true);
  const steps = compileSteps(
    model.config,
    model.places,
    ropeTables(model.config, model.ropeFactors, contextLength),
    {
      target: targets[target],
      contextLength,
      batchSize,
      kvType,
      maxBufferLength,
      pageSize,
    },
  );
  const modelName = nameFrom(out, path);
  const header = readHeaderBytes(path, model);
  const section = new SectionWriter()
    .u32(abiVersion, model.config.vocabularySize, contextLength, steps.rows)
    .u32(BLOCK_SIZE, steps.blockCount, steps.usesSimdgroupMatrix ? NEEDS_SIMDGROUP_MATRIX : 0, SIMD_WIDTH)
    .u64(model.gguf.fileSize)
    .u64(header.length)
    .array(sha256(header))
    .array(Uint8Array.fromHex(Device.shadersDigest()))
    .text(modelName.name);
  const bytes = encodePlanFile({
    model: section.finish(),
    kernels: steps.kernels,
    buffers: steps.buffers,
    data: steps.data,
    programs: steps.programs,
    tokenizer: encodeTokenizer(tokenizerTables(model.tokenizer)),
  });
  writeWhole(out, bytes);
  return {
    byteLength: bytes.length,
    modelName: modelName.name,
    isBesideModel: modelName.isThere,
    contextLength,
    kernelCount: steps.kernelCount,
    weightBuffers: steps.weightBuffers,
    cacheBytes: steps.cacheBytes,
  };
}

/** A plan names one file, whose size and header it holds. */
function refuseSplit(path: string, { gguf: { parts } }: ModelFile): void {
  if (parts.length === 1) return;
  throw new ModelError(
    "split.count",
    `Cannot export "${path}": its weights are in ${parts.length} files, and a plan takes them from one; make one of them (quantize with type "COPY" does)`,
  );
}

/** Refuses to replace what must stay: the model always, other files unless told. */
function checkTarget(path: string, out: string, overwrite: boolean): void {
  if (!existsSync(out)) return;
  if (realpathSync(out) === realpathSync(path))
    throw new Error(`Cannot write "${out}": it is the model itself`);
  if (!overwrite) throw new Error(`Cannot write "${out}": it exists already, and may not be replaced`);
}

function checkPages(maxBufferLength: number, pageSize: number): void {
  if (!Number.isInteger(Math.log2(pageSize)) || pageSize < 4096 || pageSize > 65536) {
    throw new RangeError(`pageSize must be a power of two from 4096 to 65536, not ${pageSize}`);
  }
  if (!Number.isSafeInteger(maxBufferLength) || maxBufferLength < pageSize) {
    throw new RangeError(`maxBufferLength must be a whole number of at least a page, not ${maxBufferLength}`);
  }
}

/** The model's path from the plan's directory, or its bare name where it does not lie below it. */
function nameFrom(out: string, path: string): { name: string; isThere: boolean } {
  const name = relative(dirname(resolve(out)), resolve(path));
  const isBelow = name !== "" && !isAbsolute(name) && name.split(sep)[0] !== "..";
  return isBelow
    ? { name: name.split(sep).join("/"), isThere: true }
    : { name: basename(path), isThere: false };
}

/** All bytes before the first tensor's data: they say what every other byte of the file means. */
function readHeaderBytes(path: string, { places }: ModelFile): Uint8Array {
  const length = distinctPlaces(places).reduce((least, { offset }) => Math.min(least, offset), Infinity);
  const bytes = new Uint8Array(length);
  const file = openSync(path, "r");
  try {
    for (let at = 0; at < length; ) {
      const count = readSync(file, bytes, at, length - at, at);
      if (count === 0) throw new Error(`Cannot read model file "${path}": it became shorter meanwhile`);
      at += count;
    }
  } finally {
    closeSync(file);
  }
  return bytes;
}

/** Writes beside the target first, so that a full disk or an interruption leaves nothing half-written behind. */
function writeWhole(out: string, bytes: Uint8Array): void {
  const temporary = `${out}.${crypto.randomUUID()}.part`;
  let isThere = false;
  try {
    const file = openSync(temporary, "wx");
    isThere = true;
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, out);
  } catch (error) {
    if (isThere) rmSync(temporary, { force: true });
    throw new Error(`Cannot write "${out}": ${reasonOf(error)}`, { cause: error });
  }
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "its directory does not exist",
  ENOTDIR: "a part of its path is not a directory",
  EISDIR: "it is a directory",
  EACCES: "permission denied",
  EROFS: "the file system cannot be written to",
  ENOSPC: "the disk is full",
};

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = "code" in error ? String(error.code) : "";
  return reasons[code] ?? error.message;
}

/** The weights on a device: which bytes of the files lie in which buffer, and how they get there. */
import type { GgufPart } from "../gguf/index.ts";
import { BridgeError, type Buffer, type Device } from "../runtime/index.ts";
import { type Chunk, type ChunkLimits, type ChunkPlace, planChunks } from "./chunks.ts";
import { STAGING_BYTES, Staging } from "./staging.ts";
import { WeightFiles } from "./weight_file.ts";
import { distinctPlaces, type LlamaWeights, type WeightPlace } from "./weights.ts";

/**
 * Where weights are: `mapped`, in the file itself, which is read as they are used; `copied` into memory that CPU and
 * device share, where the device does not take mapped files; or `private`, copied into memory of the device's own.
 */
export type WeightPlacement = "mapped" | "copied" | "private";

/** What becomes one buffer: bytes of one of the model's files. */
export type WeightChunk = Chunk & { readonly part: number };

/** What becomes buffers, and where each weight lies. */
export type WeightLayout = {
  readonly chunks: readonly WeightChunk[];
  readonly places: ReadonlyMap<WeightPlace, ChunkPlace>;
  /** Bytes of all chunks. */
  readonly byteLength: number;
};

export type WeightHooks = {
  /** Told between pieces how much is done, from 0 to 1. */
  readonly onProgress?: (fraction: number) => void;
  readonly signal?: AbortSignal | undefined;
};

/**
 * Spreads the weights over as few buffers as the device allows: those of each of the model's files for themselves.
 *
 * @throws {ModelError} If one tensor alone is over the device's largest buffer; `field` is its name.
 */
export function layoutWeights(weights: LlamaWeights<WeightPlace>, limits: ChunkLimits): WeightLayout {
  const chunks: WeightChunk[] = [];
  const found = new Map<WeightPlace, ChunkPlace>();
  for (const [part, places] of [...Map.groupBy(distinctPlaces(weights), ({ part }) => part)].sort(
    ([a], [b]) => a - b,
  )) {
    const plan = planChunks(places, limits);
    plan.places.forEach(({ chunk, offset }, i) => {
      found.set(places[i], { chunk: chunks.length + chunk, offset });
    });
    for (const chunk of plan.chunks) chunks.push({ ...chunk, part });
  }
  return { chunks, places: found, byteLength: chunks.reduce((sum, { byteLength }) => sum + byteLength, 0) };
}

/** Which chunk a weight lies in, and where. */
export function placeIn({ places }: WeightLayout, place: WeightPlace): ChunkPlace {
  const found = places.get(place);
  if (found === undefined) throw new TypeError(`Tensor "${place.name}" is none of the weights here`);
  return found;
}

/** The buffers of a model's weights. It owns them. */
export class WeightBuffers implements Disposable {
  readonly placement: WeightPlacement;
  /** As the chunks of the layout. */
  readonly buffers: readonly Buffer[];

  constructor(placement: WeightPlacement, buffers: readonly Buffer[]) {
    this.placement = placement;
    this.buffers = buffers;
  }

  [Symbol.dispose](): void {
    for (const buffer of this.buffers) buffer.dispose();
  }
}

/**
 * Brings the weights to where the device wants them. If it fails or is aborted, nothing stays behind.
 *
 * @param parts The model's files, as they were when their headers were read.
 * @throws {GgufError} If one of them has changed since.
 * @throws {BridgeError} `memory` where there is no room.
 */
export async function loadWeights(
  device: Device,
  parts: readonly GgufPart[],
  layout: WeightLayout,
  hooks: WeightHooks = {},
): Promise<WeightBuffers> {
  await using files = await WeightFiles.open(parts);
  using owned = new DisposableStack();
  const own = (buffer: Buffer): Buffer => owned.use(buffer);
  const progress = new Progress(layout.byteLength, hooks);
  const placement = placementOn(device);
  const fill = { mapped: map, copied: copy, private: stage }[placement];
  const buffers = await fill(device, files, layout.chunks, own, progress);
  await files.checkUnchanged();
  const weights = new WeightBuffers(placement, buffers);
  owned.move(); // the weights own the buffers from here on
  return weights;
}

function placementOn(device: Device): WeightPlacement {
  if (device.info.weightStorage === "private") return "private";
  return wrapsMemory(device) ? "mapped" : "copied";
}

/**
 * Whether a device works on memory that is not its own: those of virtual Macs do not. `Device.mapFile` would give a copy
 * there, made at one go; ours is made in pieces, so that it can be watched and aborted.
 */
function wrapsMemory(device: Device): boolean {
  try {
    device.wrap(device.alignedMemory(1)).dispose();
    return true;
  } catch (error) {
    if (error instanceof BridgeError && error.code === "memory") return false;
    throw error;
  }
}

/** Counts bytes, tells of them, and is where work ends that was aborted. */
class Progress {
  #doneBytes = 0;
  readonly #totalBytes: number;
  readonly #hooks: WeightHooks;

  constructor(totalBytes: number, hooks: WeightHooks) {
    this.#totalBytes = totalBytes;
    this.#hooks = hooks;
  }

  /** Work that goes on beside what was aborted is not told of. */
  add(bytes: number): void {
    this.check();
    this.#doneBytes += bytes;
    this.#hooks.onProgress?.(this.#doneBytes / this.#totalBytes);
    this.check();
  }

  check(): void {
    this.#hooks.signal?.throwIfAborted();
  }
}

type Own = (buffer: Buffer) => Buffer;

/** Copies chunks into private buffers, through staging buffers: never more than these in memory of the CPU's. */
async function stage(
  device: Device,
  files: WeightFiles,
  chunks: readonly WeightChunk[],
  own: Own,
  progress: Progress,
): Promise<Buffer[]> {
  await using staging = new Staging(device, Math.max(...chunks.map(({ byteLength }) => byteLength)));
  const buffers: Buffer[] = [];
  for (const [i, chunk] of chunks.entries()) {
    // Whole words, which is what a device copies.
    const byteLength = Math.ceil(chunk.byteLength / 4) * 4;
    const file = files.part(chunk.part);
    const buffer = own(device.buffer(byteLength, { storage: "private", label: labelOf(i) }));
    for (const [offset, length] of pieces(chunk, staging.byteLength)) {
      progress.check();
      await staging.write(buffer, offset, length, async (into) => {
        await file.read(into, chunk.offset + offset);
        progress.add(length);
      });
    }
    buffers.push(buffer);
  }
  await staging.finish();
  return buffers;
}

/** Maps chunks of the files. */
async function map(
  device: Device,
  files: WeightFiles,
  chunks: readonly WeightChunk[],
  own: Own,
  progress: Progress,
): Promise<Buffer[]> {
  return chunks.map(({ part, offset, byteLength: length }, i) => {
    progress.check();
    return own(device.mapFile(files.part(part).path, { offset, length, label: labelOf(i) }));
  });
}

/** Reads chunks into shared buffers. */
async function copy(
  device: Device,
  files: WeightFiles,
  chunks: readonly WeightChunk[],
  own: Own,
  progress: Progress,
): Promise<Buffer[]> {
  const buffers: Buffer[] = [];
  for (const [i, chunk] of chunks.entries()) {
    const file = files.part(chunk.part);
    const buffer = own(device.buffer(chunk.byteLength, { label: labelOf(i) }));
    for (const [offset, length] of pieces(chunk, STAGING_BYTES)) {
      await file.read(buffer.bytes(offset, length), chunk.offset + offset);
      progress.add(length);
    }
    buffers.push(buffer);
  }
  return buffers;
}

/** Offset and length of each part of a chunk that is copied at once, `most` bytes or less. */
function* pieces({ byteLength }: Chunk, most: number): Generator<readonly [number, number]> {
  for (let offset = 0; offset < byteLength; offset += most) {
    yield [offset, Math.min(most, byteLength - offset)];
  }
}

function labelOf(index: number): string {
  return `weights ${index}`;
}

/**
 * Models in several files: `name-00001-of-00003.gguf` and so on, as llama.cpp's gguf-split writes them. The first has the
 * metadata, and no tensors if the splitter was told so; each has `split.no`, `split.count` and `split.tensors.count`.
 */
import { GgufError, quoted } from "./errors.ts";
import type { GgufHeader, GgufTensor } from "./header.ts";

/** A file of a model. */
export interface GgufPart {
  readonly path: string;
  /** Bytes that the file had when its header was read. */
  readonly byteLength: number;
}

const NUMBER = "split.no";
const COUNT = "split.count";
const TENSORS = "split.tensors.count";

/** The number that five digits can say: more parts than that have no names. */
const MAX_PARTS = 99999;

/** Metadata that says how a model is split, and nothing of the model. */
export const splitKeys: readonly string[] = [NUMBER, COUNT, TENSORS];

/** How many files the model of this header has. */
export function splitCount({ metadata }: GgufHeader): number {
  const count = metadata.get(COUNT) ?? 1;
  if (typeof count === "number" && Number.isSafeInteger(count) && count >= 0 && count <= MAX_PARTS) {
    return Math.max(count, 1); // gguf-split says 0 of what it has merged
  }
  const found = typeof count === "object" ? "an array" : count;
  throw new GgufError(`Cannot read the file: ${COUNT} is ${found}, not a number from 1 to ${MAX_PARTS}`, {
    field: COUNT,
  });
}

/** The name of a part, counted from 0. */
function partPath(prefix: string, index: number, count: number): string {
  const digits = (number: number): string => String(number).padStart(5, "0");
  return `${prefix}-${digits(index + 1)}-of-${digits(count)}.gguf`;
}

/** What comes before the number in the name of a part. */
function prefixOf(path: string, header: GgufHeader, count: number): string {
  const [, prefix, number, all] = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/s.exec(path) ?? [];
  if (prefix !== undefined && Number(all) === count && Number(number) >= 1 && Number(number) <= count) {
    return prefix;
  }
  const index = header.metadata.get(NUMBER);
  const example = partPath("name", typeof index === "number" ? index : 0, count);
  throw new GgufError(
    `Cannot read ${JSON.stringify(path)}: it is one of ${count} parts, which are found by their names; call it as it was, ${quoted(example)}`,
    { field: COUNT },
  );
}

/**
 * Reads all parts of a split model.
 *
 * @param path Path of any part.
 * @param known The header of that part.
 * @param read Reads the header of a file.
 * @throws {GgufError} If a part is missing, malformed, or one of another model; the message names its file.
 */
export function readParts(
  path: string,
  known: GgufHeader,
  read: (path: string) => GgufHeader,
): { whole: GgufHeader; parts: readonly GgufPart[] } {
  const count = splitCount(known);
  const prefix = prefixOf(path, known, count);
  const parts: GgufPart[] = [];
  const tensors = new Map<string, GgufTensor>();
  let first: GgufHeader | undefined;
  for (let part = 0; part < count; part++) {
    const file = partPath(prefix, part, count);
    const header = file === path ? known : readPart(file, part, count, read);
    first ??= header;
    checkPart(header, first, { file, part, count });
    for (const tensor of header.tensors.values()) {
      const other = tensors.get(tensor.name);
      if (other !== undefined) {
        const both = `${JSON.stringify(parts[other.part].path)} has it too`;
        throw refusal(
          { file, part, count },
          `tensor ${quoted(tensor.name)} is there twice: ${both}`,
          TENSORS,
        );
      }
      tensors.set(tensor.name, { ...tensor, part });
    }
    parts.push({ path: file, byteLength: header.fileSize });
  }
  const { version, metadata, metadataRanges } = first ?? known;
  checkTensorCount(metadata.get(TENSORS), tensors.size, prefix, count);
  const fileSize = parts.reduce((sum, { byteLength }) => sum + byteLength, 0);
  return { whole: { version, metadata, metadataRanges, tensors, fileSize }, parts };
}

type PartName = { readonly file: string; readonly part: number; readonly count: number };

function refusal({ file, part, count }: PartName, fault: string, field: string, cause?: unknown): GgufError {
  return new GgufError(`Cannot use ${JSON.stringify(file)}, part ${part + 1} of ${count}: ${fault}`, {
    field,
    cause,
  });
}

function readPart(file: string, part: number, count: number, read: (path: string) => GgufHeader): GgufHeader {
  try {
    return read(file);
  } catch (error) {
    if (error instanceof GgufError) {
      const { offset, field, message } = error;
      const where = `Cannot use ${JSON.stringify(file)}, part ${part + 1} of ${count}`;
      throw new GgufError(`${where}: ${message}`, { offset, field, cause: error });
    }
    const reason = error instanceof Error ? error.message : String(error);
    const hint = "all parts have to lie in one folder";
    throw refusal({ file, part, count }, `${reason}; ${hint}`, COUNT, error);
  }
}

/** Checks that a part is the one that its name says, of the model that the first part begins. */
function checkPart(header: GgufHeader, first: GgufHeader, name: PartName): void {
  const expected = [
    [NUMBER, name.part],
    [COUNT, name.count],
    [TENSORS, first.metadata.get(TENSORS)],
  ] as const;
  for (const [key, wanted] of expected) {
    const found = header.metadata.get(key);
    if (found === wanted) continue;
    const says =
      found === undefined ? `it has no ${key}` : `its ${key} is ${shown(found)}, not ${shown(wanted)}`;
    throw refusal(name, `${says}, so it belongs to another model or has another part's name`, key);
  }
}

function checkTensorCount(stated: unknown, found: number, prefix: string, count: number): void {
  if (stated === undefined || stated === found) return;
  const whole = JSON.stringify(partPath(prefix, 0, count));
  throw new GgufError(
    `Cannot use ${whole} and what belongs to it: the ${count} parts have ${found} tensors, and ${TENSORS} is ${shown(stated)}; are all parts of one model?`,
    { field: TENSORS },
  );
}

function shown(value: unknown): string {
  return typeof value === "object" ? "an array" : quoted(String(value)).slice(1, -1);
}

/** A model in several files, as gguf-split writes them: the metadata in the first, three keys of the split in each. */
import { type TypedValue, type WritableTensor, type WritableValue, writeGguf } from "./gguf_writer.ts";

export type SplitOptions = {
  /** Whether the first part has metadata alone (`--no-tensor-first-split`). */
  readonly tensorlessFirst?: boolean;
  /** Changes a part before it is written. */
  readonly change?: (part: number, metadata: Map<string, WritableValue>, tensors: WritableTensor[]) => void;
};

/** The name of part `index` (from 0) of `count`. */
export function splitName(name: string, index: number, count: number): string {
  const digits = (number: number): string => String(number).padStart(5, "0");
  return `${name}-${digits(index + 1)}-of-${digits(count)}.gguf`;
}

/** The bytes of `count` files that share the tensors evenly, in their order. */
export function splitModel(
  metadata: ReadonlyMap<string, WritableValue>,
  tensors: readonly WritableTensor[],
  count: number,
  { tensorlessFirst = false, change }: SplitOptions = {},
): Uint8Array[] {
  const shares = tensorlessFirst ? count - 1 : count;
  return Array.from({ length: count }, (_, part) => {
    const share = tensorlessFirst ? part - 1 : part;
    const first = Math.floor((Math.max(share, 0) * tensors.length) / shares);
    const own = share < 0 ? [] : tensors.slice(first, Math.floor(((share + 1) * tensors.length) / shares));
    const keys = new Map<string, WritableValue>(part === 0 ? metadata : []);
    const u16 = (value: number): TypedValue => ({ type: "u16", value });
    keys.set("split.no", u16(part)).set("split.count", u16(count));
    keys.set("split.tensors.count", { type: "i32", value: tensors.length });
    change?.(part, keys, own);
    return writeGguf([...keys], own);
  });
}

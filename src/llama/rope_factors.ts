/** The frequency factors of a file: tensors that the host reads, since the tables are made there. */
import { closeSync, openSync, readSync } from "node:fs";
import type { GgufFile, GgufTensor } from "../gguf/index.ts";
import type { LlamaConfig } from "./config.ts";
import { ModelError } from "./errors.ts";
import type { RopeFactors } from "./rope_tables.ts";

const names = {
  any: "rope_freqs.weight",
  short: "rope_factors_short.weight",
  long: "rope_factors_long.weight",
} as const;

/** Tensors that are no weights of a layer, but change its frequencies. */
export const ropeFactorNames: readonly string[] = Object.values(names);

/**
 * Reads the frequency factors that a file has.
 *
 * @throws {ModelError} If one is of another type or length than it must be, or not above 0, or alone of two.
 */
export function readRopeFactors(file: GgufFile, config: LlamaConfig): RopeFactors {
  const read = (name: string): Float32Array | undefined => {
    const tensor = file.tensors.get(name);
    return tensor && readFactors(file.parts[tensor.part].path, tensor, config.ropeDimensionCount / 2);
  };
  const factors = { any: read(names.any), short: read(names.short), long: read(names.long) };
  if ((factors.short === undefined) !== (factors.long === undefined)) {
    const missing = factors.short === undefined ? names.short : names.long;
    throw new ModelError(missing, `Cannot run the model: the file lacks tensor "${missing}"`);
  }
  return factors;
}

function readFactors(path: string, tensor: GgufTensor, count: number): Float32Array {
  const { name, type, offset } = tensor;
  if (type !== "f32" || tensor.byteLength !== 4 * count) {
    throw new ModelError(
      name,
      `Cannot use tensor "${name}": it must be ${count} frequency factors in f32, not ${type} [${tensor.shape.join(", ")}]`,
    );
  }
  const factors = new Float32Array(count);
  const bytes = new Uint8Array(factors.buffer);
  const file = openSync(path, "r");
  try {
    for (let done = 0; done < bytes.length; ) {
      const length = readSync(file, bytes, done, bytes.length - done, offset + done);
      if (length === 0) {
        throw new ModelError(name, `Cannot use tensor "${name}": "${path}" became shorter meanwhile`);
      }
      done += length;
    }
  } finally {
    closeSync(file);
  }
  const wrong = factors.find((factor) => !(factor > 0 && Number.isFinite(factor)));
  if (wrong !== undefined) {
    throw new ModelError(
      name,
      `Cannot use tensor "${name}": a frequency factor is ${wrong}, and must be above 0`,
    );
  }
  return factors;
}

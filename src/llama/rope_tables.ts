/**
 * How fast each pair of a head turns, computed on the host in float64. Pair i of d dimensions turns by base^(-2i/d)
 * radians per position (Su et al. 2021), which models for longer contexts change:
 *
 * - frequency factors: divided by a number for each pair that the file has (Llama 3.1; LongRoPE)
 * - linear scaling: divided by one factor (Chen et al. 2023)
 * - YaRN: divided by the factor where a pair makes few turns in the context trained for, left where it makes many, and
 *   mixed between; what is turned gets longer (Peng et al. 2023, 3.2 and 3.4)
 */
import { ropeFrequencies } from "../tensor/index.ts";
import type { LlamaConfig } from "./config.ts";

/** Divisors of the frequencies, [ropeDimensionCount / 2]: for any context, or one set each for short and long ones. */
export type RopeFactors = {
  readonly any?: Float32Array;
  readonly short?: Float32Array;
  readonly long?: Float32Array;
};

export type RopeTable = {
  /** Radians per position, [ropeDimensionCount / 2]. */
  readonly frequencies: Float32Array;
  /** Factor of the length of what is turned. */
  readonly magnitude: number;
};

/** The table of layers that see all keys, and that of layers with a window: one and the same in most models. */
export type RopeTables = { readonly global: RopeTable; readonly local: RopeTable };

/** The tables of a model for contexts of up to `contextLength` positions, which decides between short and long factors. */
export function ropeTables(config: LlamaConfig, factors: RopeFactors, contextLength: number): RopeTables {
  const isLong = contextLength > config.ropeScaling.originalContextLength;
  const global = scaledTable(config, factors.any ?? (isLong ? factors.long : factors.short));
  const { localRopeFrequencyBase: base, ropeDimensionCount } = config;
  const local =
    base === undefined ? global : { frequencies: ropeFrequencies(base, ropeDimensionCount), magnitude: 1 };
  return { global, local };
}

/** All tables, one behind the other, as the buffer has them: the global one, then the local one if it differs. */
export function packTables({ global, local }: RopeTables): Float32Array {
  if (local === global) return global.frequencies;
  return Float32Array.of(...global.frequencies, ...local.frequencies);
}

/** Bytes of what `packTables` gives. */
export function packedBytes({ global, local }: RopeTables): number {
  return global.frequencies.byteLength + (local === global ? 0 : local.frequencies.byteLength);
}

function scaledTable(config: LlamaConfig, factors: Float32Array | undefined): RopeTable {
  const { ropeFrequencyBase: base, ropeDimensionCount: dims, ropeScaling: scaling } = config;
  const kept = keptShares(config);
  const frequencies = Float32Array.from({ length: dims / 2 }, (_, i) => {
    const frequency = base ** ((-2 * i) / dims) / (factors?.[i] ?? 1);
    return frequency * (kept[i] + (1 - kept[i]) / scaling.factor);
  });
  const stretch = scaling.type === "yarn" ? 1 + 0.1 * Math.log(scaling.factor) : 1;
  return { frequencies, magnitude: scaling.magnitude * stretch };
}

/** For each pair, how much of its frequency stays as it is; the rest is divided by the scaling factor. */
function keptShares({ ropeFrequencyBase, ropeDimensionCount: dims, ropeScaling }: LlamaConfig): number[] {
  const { type, betaFast, betaSlow, originalContextLength } = ropeScaling;
  const pairs = Array.from({ length: dims / 2 }, (_, i) => i);
  if (type !== "yarn") return pairs.map(() => (type === "linear" ? 0 : 1));
  /** The pair, as a real number, that makes so many turns in the original context. */
  const pairOfTurns = (turns: number): number =>
    (dims * Math.log(originalContextLength / (turns * 2 * Math.PI))) / (2 * Math.log(ropeFrequencyBase));
  const low = Math.max(0, Math.floor(pairOfTurns(betaFast)));
  const high = Math.min(dims - 1, Math.ceil(pairOfTurns(betaSlow)));
  return pairs.map((i) => 1 - Math.min(1, Math.max(0, (i - low) / Math.max(0.001, high - low))));
}

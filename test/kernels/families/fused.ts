/** Cases of matvec_fused.metal: products of rows with a norm before them, and a residual or a second product behind. */

import { gelu, matmul, rmsNorm, silu } from "../../reference/kernels.ts";
import { randomWeights } from "../../reference/kernels_formats.ts";
import { blockOf, type ReferenceType, referenceTypes } from "../../reference/llama_dequantize.ts";
import { args, f32, f32Bound, input, type KernelCase, normal, output, u32 } from "../case.ts";
import { tile } from "../tiles.ts";
import type { Shape } from "./matrix.ts";

/** In the order of EndingAdd, EndingSilu and EndingGelu in shaders/args.h. */
const endings = ["none", "add", "silu", "gelu"] as const;
type Ending = (typeof endings)[number];

const eps = 1e-2;

interface Fusion {
  readonly normalises: boolean;
  readonly ending: Ending;
}

const threadCounts = [tile("MatvecSimdgroups") * tile("SimdWidth"), 1, 5] as const;

function fusedCase(type: ReferenceType, { rows, n, k }: Shape, fusion: Fusion, threads: number): KernelCase {
  const { normalises, ending } = fusion;
  const outputs = tile("MatvecOutputs") * Math.ceil(threads / tile("SimdWidth"));
  return {
    kernel: `matvec_fused_${type}`,
    shape: `rows=${rows} n=${n} k=${k} norm=${normalises} ending=${ending} threads=${threads}`,
    bound: f32Bound,
    build: (random) => {
      const w = randomWeights(type, random, n * k, 0.1);
      const second = randomWeights(type, random, n * k, 0.1);
      const x = normal(random, rows * k, 3);
      const weight = normal(random, k);
      const residual = normal(random, rows * n);
      const h = normalises ? rmsNorm(x, weight, k, eps) : x;
      const first = matmul(w.values, h, n, k);
      const up = matmul(second.values, h, n, k);
      const expected = first.map((value, i) => {
        if (ending === "none") return value;
        if (ending === "add") return value + residual[i];
        return (ending === "silu" ? silu(value) : gelu(value)) * up[i];
      });
      return {
        buffers: [input(w), input(second), input(x), input(weight), input(residual), output("f32", expected)],
        args: args(u32(n), u32(k), u32(normalises ? 1 : 0), f32(eps), u32(endings.indexOf(ending))),
        threadgroups: [Math.ceil(n / outputs), rows, 1],
        threads,
      };
    },
  };
}

const fusions: readonly Fusion[] = endings.flatMap((ending) =>
  [false, true].map((normalises) => ({ normalises, ending })),
);

/** All fusions of a type with blocks and one without; of the others, the fullest. */
export const fusedCases: readonly KernelCase[] = referenceTypes.flatMap((type) => {
  const { length } = blockOf(type);
  if (type !== "f32" && type !== "q8_0") {
    const shape = { rows: 2, n: 37, k: 3 * Math.max(length, 32) };
    return [fusedCase(type, shape, { normalises: true, ending: "silu" }, 64)];
  }
  const shapes = [
    { rows: 1, n: 37, k: 288 },
    { rows: 3, n: 9, k: type === "f32" ? 515 : 1024 },
  ];
  return shapes.flatMap((shape) =>
    fusions.flatMap((fusion) => threadCounts.map((threads) => fusedCase(type, shape, fusion, threads))),
  );
});

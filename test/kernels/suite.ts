/** All cases of kernels: those of `bun test`, and the larger ones that `make test-ops` adds. */

import { referenceTypes } from "../reference/llama_dequantize.ts";
import type { KernelCase } from "./case.ts";
import { attentionCases } from "./families/attention.ts";
import { fusedAttentionCases } from "./families/attention_fused.ts";
import { convertCase, elementwiseCases, embedCase } from "./families/elementwise.ts";
import { expertCases } from "./families/experts.ts";
import { fusedCases } from "./families/fused.ts";
import { matmulCase, matrixCases, vectorCase } from "./families/matrix.ts";
import { ropeCases } from "./families/rope.ts";
import { rowCases } from "./families/rows.ts";
import { sampleCases } from "./families/sample.ts";
import { tile } from "./tiles.ts";

/** A representative part: every kernel, around the edges of its tiles. */
export const kernelCases: readonly KernelCase[] = [
  ...elementwiseCases,
  ...rowCases,
  ...sampleCases,
  ...ropeCases,
  ...attentionCases,
  ...fusedAttentionCases,
  ...matrixCases,
  ...fusedCases,
  ...expertCases,
];

/** Row lengths of models from the smallest to Llama 2 7B's feed-forward. */
const rowLengths = [256, 768, 2048, 11008] as const;
/** Batches that fill no tile. */
const batches = [3, 13] as const;
const outputs = 37;
/** The threads of a GPU's threadgroup and of the CPU device's. */
const threadCounts = [tile("MatvecSimdgroups") * tile("SimdWidth"), 1] as const;

/** Every type of weights, by every kernel that reads them, over whole rows of models. */
export const weightCases: readonly KernelCase[] = referenceTypes.flatMap((type) =>
  rowLengths.flatMap((k) => [
    convertCase(type, "f32", 3, k),
    convertCase(type, "f16", 3, k),
    embedCase(type, 5, k, 7),
    ...threadCounts.flatMap((threads) => [
      vectorCase("matvec", type, { rows: 1, n: outputs, k }, threads),
      vectorCase("matvec_tiled", type, { rows: 1, n: outputs, k }, threads),
      ...batches.map((rows) => vectorCase("matvec_rows", type, { rows, n: outputs, k }, threads)),
    ]),
    ...[...batches, 65].map((rows) => matmulCase(type, { rows, n: outputs, k })),
  ]),
);

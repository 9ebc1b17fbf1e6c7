/** The model as a graph, in the order of the paper (Touvron et al. 2023). Shapes stand at the right. */
import {
  add,
  attention,
  embed,
  gatherRows,
  kvStore,
  matmul,
  mul,
  type PagedCache,
  rmsNorm,
  rope,
  silu,
  type Tensor,
} from "../tensor/index.ts";
import type { LlamaConfig } from "./config.ts";
import type { LayerWeights, LlamaWeights } from "./weights.ts";

/** What is known of each row of a step. */
export type StepRows = {
  readonly tokens: Tensor; // u32 [rows]
  readonly positions: Tensor; // u32 [rows]
  readonly sequences: Tensor; // u32 [rows]: row of the block tables
  readonly slots: Tensor; // u32 [rows]: where keys and values of the row go
  readonly frequencies: Tensor; // f32 [ropeDimensionCount / 2]
};

/** One transformer layer. Stores the rows' keys and values in the cache before it attends to them. */
export function layer(
  x: Tensor,
  weights: LayerWeights<Tensor>,
  cache: PagedCache,
  step: StepRows,
  config: LlamaConfig,
): Tensor {
  const { positions, sequences, slots, frequencies } = step;
  const eps = config.rmsEpsilon;
  const headDim = config.headLength;
  const turn = { headDim, layout: "interleaved" } as const; // what GGUF's "llama" architecture means

  const h = rmsNorm(x, weights.attentionNorm, { eps }); //                       [rows, embedding]
  const q = rope(matmul(h, weights.q), positions, frequencies, turn); //         [rows, heads * headLength]
  const k = rope(matmul(h, weights.k), positions, frequencies, turn); //         [rows, kvHeads * headLength]
  const v = matmul(h, weights.v); //                                             [rows, kvHeads * headLength]
  kvStore(k, v, slots, cache.keys, cache.values);
  const attended = attention(q, cache, positions, sequences, { headDim }); //    [rows, heads * headLength]
  const y = add(x, matmul(attended, weights.attentionOutput)); //                [rows, embedding]

  const g = rmsNorm(y, weights.feedForwardNorm, { eps }); //                     [rows, embedding]
  const gated = mul(silu(matmul(g, weights.gate)), matmul(g, weights.up)); //    [rows, feedForward], SwiGLU
  return add(y, matmul(gated, weights.down)); //                                 [rows, embedding]
}

/**
 * The whole forward pass.
 *
 * @param caches by layer
 * @param logitRows u32 [logitRows]: the rows whose logits are wanted; without it, all are
 * @returns f32 [logitRows, vocabulary]
 */
export function forward(
  weights: LlamaWeights<Tensor>,
  caches: readonly PagedCache[],
  step: StepRows,
  config: LlamaConfig,
  logitRows?: Tensor,
): Tensor {
  let x = embed(weights.embedding, step.tokens); //                              [rows, embedding]
  weights.layers.forEach((layerWeights, i) => {
    x = layer(x, layerWeights, caches[i], step, config); //                      [rows, embedding]
  });
  const wanted = logitRows === undefined ? x : gatherRows(x, logitRows); //      [logitRows, embedding]
  const h = rmsNorm(wanted, weights.outputNorm, { eps: config.rmsEpsilon }); //  [logitRows, embedding]
  return matmul(h, weights.output); //                                           [logitRows, vocabulary]
}

/**
 * The model as a graph: the layer of Llama (Touvron et al. 2023), with what its relatives add to it. A layer has a bias, a
 * norm or experts where its weights have them; what else differs is in `architectures/`. Shapes stand at the right.
 */
import {
  add,
  addBias,
  attention,
  embed,
  gatherRows,
  gelu,
  kvStore,
  matmul,
  matmulExperts,
  mixExperts,
  mul,
  type PagedCache,
  rmsNorm,
  rope,
  routeExperts,
  scale,
  silu,
  softCap,
  type Tensor,
} from "../tensor/index.ts";
import { findArchitecture } from "./architectures/index.ts";
import { hasWindow, type LlamaConfig } from "./config.ts";
import type { LayerWeights, LlamaWeights } from "./weights.ts";

/** How heads turn. */
export type Turn = {
  readonly frequencies: Tensor; // f32 [ropeDimensionCount / 2]
  /** Factor of the length of what is turned. */
  readonly magnitude: number;
};

/** What is known of each row of a step. */
export type StepRows = {
  readonly tokens: Tensor; // u32 [rows]
  readonly positions: Tensor; // u32 [rows]
  readonly sequences: Tensor; // u32 [rows]: row of the block tables
  readonly slots: Tensor; // u32 [rows]: where keys and values of the row go
  /** In layers without and with a window. */
  readonly turns: { readonly global: Turn; readonly local: Turn };
};

/**
 * One transformer layer, the `index`th.
 *
 * @param x f32 [rows, embedding]
 * @returns the same after this layer
 */
export function layer(
  x: Tensor,
  weights: LayerWeights<Tensor>,
  cache: PagedCache,
  step: StepRows,
  config: LlamaConfig,
  index: number,
): Tensor {
  const norm = (t: Tensor, weight?: Tensor): Tensor => normed(t, weight, config);
  const h = norm(x, weights.attentionNorm); //                                    [rows, embedding]
  const attended = selfAttention(h, weights, cache, step, config, index); //      [rows, embedding]
  const y = add(x, norm(attended, weights.postAttentionNorm)); //                 [rows, embedding]
  const g = norm(y, weights.feedForwardNorm); //                                  [rows, embedding]
  const z = feedForward(g, weights, config); //                                   [rows, embedding]
  return add(y, norm(z, weights.postFeedForwardNorm)); //                         [rows, embedding]
}

/** Attention of the rows to their sequences. Stores their keys and values in the cache before. */
function selfAttention(
  h: Tensor,
  weights: LayerWeights<Tensor>,
  cache: PagedCache,
  step: StepRows,
  config: LlamaConfig,
  index: number,
): Tensor {
  const { positions, sequences, slots } = step;
  const { headLength: headDim, slidingWindow, attentionSoftCap, attentionScale } = config;
  const { ropeLayout: layout } = findArchitecture(config.architecture, config.expertCount);
  const isLocal = hasWindow(config, index);
  const { frequencies, magnitude } = isLocal ? step.turns.local : step.turns.global;
  const turned = (t: Tensor): Tensor => rope(t, positions, frequencies, { headDim, layout, magnitude });

  const q = project(h, weights.q, weights.qBias); //                              [rows, heads * headLength]
  const k = project(h, weights.k, weights.kBias); //                              [rows, kvHeads * headLength]
  const v = project(h, weights.v, weights.vBias); //                              [rows, kvHeads * headLength]
  const turnedQ = turned(normed(q, weights.qNorm, config)); //                    [rows, heads * headLength]
  const turnedK = turned(normed(k, weights.kNorm, config)); //                    [rows, kvHeads * headLength]
  kvStore(turnedK, v, slots, cache.keys, cache.values);
  const attended = attention(turnedQ, cache, positions, sequences, {
    headDim,
    scale: attentionScale,
    softCap: attentionSoftCap,
    ...(isLocal && { window: slidingWindow }),
  }); //                                                                          [rows, heads * headLength]
  return project(attended, weights.attentionOutput, weights.attentionOutputBias); // [rows, embedding]
}

/** SwiGLU or GeGLU (Shazeer 2020), of one set of matrices or of some experts'. */
function feedForward(g: Tensor, weights: LayerWeights<Tensor>, config: LlamaConfig): Tensor {
  const { activation } = findArchitecture(config.architecture, config.expertCount);
  const activate = { silu, gelu }[activation];
  if (weights.router !== undefined) {
    const scores = matmul(g, weights.router); //                                  [rows, experts]
    const { ids, weights: shares } = routeExperts(scores, config.expertUsedCount); // [rows, used]
    const gate = matmulExperts(g, weights.gate, ids); //                          [rows, used, feedForward]
    const up = matmulExperts(g, weights.up, ids); //                              [rows, used, feedForward]
    const outputs = matmulExperts(mul(activate(gate), up), weights.down, ids); // [rows, used, embedding]
    return mixExperts(outputs, shares); //                                        [rows, embedding]
  }
  const gate = project(g, weights.gate, weights.gateBias); //                     [rows, feedForward]
  const up = project(g, weights.up, weights.upBias); //                           [rows, feedForward]
  return project(mul(activate(gate), up), weights.down, weights.downBias); //     [rows, embedding]
}

/** x times the transpose of a matrix, and a bias where there is one. */
function project(x: Tensor, weight: Tensor, bias: Tensor | undefined): Tensor {
  const y = matmul(x, weight);
  return bias === undefined ? y : addBias(y, bias);
}

/** RMSNorm of rows, or of heads where the weight is as long as one; x itself where there is no weight. */
function normed(x: Tensor, weight: Tensor | undefined, { rmsEpsilon: eps }: LlamaConfig): Tensor {
  return weight === undefined ? x : rmsNorm(x, weight, { eps });
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
  const { scalesEmbedding } = findArchitecture(config.architecture, config.expertCount);
  const embedded = embed(weights.embedding, step.tokens); //                      [rows, embedding]
  let x = scalesEmbedding ? scale(embedded, Math.sqrt(config.embeddingLength)) : embedded;
  weights.layers.forEach((layerWeights, i) => {
    x = layer(x, layerWeights, caches[i], step, config, i); //                    [rows, embedding]
  });
  const wanted = logitRows === undefined ? x : gatherRows(x, logitRows); //       [logitRows, embedding]
  const h = normed(wanted, weights.outputNorm, config); //                        [logitRows, embedding]
  const logits = matmul(h, weights.output); //                                    [logitRows, vocabulary]
  return config.finalSoftCap === 0 ? logits : softCap(logits, config.finalSoftCap);
}

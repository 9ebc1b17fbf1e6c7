/** What sets the architectures apart. All else is in a file's metadata, or the same for all of them. */
import type { RopeLayout } from "../../tensor/index.ts";

/** How many numbers of each kind a model has; see `LlamaConfig`. */
export type ModelSize = {
  readonly embeddingLength: number;
  readonly blockCount: number;
  readonly headCount: number;
  readonly headLength: number;
};

export type Architecture = {
  /** The value of `general.architecture`. */
  readonly name: string;
  /** Which elements of a head make a pair that is turned. */
  readonly ropeLayout: RopeLayout;
  /** Queries, keys and values from three matrices, or from the rows of one. */
  readonly attention: "separate" | "fused";
  /** Gate and up from two matrices, or from the rows of one; or from the matrices of experts that a router picks. */
  readonly feedForward: "gated" | "fused" | "experts";
  readonly activation: "silu" | "gelu";
  /** Which projections have a bias: that of queries, keys and values, or any where the file has one. Default: none. */
  readonly biases?: "queryKeyValue" | "optional";
  /** Whether each head of queries and keys is normalised before it is turned. Default: false. */
  readonly normsHeads?: boolean;
  /** Whether what attention and feed-forward give is normalised before it is added. Default: false. */
  readonly normsOutputs?: boolean;
  /** Whether embeddings are multiplied by the square root of their length. Default: false. */
  readonly scalesEmbedding?: boolean;
  /** Factor of a score before the softmax. Default: 1 / sqrt(headLength). */
  readonly attentionScale?: (size: ModelSize) => number;
  /** Caps of scores and logits, where the file does not say. Default: none. */
  readonly softCaps?: { readonly attention: number; readonly final: number };
  /** What becomes of a window that the file has. Without it, a file with a window is refused. */
  readonly window?: Window | "ignored";
};

/** Which layers attend to a window. */
export type Window = {
  /** Each layer of this number is global, the last of every so many; 0: all have the window. */
  readonly globalEvery: number;
  /** Keys, where the file does not say. Default: none, and so no window. */
  readonly length?: number;
  /** Base of the frequencies in layers with the window, which are not scaled then. Default: as in other layers. */
  readonly ropeFrequencyBase?: number;
};

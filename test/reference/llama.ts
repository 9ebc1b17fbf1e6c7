/**
 * The oracle of the Llama tests: one forward pass in plain float64 loops, in the order of the paper, over weights that
 * were dequantised before. No batches, no cache pages, no fused anything. It imports nothing of what it judges. What
 * Llama's relatives do otherwise is a variant of it, after their papers and configurations; the caller says which rules
 * a model has, and nothing is read from a file.
 */

export type ReferenceConfig = {
  readonly embeddingLength: number; // dim
  readonly feedForwardLength: number; // hidden
  readonly blockCount: number;
  readonly headCount: number;
  readonly headCountKv: number;
  readonly headLength: number; // of one head
  readonly ropeDimensionCount: number; // the first so many dimensions of a head turn
  readonly ropeFrequencyBase: number;
  readonly rmsEpsilon: number;
  readonly vocabularySize: number;
};

/** Where a model departs from Llama. What is left out is as there. */
export type ReferenceVariant = {
  /** Dimensions that turn together: (2i, 2i + 1), or (i, i + ropeDimensionCount / 2). */
  readonly pairs?: "neighbours" | "halves";
  /** Radians per position of each pair in a layer. */
  readonly frequencies?: (layer: number) => readonly number[];
  /** Factor of the length of what turns. */
  readonly magnitude?: number;
  readonly activation?: (x: number) => number;
  readonly embeddingFactor?: number;
  /** Factor of scores, instead of 1 / sqrt(headLength). */
  readonly scoreFactor?: number;
  readonly scoreCap?: number;
  readonly logitCap?: number;
  /** Keys that a row of a layer sees, its own among them. */
  readonly window?: (layer: number) => number;
  /** Experts of each row. */
  readonly expertsUsed?: number;
};

export type ReferenceLayer = {
  readonly attentionNorm: Float64Array; // [dim]
  readonly q: Float64Array; // [heads * headLength, dim]
  readonly k: Float64Array; // [kvHeads * headLength, dim]
  readonly v: Float64Array; // [kvHeads * headLength, dim]
  readonly attentionOutput: Float64Array; // [dim, heads * headLength]
  readonly feedForwardNorm: Float64Array; // [dim]
  readonly gate: Float64Array; // [hidden, dim]
  readonly up: Float64Array; // [hidden, dim]
  readonly down: Float64Array; // [dim, hidden]
  readonly qBias?: Float64Array; // [heads * headLength]
  readonly kBias?: Float64Array; // [kvHeads * headLength]
  readonly vBias?: Float64Array; // [kvHeads * headLength]
  readonly qNorm?: Float64Array; // [headLength]
  readonly kNorm?: Float64Array; // [headLength]
  readonly attentionOutputBias?: Float64Array; // [dim]
  readonly postAttentionNorm?: Float64Array; // [dim]
  readonly gateBias?: Float64Array; // [hidden]
  readonly upBias?: Float64Array; // [hidden]
  readonly downBias?: Float64Array; // [dim]
  readonly postFeedForwardNorm?: Float64Array; // [dim]
  /** With it, gate, up and down are those of all experts, one behind the other. */
  readonly router?: Float64Array; // [experts, dim]
};

export type ReferenceWeights = {
  readonly embedding: Float64Array; // [vocabulary, dim]
  readonly layers: readonly ReferenceLayer[];
  readonly outputNorm: Float64Array; // [dim]
  readonly output: Float64Array; // [vocabulary, dim]; the embedding itself where they are tied
};

/** One sequence: feeding tokens in order fills the keys and values that later tokens attend to. */
export class ReferenceLlama {
  readonly config: ReferenceConfig;
  readonly weights: ReferenceWeights;
  /** keys[layer][position] and values[layer][position]: [kvHeads * headLength] */
  readonly keys: Float64Array[][];
  readonly values: Float64Array[][];
  /** What is kept of a key or a value: the identity, or rounding to the cache's type. */
  readonly round: (row: Float64Array) => Float64Array;
  readonly variant: ReferenceVariant;

  constructor(
    config: ReferenceConfig,
    weights: ReferenceWeights,
    round: (row: Float64Array) => Float64Array = (row) => row,
    variant: ReferenceVariant = {},
  ) {
    this.config = config;
    this.weights = weights;
    this.round = round;
    this.variant = variant;
    this.keys = weights.layers.map(() => []);
    this.values = weights.layers.map(() => []);
  }

  /** Feeds the tokens at the positions that follow. Returns the logits after the last one, [vocabulary]. */
  feed(tokens: readonly number[]): Float64Array {
    let state: Float64Array = new Float64Array(0);
    for (const token of tokens) state = this.forward(token);
    return this.#logits(state);
  }

  /** Forgets all positions from `length` on. */
  rewind(length: number): void {
    for (const positions of [...this.keys, ...this.values]) positions.length = length;
  }

  /** Feeds one token at the next position. Returns what the last layer makes of it, [dim]. */
  forward(token: number): Float64Array {
    const { config, weights } = this;
    const dim = config.embeddingLength;
    const { embeddingFactor = 1 } = this.variant;
    const x = weights.embedding.slice(token * dim, (token + 1) * dim).map((value) => value * embeddingFactor); // [dim]
    weights.layers.forEach((layer, index) => {
      const h = rmsNorm(x, layer.attentionNorm, config.rmsEpsilon); // [dim]
      const position = this.keys[index].length;
      const q = this.#heads(matVec(layer.q, h), layer.qBias, layer.qNorm); // [heads * headLength]
      const k = this.#heads(matVec(layer.k, h), layer.kBias, layer.kNorm); // [kvHeads * headLength]
      const v = this.#heads(matVec(layer.v, h), layer.vBias); // [kvHeads * headLength]
      this.#turn(q, position, index);
      this.#turn(k, position, index);
      this.keys[index].push(this.round(k));
      this.values[index].push(this.round(v));
      const attended = this.#attention(q, index); // [heads * headLength]
      const mixed = biased(matVec(layer.attentionOutput, attended), layer.attentionOutputBias); // [dim]
      addTo(x, this.#normed(mixed, layer.postAttentionNorm));

      const g = rmsNorm(x, layer.feedForwardNorm, config.rmsEpsilon); // [dim]
      const fed =
        layer.router === undefined ? this.#feedForward(layer, g) : this.#experts(layer, layer.router, g);
      addTo(x, this.#normed(fed, layer.postFeedForwardNorm));
    });
    return x;
  }

  #logits(x: Float64Array): Float64Array {
    const { config, weights } = this;
    const logits = matVec(weights.output, rmsNorm(x, weights.outputNorm, config.rmsEpsilon)); // [vocabulary]
    return logits.map((logit) => capped(logit, this.variant.logitCap));
  }

  #normed(x: Float64Array, weight: Float64Array | undefined): Float64Array {
    return weight === undefined ? x : rmsNorm(x, weight, this.config.rmsEpsilon);
  }

  /** Adds a bias, then normalises each head, where there are weights for it. */
  #heads(x: Float64Array, bias?: Float64Array, norm?: Float64Array): Float64Array {
    const all = biased(x, bias);
    if (norm === undefined) return all;
    const { headLength, rmsEpsilon } = this.config;
    for (let from = 0; from < all.length; from += headLength) {
      all.set(rmsNorm(all.slice(from, from + headLength), norm, rmsEpsilon), from);
    }
    return all;
  }

  #turn(x: Float64Array, position: number, layer: number): void {
    const { ropeDimensionCount: turning, ropeFrequencyBase: base } = this.config;
    const { pairs, frequencies, magnitude = 1 } = this.variant;
    const all =
      frequencies?.(layer) ?? Array.from({ length: turning / 2 }, (_, i) => base ** ((-2 * i) / turning));
    rope(x, position, all, this.config.headLength, pairs ?? "neighbours", magnitude);
  }

  /** SwiGLU, or with another activation. */
  #feedForward(layer: ReferenceLayer, g: Float64Array): Float64Array {
    const activation = this.variant.activation ?? silu;
    const gate = biased(matVec(layer.gate, g), layer.gateBias); // [hidden]
    const up = biased(matVec(layer.up, g), layer.upBias); // [hidden]
    const gated = gate.map((value, i) => activation(value) * up[i]);
    return biased(matVec(layer.down, gated), layer.downBias); // [dim]
  }

  /** The sum of the best experts, by the softmax of their scores among themselves (Jiang et al. 2024, 2.1). */
  #experts(layer: ReferenceLayer, router: Float64Array, g: Float64Array): Float64Array {
    const scores = [...matVec(router, g)]; // [experts]
    const order = scores.map((_, i) => i).sort((a, b) => scores[b] - scores[a]);
    const chosen = order.slice(0, this.variant.expertsUsed);
    const shares = softmax(chosen.map((expert) => scores[expert]));
    const out = new Float64Array(g.length);
    chosen.forEach((expert, i) => {
      const part = (all: Float64Array): Float64Array => {
        const length = all.length / scores.length;
        return all.slice(expert * length, (expert + 1) * length);
      };
      const { gate, up, down } = layer;
      const own = this.#feedForward({ ...layer, gate: part(gate), up: part(up), down: part(down) }, g);
      addTo(
        out,
        own.map((value) => value * shares[i]),
      );
    });
    return out;
  }

  /** softmax(q kᵀ / sqrt(headLength)) v for each head; head h reads key-value head h / (heads / kvHeads). */
  #attention(q: Float64Array, layer: number): Float64Array {
    const { headCount, headCountKv, headLength } = this.config;
    const { scoreFactor = 1 / Math.sqrt(headLength), scoreCap, window } = this.variant;
    const first = Math.max(0, this.keys[layer].length - (window?.(layer) ?? Number.POSITIVE_INFINITY));
    const keys = this.keys[layer].slice(first);
    const values = this.values[layer].slice(first);
    const out = new Float64Array(headCount * headLength);
    for (let head = 0; head < headCount; head++) {
      const from = head * headLength;
      const kvFrom = Math.floor(head / (headCount / headCountKv)) * headLength;
      const scores = keys.map((key) => capped(dot(q, from, key, kvFrom, headLength) * scoreFactor, scoreCap));
      const weights = softmax(scores); // [positions]
      values.forEach((value, position) => {
        const weight = weights[position];
        for (let i = 0; i < headLength; i++) {
          out[from + i] += weight * value[kvFrom + i];
        }
      });
    }
    return out;
  }
}

/** cap tanh(x / cap) */
function capped(x: number, cap: number | undefined): number {
  return cap === undefined ? x : cap * Math.tanh(x / cap);
}

function biased(x: Float64Array, bias: Float64Array | undefined): Float64Array {
  return bias === undefined ? x : x.map((value, i) => value + bias[i]);
}

/** out[i] = Σ_j w[i, j] x[j] */
export function matVec(w: Float64Array, x: Float64Array): Float64Array {
  const columns = x.length;
  const out = new Float64Array(w.length / columns);
  for (let i = 0; i < out.length; i++) out[i] = dot(w, i * columns, x, 0, columns);
  return out;
}

function dot(a: Float64Array, aFrom: number, b: Float64Array, bFrom: number, length: number): number {
  let sum = 0;
  for (let i = 0; i < length; i++) sum += a[aFrom + i] * b[bFrom + i];
  return sum;
}

/** x / sqrt(mean(x²) + ε) * weight */
export function rmsNorm(x: Float64Array, weight: Float64Array, epsilon: number): Float64Array {
  const scale = 1 / Math.sqrt(dot(x, 0, x, 0, x.length) / x.length + epsilon);
  return x.map((value, i) => value * scale * weight[i]);
}

/** Turns pairs of each head by position * frequency, in place; what turns becomes `magnitude` times as long. */
export function rope(
  x: Float64Array,
  position: number,
  frequencies: readonly number[],
  headLength: number,
  pairs: "neighbours" | "halves",
  magnitude: number,
): void {
  for (let head = 0; head < x.length; head += headLength) {
    frequencies.forEach((frequency, i) => {
      const angle = position * frequency;
      const first = head + (pairs === "neighbours" ? 2 * i : i);
      const second = pairs === "neighbours" ? first + 1 : first + frequencies.length;
      const a = x[first] * magnitude;
      const b = x[second] * magnitude;
      x[first] = a * Math.cos(angle) - b * Math.sin(angle);
      x[second] = a * Math.sin(angle) + b * Math.cos(angle);
    });
  }
}

export function softmax(scores: readonly number[]): number[] {
  const largest = scores.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const exponentials = scores.map((score) => Math.exp(score - largest));
  const sum = exponentials.reduce((a, b) => a + b, 0);
  return exponentials.map((e) => e / sum);
}

/** x Φ(x) by Φ(x) ≈ (1 + tanh(sqrt(2/π) (x + 0.044715 x³))) / 2 (Hendrycks and Gimpel 2016). */
export function gelu(x: number): number {
  return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
}

function silu(x: number): number {
  return x / (1 + Math.exp(-x));
}

function addTo(x: Float64Array, y: Float64Array): void {
  for (let i = 0; i < x.length; i++) x[i] += y[i];
}

/**
 * The oracle of the Llama tests: one forward pass in plain float64 loops, in the order of the paper, over weights that
 * were dequantised before. No batches, no cache pages, no fused anything. It imports nothing of what it judges.
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
  readonly round: (x: number) => number;

  constructor(config: ReferenceConfig, weights: ReferenceWeights, round: (x: number) => number = (x) => x) {
    this.config = config;
    this.weights = weights;
    this.round = round;
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
    const x = weights.embedding.slice(token * dim, (token + 1) * dim); // [dim]
    weights.layers.forEach((layer, index) => {
      const h = rmsNorm(x, layer.attentionNorm, config.rmsEpsilon); // [dim]
      const position = this.keys[index].length;
      const q = matVec(layer.q, h); // [heads * headLength]
      const k = matVec(layer.k, h); // [kvHeads * headLength]
      const v = matVec(layer.v, h); // [kvHeads * headLength]
      rope(q, position, config);
      rope(k, position, config);
      this.keys[index].push(k.map(this.round));
      this.values[index].push(v.map(this.round));
      const attended = this.#attention(q, index); // [heads * headLength]
      addTo(x, matVec(layer.attentionOutput, attended));

      const g = rmsNorm(x, layer.feedForwardNorm, config.rmsEpsilon); // [dim]
      const gate = matVec(layer.gate, g); // [hidden]
      const up = matVec(layer.up, g); // [hidden]
      addTo(
        x,
        matVec(
          layer.down,
          gate.map((value, i) => silu(value) * up[i]),
        ),
      ); // SwiGLU
    });
    return x;
  }

  #logits(x: Float64Array): Float64Array {
    const { config, weights } = this;
    return matVec(weights.output, rmsNorm(x, weights.outputNorm, config.rmsEpsilon)); // [vocabulary]
  }

  /** softmax(q kᵀ / sqrt(headLength)) v for each head; head h reads key-value head h / (heads / kvHeads). */
  #attention(q: Float64Array, layer: number): Float64Array {
    const { headCount, headCountKv, headLength } = this.config;
    const keys = this.keys[layer];
    const values = this.values[layer];
    const out = new Float64Array(headCount * headLength);
    for (let head = 0; head < headCount; head++) {
      const from = head * headLength;
      const kvFrom = Math.floor(head / (headCount / headCountKv)) * headLength;
      const scores = keys.map((key) => dot(q, from, key, kvFrom, headLength) / Math.sqrt(headLength));
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

/** Turns pairs (2i, 2i + 1) of each head by position * base^(-2i / rotary dimensions), in place. */
export function rope(x: Float64Array, position: number, config: ReferenceConfig): void {
  const { headLength, ropeDimensionCount, ropeFrequencyBase } = config;
  for (let head = 0; head < x.length; head += headLength) {
    for (let i = 0; i < ropeDimensionCount; i += 2) {
      const angle = position * ropeFrequencyBase ** (-i / ropeDimensionCount);
      const a = x[head + i];
      const b = x[head + i + 1];
      x[head + i] = a * Math.cos(angle) - b * Math.sin(angle);
      x[head + i + 1] = a * Math.sin(angle) + b * Math.cos(angle);
    }
  }
}

export function softmax(scores: readonly number[]): number[] {
  const largest = scores.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const exponentials = scores.map((score) => Math.exp(score - largest));
  const sum = exponentials.reduce((a, b) => a + b, 0);
  return exponentials.map((e) => e / sum);
}

function silu(x: number): number {
  return x / (1 + Math.exp(-x));
}

function addTo(x: Float64Array, y: Float64Array): void {
  for (let i = 0; i < x.length; i++) x[i] += y[i];
}

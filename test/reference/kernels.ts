/**
 * What each kernel computes, in float64, by the plainest loops that can be right. The oracle of the kernel tests.
 *
 * Tensors are row-major; their shapes are at the right.
 */

type Numbers = ArrayLike<number>;

/** Element `i`, which must exist. */
function at(x: Numbers, i: number): number {
  const value = x[i];
  if (value === undefined) throw new RangeError(`Element ${i} is outside of ${x.length} elements`);
  return value;
}

/** Applies `f` to the elements of equally long arrays. */
export function elementwise(f: (...elements: number[]) => number, ...arrays: Numbers[]): Float64Array {
  return Float64Array.from({ length: arrays[0]?.length ?? 0 }, (_, i) => f(...arrays.map((x) => at(x, i))));
}

/** x times the logistic function of x. */
export function silu(x: number): number {
  return x / (1 + Math.exp(-x));
}

/**
 * The Gaussian error linear unit, in its tanh approximation x/2 (1 + tanh(u)). Where x is negative 1 + tanh(u) would
 * lose all digits, so it is written as 2 / (1 + exp(-2 u)), which is the same.
 */
export function gelu(x: number): number {
  return x / (1 + Math.exp(-2 * Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
}

/** x kept within ±cap without an edge. */
export function softCap(x: number, cap: number): number {
  return cap * Math.tanh(x / cap);
}

/** Rows `indices` of `x`; zeros for an index of `count` or more. */
export function gatherRows(x: Numbers, indices: Numbers, n: number, count: number = Infinity): Float64Array {
  const out = new Float64Array(indices.length * n); // [indices, n]
  for (let r = 0; r < indices.length; r++) {
    const index = at(indices, r);
    for (let i = 0; i < n; i++) out[r * n + i] = index < count ? at(x, index * n + i) : 0;
  }
  return out;
}

/** x / sqrt(mean(x^2) + eps) * weight, row by row. */
export function rmsNorm(x: Numbers, weight: Numbers, n: number, eps: number): Float64Array {
  const out = new Float64Array(x.length); // [rows, n]
  for (let start = 0; start < x.length; start += n) {
    let squares = 0;
    for (let i = 0; i < n; i++) squares += at(x, start + i) ** 2;
    const root = Math.sqrt(squares / n + eps);
    for (let i = 0; i < n; i++) out[start + i] = (at(x, start + i) / root) * at(weight, i);
  }
  return out;
}

/** The softmax of scale * x, row by row. */
export function softmax(x: Numbers, n: number, scale: number): Float64Array {
  const out = new Float64Array(x.length); // [rows, n]
  for (let start = 0; start < x.length; start += n) {
    let largest = -Infinity;
    for (let i = 0; i < n; i++) largest = Math.max(largest, scale * at(x, start + i));
    let total = 0;
    for (let i = 0; i < n; i++) total += Math.exp(scale * at(x, start + i) - largest);
    for (let i = 0; i < n; i++) out[start + i] = Math.exp(scale * at(x, start + i) - largest) / total;
  }
  return out;
}

/** The lowest index of each row's largest element. NaN never wins; 0 where there is nothing else. */
export function argmax(x: Numbers, n: number): Float64Array {
  const out = new Float64Array(x.length / n); // [rows]
  for (let r = 0; r < out.length; r++) {
    let best = -1;
    for (let i = 0; i < n; i++) {
      const value = at(x, r * n + i);
      if (!Number.isNaN(value) && (best < 0 || value > at(x, r * n + best))) best = i;
    }
    out[r] = Math.max(best, 0);
  }
  return out;
}

/** The two ways to pair the dimensions of a head. */
export type RopePairing = "interleaved" | "half";

/**
 * Rotary position embedding of x [rows, heads, headDim]; what is turned becomes `magnitude` times as long.
 *
 * The angle is rounded to float32, as every implementation in floats has it: a position in the tens of thousands leaves
 * only three decimals of a radian, and it is not the kernel's job to have more.
 */
export function rope(
  x: Numbers,
  positions: Numbers,
  frequencies: Numbers,
  shape: { readonly heads: number; readonly headDim: number; readonly rotaryDims: number },
  pairing: RopePairing,
  magnitude = 1,
): Float64Array {
  const { heads, headDim, rotaryDims } = shape;
  const out = Float64Array.from(x);
  for (let start = 0; start < x.length; start += headDim) {
    const position = at(positions, Math.floor(start / (heads * headDim)));
    for (let p = 0; p < rotaryDims / 2; p++) {
      const a = start + (pairing === "interleaved" ? 2 * p : p);
      const b = start + (pairing === "interleaved" ? 2 * p + 1 : p + rotaryDims / 2);
      const angle = Math.fround(position * at(frequencies, p));
      out[a] = magnitude * (at(x, a) * Math.cos(angle) - at(x, b) * Math.sin(angle));
      out[b] = magnitude * (at(x, a) * Math.sin(angle) + at(x, b) * Math.cos(angle));
    }
  }
  return out;
}

/** x [rows, k] times the transpose of w [n, k]. */
export function matmul(w: Numbers, x: Numbers, n: number, k: number): Float64Array {
  const rows = x.length / k;
  const out = new Float64Array(rows * n); // [rows, n]
  for (let r = 0; r < rows; r++) {
    for (let o = 0; o < n; o++) {
      let sum = 0;
      for (let i = 0; i < k; i++) sum += at(w, o * k + i) * at(x, r * k + i);
      out[r * n + o] = sum;
    }
  }
  return out;
}

export interface HeadShape {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

/**
 * Scores scale * q . k of q [rows, heads, headDim] and keys k [nKeys, kvHeads, headDim]; `masked` where `sees` says that
 * the row does not see the key.
 */
export function attentionScores(
  q: Numbers,
  k: Numbers,
  shape: HeadShape,
  scale: number,
  sees: (row: number, key: number) => boolean,
  masked: number,
): Float64Array {
  const { heads, kvHeads, headDim } = shape;
  const rows = q.length / (heads * headDim);
  const nKeys = k.length / (kvHeads * headDim);
  const out = new Float64Array(rows * heads * nKeys); // [rows, heads, nKeys]
  for (let r = 0; r < rows; r++) {
    for (let h = 0; h < heads; h++) {
      const kvHead = Math.floor(h / (heads / kvHeads));
      for (let j = 0; j < nKeys; j++) {
        let score = 0;
        for (let d = 0; d < headDim; d++) {
          score += at(q, (r * heads + h) * headDim + d) * at(k, (j * kvHeads + kvHead) * headDim + d);
        }
        out[(r * heads + h) * nKeys + j] = sees(r, j) ? scale * score : masked;
      }
    }
  }
  return out;
}

/** Sums of values v [nKeys, kvHeads, headDim] weighted by weights [rows, heads, nKeys]. */
export function attentionWeightedSum(weights: Numbers, v: Numbers, shape: HeadShape): Float64Array {
  const { heads, kvHeads, headDim } = shape;
  const nKeys = v.length / (kvHeads * headDim);
  const rows = weights.length / (heads * nKeys);
  const out = new Float64Array(rows * heads * headDim); // [rows, heads, headDim]
  for (let r = 0; r < rows; r++) {
    for (let h = 0; h < heads; h++) {
      const kvHead = Math.floor(h / (heads / kvHeads));
      for (let d = 0; d < headDim; d++) {
        let sum = 0;
        for (let j = 0; j < nKeys; j++) {
          sum += at(weights, (r * heads + h) * nKeys + j) * at(v, (j * kvHeads + kvHead) * headDim + d);
        }
        out[(r * heads + h) * headDim + d] = sum;
      }
    }
  }
  return out;
}

/**
 * Attention of one row q [heads, headDim] over all of k and v [nKeys, kvHeads, headDim], which the caller has gathered:
 * scores, a cap on them unless it is 0, softmax, weighted sum.
 */
export function attention(
  q: Numbers,
  k: Numbers,
  v: Numbers,
  shape: HeadShape,
  scale: number,
  cap = 0,
): Float64Array {
  const nKeys = k.length / (shape.kvHeads * shape.headDim);
  const raw = attentionScores(q, k, shape, scale, () => true, 0); // [1, heads, nKeys]
  const scores = cap === 0 ? raw : raw.map((score) => softCap(score, cap));
  return attentionWeightedSum(softmax(scores, nKeys, 1), v, shape); // [1, heads, headDim]
}

/**
 * The `used` highest of each row's scores, the best first and the lower number first among equals; and the softmax of these
 * scores.
 */
export function routeExperts(
  scores: Numbers,
  experts: number,
  used: number,
): { readonly ids: Float64Array; readonly weights: Float64Array } {
  const rows = scores.length / experts;
  const ids: number[] = [];
  const chosen: number[] = [];
  for (let r = 0; r < rows; r++) {
    const order = Array.from({ length: experts }, (_, i) => i);
    order.sort((a, b) => at(scores, r * experts + b) - at(scores, r * experts + a) || a - b);
    for (const id of order.slice(0, used)) {
      ids.push(id);
      chosen.push(at(scores, r * experts + id));
    }
  }
  return { ids: Float64Array.from(ids), weights: softmax(chosen, used, 1) };
}

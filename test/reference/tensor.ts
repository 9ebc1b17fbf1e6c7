/**
 * A plain interpreter of tensor operations in float64: the oracle of the tensor tests. It knows values by number and
 * operations by name, and shares no code with what it judges.
 */

/** A value: `rows` rows of `n` numbers, row after row. */
export type ReferenceValue = {
  readonly rows: number;
  readonly n: number;
  readonly data: Float64Array;
};

/** One operation: numbers of the values that it reads, the number that its result gets, and its options. */
export type ReferenceStep =
  | { readonly op: "add" | "mul"; readonly a: number; readonly b: number; readonly out: number }
  | { readonly op: "silu" | "gelu" | "argmax"; readonly x: number; readonly out: number }
  | { readonly op: "scale" | "softCap"; readonly x: number; readonly factor: number; readonly out: number }
  | { readonly op: "addBias"; readonly x: number; readonly bias: number; readonly out: number }
  | { readonly op: "softmax"; readonly x: number; readonly scale: number; readonly out: number }
  | { readonly op: "round16"; readonly x: number; readonly out: number }
  | {
      readonly op: "rmsNorm";
      readonly x: number;
      readonly weight: number;
      readonly eps: number;
      readonly out: number;
    }
  | { readonly op: "matmul"; readonly x: number; readonly weight: number; readonly out: number }
  | {
      readonly op: "embed" | "gatherRows";
      readonly x: number;
      readonly indices: number;
      readonly out: number;
    }
  | {
      readonly op: "rope";
      readonly x: number;
      readonly positions: number;
      readonly frequencies: number;
      readonly headDim: number;
      readonly layout: "interleaved" | "half";
      readonly out: number;
    }
  | {
      readonly op: "kvStore";
      readonly keys: number;
      readonly values: number;
      readonly slots: number;
      readonly keyCache: number;
      readonly valueCache: number;
    }
  | {
      readonly op: "attention";
      readonly query: number;
      readonly keyCache: number;
      readonly valueCache: number;
      readonly positions: number;
      readonly sequences: number;
      readonly blockTables: number;
      readonly blockSize: number;
      readonly headDim: number;
      readonly window: number;
      /** 0: none. */
      readonly softCap: number;
      readonly out: number;
    }
  | {
      /** Scores, softmax and weighted sum over keys in one piece; row r sees keys 0 .. firstPosition + r. */
      readonly op: "textbookAttention";
      readonly query: number;
      readonly keys: number;
      readonly values: number;
      readonly headDim: number;
      readonly firstPosition: number | undefined;
      readonly out: number;
    };

/** Runs the steps in order. Values of `kvStore`'s caches are changed in place. */
export function interpret(values: Map<number, ReferenceValue>, steps: readonly ReferenceStep[]): void {
  const get = (id: number): ReferenceValue => {
    const value = values.get(id);
    if (value === undefined) throw new Error(`value ${id} was not computed`);
    return value;
  };
  for (const step of steps) {
    const result = evaluate(step, get);
    if (result !== undefined && "out" in step) values.set(step.out, result);
  }
}

function evaluate(step: ReferenceStep, get: (id: number) => ReferenceValue): ReferenceValue | undefined {
  switch (step.op) {
    case "add":
      return zip(get(step.a), get(step.b), (a, b) => a + b);
    case "mul":
      return zip(get(step.a), get(step.b), (a, b) => a * b);
    case "silu":
      return mapRows(get(step.x), (row) => row.map((x) => x / (1 + Math.exp(-x))));
    case "gelu":
      return mapRows(get(step.x), (row) =>
        row.map((x) => x / (1 + Math.exp(-2 * Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))),
      );
    case "scale":
      return mapRows(get(step.x), (row) => row.map((x) => x * step.factor));
    case "softCap":
      return mapRows(get(step.x), (row) => row.map((x) => step.factor * Math.tanh(x / step.factor)));
    case "addBias": {
      const bias = get(step.bias).data;
      return mapRows(get(step.x), (row) => row.map((x, i) => x + bias[i]));
    }
    case "round16":
      return mapRows(get(step.x), (row) => row.map(Math.f16round));
    case "softmax":
      return mapRows(get(step.x), (row) => softmax(row.map((x) => x * step.scale)));
    case "argmax": {
      const x = get(step.x);
      return fromRows(x.rows, 1, (r) => [
        rowOf(x, r).reduce((best, value, i, row) => (value > row[best] ? i : best), 0),
      ]);
    }
    case "rmsNorm": {
      const weight = get(step.weight).data;
      return mapRows(get(step.x), (row) => {
        // Each part as long as the weight on its own.
        const scales = Float64Array.from({ length: row.length / weight.length }, (_, part) => {
          const from = part * weight.length;
          const squares = row.subarray(from, from + weight.length).reduce((sum, x) => sum + x * x, 0);
          return 1 / Math.sqrt(squares / weight.length + step.eps);
        });
        return row.map((x, i) => x * scales[Math.floor(i / weight.length)] * weight[i % weight.length]);
      });
    }
    case "matmul": {
      const x = get(step.x);
      const weight = get(step.weight);
      return fromRows(x.rows, weight.rows, (r) =>
        Float64Array.from({ length: weight.rows }, (_, i) => dot(rowOf(x, r), rowOf(weight, i))),
      );
    }
    case "embed":
    case "gatherRows": {
      const x = get(step.x);
      const indices = get(step.indices).data;
      return fromRows(indices.length, x.n, (r) => rowOf(x, indices[r]));
    }
    case "rope":
      return rope(
        get(step.x),
        get(step.positions).data,
        get(step.frequencies).data,
        step.headDim,
        step.layout,
      );
    case "kvStore": {
      const slots = get(step.slots).data;
      for (const [from, to] of [
        [get(step.keys), get(step.keyCache)],
        [get(step.values), get(step.valueCache)],
      ]) {
        slots.forEach((slot, r) => {
          if (slot !== 0xffff_ffff) to.data.set(rowOf(from, r), slot * to.n);
        });
      }
      return undefined;
    }
    case "attention": {
      const { blockSize } = step;
      const positions = get(step.positions).data;
      const sequences = get(step.sequences).data;
      const tables = get(step.blockTables);
      const slotsOf = (r: number): number[] =>
        Array.from({ length: Math.min(step.window, positions[r] + 1) }, (_, back) => {
          const p = positions[r] - back;
          const block = rowOf(tables, sequences[r])[Math.floor(p / blockSize)];
          return block * blockSize + (p % blockSize);
        });
      return attention(get(step.query), get(step.keyCache), get(step.valueCache), step, slotsOf);
    }
    case "textbookAttention": {
      const keys = get(step.keys);
      const seen = (r: number): number =>
        step.firstPosition === undefined ? keys.rows : Math.min(keys.rows, step.firstPosition + r + 1);
      const slotsOf = (r: number): number[] => Array.from({ length: seen(r) }, (_, j) => j);
      return attention(get(step.query), keys, get(step.values), step, slotsOf);
    }
  }
}

/** softmax(q . K / sqrt(headDim)) V by head, over the given rows of keys and values. */
function attention(
  query: ReferenceValue,
  keys: ReferenceValue,
  values: ReferenceValue,
  { headDim, softCap = 0 }: { readonly headDim: number; readonly softCap?: number },
  slotsOf: (row: number) => readonly number[],
): ReferenceValue {
  const heads = query.n / headDim;
  const group = heads / (keys.n / headDim);
  return fromRows(query.rows, query.n, (r) => {
    const out = new Float64Array(query.n);
    const slots = slotsOf(r);
    for (let head = 0; head < heads; head++) {
      const q = rowOf(query, r).subarray(head * headDim, (head + 1) * headDim);
      const from = Math.floor(head / group) * headDim;
      const part = (value: ReferenceValue, slot: number): Float64Array =>
        rowOf(value, slot).subarray(from, from + headDim);
      const scores = Float64Array.from(slots, (slot) => {
        const score = dot(q, part(keys, slot)) / Math.sqrt(headDim);
        return softCap === 0 ? score : softCap * Math.tanh(score / softCap);
      });
      const weights = softmax(scores);
      slots.forEach((slot, j) => {
        part(values, slot).forEach((value, d) => {
          out[head * headDim + d] += weights[j] * value;
        });
      });
    }
    return out;
  });
}

function rope(
  x: ReferenceValue,
  positions: Float64Array,
  frequencies: Float64Array,
  headDim: number,
  layout: "interleaved" | "half",
): ReferenceValue {
  const pairs = frequencies.length;
  return fromRows(x.rows, x.n, (r) => {
    const row = rowOf(x, r).slice();
    for (let head = 0; head < x.n; head += headDim) {
      for (let i = 0; i < pairs; i++) {
        const a = head + (layout === "half" ? i : 2 * i);
        const b = layout === "half" ? a + pairs : a + 1;
        const angle = positions[r] * frequencies[i];
        const [xa, xb] = [row[a], row[b]];
        row[a] = xa * Math.cos(angle) - xb * Math.sin(angle);
        row[b] = xa * Math.sin(angle) + xb * Math.cos(angle);
      }
    }
    return row;
  });
}

function softmax(row: Float64Array): Float64Array {
  const largest = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const powers = row.map((x) => Math.exp(x - largest));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((x) => x / sum);
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

function rowOf(value: ReferenceValue, row: number): Float64Array {
  return value.data.subarray(row * value.n, (row + 1) * value.n);
}

function fromRows(rows: number, n: number, row: (r: number) => ArrayLike<number>): ReferenceValue {
  const data = new Float64Array(rows * n);
  for (let r = 0; r < rows; r++) data.set(row(r), r * n);
  return { rows, n, data };
}

function mapRows(x: ReferenceValue, f: (row: Float64Array) => Float64Array): ReferenceValue {
  return fromRows(x.rows, x.n, (r) => f(rowOf(x, r)));
}

function zip(a: ReferenceValue, b: ReferenceValue, f: (a: number, b: number) => number): ReferenceValue {
  return { ...a, data: a.data.map((value, i) => f(value, b.data[i])) };
}

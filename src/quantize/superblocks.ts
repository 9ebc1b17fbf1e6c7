/**
 * The types of 256 values to a block (K types): the block has one scale of 16 bits, or two, and its parts have small
 * whole numbers that multiply them. Each refinement rounds, solves for the block's scales, and stays if it was better.
 */
import { type AffineFit, fitAffine, fitSymmetric, weigh } from "./fit.ts";

export const SUPERBLOCK = 256;
const MAX_ROUNDS = 3;

const weights = new Float64Array(SUPERBLOCK);

/** x = d scales[part] q - dmin mins[part] */
export class AffineBlock {
  /** Values of one part. */
  readonly length: number;
  /** The largest q. */
  readonly most: number;
  /** The largest scale and minimum of a part. */
  readonly mostScale: number;
  d = 0;
  dmin = 0;
  readonly scales: Uint8Array;
  readonly mins: Uint8Array;
  readonly q: Uint8Array = new Uint8Array(SUPERBLOCK);
  readonly #exactScales: Float64Array;
  readonly #exactMins: Float64Array;
  readonly #fit: AffineFit = { scale: 0, min: 0 };

  constructor(length: number, most: number, mostScale: number) {
    this.length = length;
    this.most = most;
    this.mostScale = mostScale;
    const parts = SUPERBLOCK / length;
    this.scales = new Uint8Array(parts);
    this.mins = new Uint8Array(parts);
    this.#exactScales = new Float64Array(parts);
    this.#exactMins = new Float64Array(parts);
  }

  /** Finds all numbers for the 256 values from `start` on. */
  encode(x: Float32Array, start: number): void {
    const values = x.subarray(start, start + SUPERBLOCK);
    const { length, most, mostScale } = this;
    let largestScale = 0;
    let largestMin = 0;
    for (let part = 0; part < this.scales.length; part++) {
      weigh(values, part * length, length, weights);
      fitAffine(values, weights, part * length, length, most, this.#fit);
      this.#exactScales[part] = this.#fit.scale;
      this.#exactMins[part] = this.#fit.min;
      largestScale = Math.max(largestScale, this.#fit.scale);
      largestMin = Math.max(largestMin, this.#fit.min);
    }
    let d = Math.f16round(largestScale / mostScale);
    let dmin = Math.f16round(largestMin / mostScale);
    this.#round(values, d, dmin);
    let error = this.#error(values);
    for (let i = 0; i < MAX_ROUNDS; i++) {
      const kept = [this.d, this.dmin, this.scales.slice(), this.mins.slice(), this.q.slice()] as const;
      [d, dmin] = this.#solve(values);
      this.#round(values, d, dmin);
      const next = this.#error(values);
      if (next < error) {
        error = next;
        continue;
      }
      [this.d, this.dmin] = kept;
      this.scales.set(kept[2]);
      this.mins.set(kept[3]);
      this.q.set(kept[4]);
      break;
    }
  }

  /** Rounds the parts' scales to multiples of these, and the values to multiples of those. */
  #round(x: Float32Array, d: number, dmin: number): void {
    const { length, most, mostScale } = this;
    this.d = d;
    this.dmin = dmin;
    for (let part = 0; part < this.scales.length; part++) {
      this.scales[part] = d === 0 ? 0 : Math.min(mostScale, Math.round(this.#exactScales[part] / d));
      this.mins[part] = dmin === 0 ? 0 : Math.min(mostScale, Math.round(this.#exactMins[part] / dmin));
      const scale = d * this.scales[part];
      const min = dmin * this.mins[part];
      const inverse = scale === 0 ? 0 : 1 / scale;
      for (let i = part * length; i < (part + 1) * length; i++) {
        this.q[i] = Math.max(0, Math.min(most, Math.floor((x[i] + min) * inverse + 0.5)));
      }
    }
  }

  #error(x: Float32Array): number {
    let error = 0;
    for (let i = 0; i < SUPERBLOCK; i++) {
      const part = Math.floor(i / this.length);
      error +=
        weights[i] * (this.d * this.scales[part] * this.q[i] - this.dmin * this.mins[part] - x[i]) ** 2;
    }
    return error;
  }

  /** The scales of the block that are best for its numbers: least squares over a = scales q and b = -mins. */
  #solve(x: Float32Array): [d: number, dmin: number] {
    let aa = 0;
    let ab = 0;
    let bb = 0;
    let ax = 0;
    let bx = 0;
    for (let i = 0; i < SUPERBLOCK; i++) {
      const part = Math.floor(i / this.length);
      const a = this.scales[part] * this.q[i];
      const b = -this.mins[part];
      aa += weights[i] * a * a;
      ab += weights[i] * a * b;
      bb += weights[i] * b * b;
      ax += weights[i] * a * x[i];
      bx += weights[i] * b * x[i];
    }
    const determinant = aa * bb - ab * ab;
    if (determinant > 0) {
      const d = Math.f16round((bb * ax - ab * bx) / determinant);
      const dmin = Math.f16round((aa * bx - ab * ax) / determinant);
      if (d > 0 && dmin >= 0) return [d, dmin];
    }
    return [this.d, this.dmin];
  }
}

/** x = d scales[part] q */
export class SymmetricBlock {
  /** Values of one part. */
  readonly length: number;
  /** q goes from -zero to zero - 1. */
  readonly zero: number;
  /** Scales of parts go from -zeroScale to zeroScale - 1. */
  readonly zeroScale: number;
  d = 0;
  readonly scales: Int8Array;
  readonly q: Int8Array = new Int8Array(SUPERBLOCK);
  readonly #exactScales: Float64Array;

  constructor(length: number, zero: number, zeroScale: number) {
    this.length = length;
    this.zero = zero;
    this.zeroScale = zeroScale;
    this.scales = new Int8Array(SUPERBLOCK / length);
    this.#exactScales = new Float64Array(SUPERBLOCK / length);
  }

  /** Finds all numbers for the 256 values from `start` on. */
  encode(x: Float32Array, start: number): void {
    const values = x.subarray(start, start + SUPERBLOCK);
    const { length, zero, zeroScale } = this;
    let farthest = 0;
    for (let part = 0; part < this.scales.length; part++) {
      weigh(values, part * length, length, weights);
      const scale = fitSymmetric(values, weights, part * length, length, zero);
      this.#exactScales[part] = scale;
      if (Math.abs(scale) > Math.abs(farthest)) farthest = scale;
    }
    this.#round(values, Math.f16round(-farthest / zeroScale));
    let error = this.#error(values);
    for (let i = 0; i < MAX_ROUNDS; i++) {
      const kept = [this.d, this.scales.slice(), this.q.slice()] as const;
      this.#round(values, this.#solve(values));
      const next = this.#error(values);
      if (next < error) {
        error = next;
        continue;
      }
      this.d = kept[0];
      this.scales.set(kept[1]);
      this.q.set(kept[2]);
      break;
    }
  }

  #round(x: Float32Array, d: number): void {
    const { length, zero, zeroScale } = this;
    this.d = d;
    for (let part = 0; part < this.scales.length; part++) {
      const times = d === 0 ? 0 : Math.round(this.#exactScales[part] / d);
      this.scales[part] = Math.max(-zeroScale, Math.min(zeroScale - 1, times));
      const scale = d * this.scales[part];
      const inverse = scale === 0 ? 0 : 1 / scale;
      for (let i = part * length; i < (part + 1) * length; i++) {
        this.q[i] = Math.max(-zero, Math.min(zero - 1, Math.floor(x[i] * inverse + 0.5)));
      }
    }
  }

  #error(x: Float32Array): number {
    let error = 0;
    for (let i = 0; i < SUPERBLOCK; i++) {
      const scale = this.d * this.scales[Math.floor(i / this.length)];
      error += weights[i] * (scale * this.q[i] - x[i]) ** 2;
    }
    return error;
  }

  /** The scale of the block that is best for its numbers. */
  #solve(x: Float32Array): number {
    let aa = 0;
    let ax = 0;
    for (let i = 0; i < SUPERBLOCK; i++) {
      const a = this.scales[Math.floor(i / this.length)] * this.q[i];
      aa += weights[i] * a * a;
      ax += weights[i] * a * x[i];
    }
    return aa > 0 ? Math.f16round(ax / aa) : this.d;
  }
}

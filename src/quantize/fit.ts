/**
 * The search behind the K types: which scale (and minimum) gives a few values the smallest weighted squared error when
 * they become small whole numbers. Each start is a scale; its rounding fixes the numbers, for which the best scale has a
 * closed form (least squares); the best of all starts is then alternated, round and solve, until nothing changes.
 */

/** x is about scale * q - min, with min at least 0. */
export type AffineFit = { scale: number; min: number };

/** Scales that are tried: the one that spans the values, and ten to either side, a tenth of a step of q apart. */
const STARTS = 10;
const START_STEP = 0.1;
const MAX_ROUNDS = 4;

/**
 * How much each value counts: large ones more, since activations multiply them, but none for nothing.
 * w = rms(x) + |x|
 */
export function weigh(x: Float32Array, start: number, length: number, weights: Float64Array): void {
  let squares = 0;
  for (let i = 0; i < length; i++) squares += x[start + i] ** 2;
  const rms = Math.sqrt(squares / length);
  for (let i = 0; i < length; i++) weights[start + i] = rms + Math.abs(x[start + i]);
}

/** Numbers from 0 to `most`. Writes scale and minimum into `fit`. */
export function fitAffine(
  x: Float32Array,
  weights: Float64Array,
  start: number,
  length: number,
  most: number,
  fit: AffineFit,
): void {
  let low = 0;
  let high = x[start];
  for (let i = start; i < start + length; i++) {
    low = Math.min(low, x[i]);
    high = Math.max(high, x[i]);
  }
  fit.scale = 0;
  fit.min = -low;
  if (high <= low) return;

  const end = start + length;
  let sumW = 0;
  let sumX = 0;
  let sumXX = 0;
  for (let i = start; i < end; i++) {
    sumW += weights[i];
    sumX += weights[i] * x[i];
    sumXX += weights[i] * x[i] * x[i];
  }
  let bestError = Number.POSITIVE_INFINITY;
  /** Rounds with this scale and minimum, and keeps what is best for those numbers. Tells whether it was better. */
  const attempt = (inverse: number, min: number): boolean => {
    let sumQ = 0;
    let sumQQ = 0;
    let sumXQ = 0;
    for (let i = start; i < end; i++) {
      const rounded = ((x[i] + min) * inverse + 0.5) | 0;
      const q = Math.max(0, Math.min(most, rounded));
      const weighted = weights[i] * q;
      sumQ += weighted;
      sumQQ += weighted * q;
      sumXQ += weighted * x[i];
    }
    const determinant = sumW * sumQQ - sumQ * sumQ;
    let scale = sumXQ / sumQQ;
    let offset = 0;
    // Else all numbers are the same, but for errors of rounding: a minimum would be anything.
    if (determinant > 1e-9 * sumW * sumQQ) {
      offset = (sumQQ * sumX - sumQ * sumXQ) / determinant;
      if (offset < 0) scale = (sumW * sumXQ - sumX * sumQ) / determinant;
      else offset = 0;
    }
    const error = sumXX - scale * sumXQ - offset * sumX;
    if (!(scale > 0) || !(error < bestError)) return false;
    bestError = error;
    fit.scale = scale;
    fit.min = -offset;
    return true;
  };

  for (let i = -STARTS; i <= STARTS; i++) attempt((most + i * START_STEP) / (high - low), -low);
  for (let i = 0; i < MAX_ROUNDS && attempt(1 / fit.scale, fit.min); i++);
}

/** Numbers from -zero to zero - 1. Returns the scale: x is about scale * q. It has either sign. */
export function fitSymmetric(
  x: Float32Array,
  weights: Float64Array,
  start: number,
  length: number,
  zero: number,
): number {
  let farthest = 0;
  for (let i = start; i < start + length; i++) if (Math.abs(x[i]) > Math.abs(farthest)) farthest = x[i];
  if (farthest === 0) return 0;

  let bestGain = 0;
  let best = 0;
  const attempt = (inverse: number): boolean => {
    let sumQQ = 0;
    let sumXQ = 0;
    for (let i = start; i < start + length; i++) {
      const rounded = Math.floor(x[i] * inverse + 0.5);
      const q = Math.max(-zero, Math.min(zero - 1, rounded));
      const weighted = weights[i] * q;
      sumQQ += weighted * q;
      sumXQ += weighted * x[i];
    }
    // The error is sum(w x^2) - (sum w x q)^2 / sum(w q^2).
    const gain = (sumXQ * sumXQ) / sumQQ;
    if (!(gain > bestGain)) return false;
    bestGain = gain;
    best = sumXQ / sumQQ;
    return true;
  };

  // The farthest value gets -zero, which the range has once more than the other side.
  for (let i = -STARTS; i <= STARTS; i++) attempt(-(zero + i * START_STEP) / farthest);
  for (let i = 0; i < MAX_ROUNDS && attempt(1 / best); i++);
  return best;
}

import { expect, test } from "bun:test";
import {
  fractionOf,
  MOST_OCTAVES,
  octavesBelow,
  octavesOf,
  octavesWith,
  partOf,
  rateOf,
  UNIT_RATE,
  weightOf,
} from "../../src/sample/weights.ts";
import { gaussianArray, mulberry32, randomInteger } from "../reference/random.ts";

const OCTAVE = 2 ** 24;

test("weightOf() is 2^31 halved for each octave, and 0 below 1", () => {
  for (const seed of [1, 2]) {
    const random = mulberry32(seed);
    for (let i = 0; i < 20_000; i++) {
      const octaves = randomInteger(random, 32 * OCTAVE);
      const wanted = 2 ** (31 - octaves / OCTAVE);
      if (Math.abs(weightOf(octaves) - wanted) > 1 + wanted * 2 ** -25) {
        throw new Error(`Seed ${seed}: the weight of ${octaves} is ${weightOf(octaves)}, not ${wanted}`);
      }
    }
  }
  expect([0, OCTAVE, 31 * OCTAVE].map(weightOf)).toEqual([2 ** 31, 2 ** 30, 1]);
  expect([32 * OCTAVE, 100 * OCTAVE, MOST_OCTAVES].map(weightOf)).toEqual([0, 0, 0]);
});

test("weightOf() never rises, also from one octave to the next", () => {
  for (const whole of [0, 1, 2, 15, 31]) {
    for (const part of [0, 0.1, 0.3, 0.5, 0.77, 1]) {
      const middle = (whole + part) * OCTAVE;
      for (let at = Math.max(0, middle - 3000); at < middle + 3000; at++) {
        if (weightOf(at + 1) > weightOf(at)) throw new Error(`The weight rises after ${at}`);
      }
    }
  }
});

test("octavesWith() is the last place of a weight", () => {
  for (const weight of [1, 2, 3, 1000, 123_456_789, 2 ** 31 - 1, 2 ** 31]) {
    const octaves = octavesWith(weight);
    expect(weightOf(octaves)).toBeGreaterThanOrEqual(weight);
    expect(weightOf(octaves + 1)).toBeLessThan(weight);
  }
});

test("octavesBelow() is the product of two F32s, rounded down", () => {
  const logits = gaussianArray(mulberry32(3), 300, 4);
  for (const temperature of [1, 0.8, 0.01, 37]) {
    const rate = rateOf(temperature);
    for (const logit of logits) {
      const difference = Math.fround(20 - logit);
      // Both are whole numbers of 2^-60.
      const product = BigInt(difference * 2 ** 60) * BigInt(rate * 2 ** 60);
      expect(octavesBelow(20, logit, rate)).toBe(Math.min(MOST_OCTAVES, Number(product >> 96n)));
    }
  }
  expect(octavesBelow(1, 1, rateOf(1e-9))).toBe(0);
  expect(octavesBelow(1, Number.NEGATIVE_INFINITY, rateOf(1e300))).toBe(MOST_OCTAVES);
  expect(octavesBelow(3e38, -3e38, UNIT_RATE)).toBe(MOST_OCTAVES);
  expect(octavesBelow(1, 0.5, rateOf(Number.MIN_VALUE))).toBe(MOST_OCTAVES);
  expect(octavesBelow(1000, -1000, rateOf(1e300))).toBe(0);
});

test("octavesOf() is the place of a relative probability", () => {
  expect([1, 0.5, 0.125, 0].map(octavesOf)).toEqual([0, OCTAVE, 3 * OCTAVE, MOST_OCTAVES]);
  expect(octavesOf(0.05) / OCTAVE).toBeCloseTo(Math.log2(20), 6);
});

test("partOf() is a fraction of a sum, rounded down", () => {
  expect(partOf(1001, fractionOf(0.5))).toBe(500);
  expect(partOf(2 ** 52 + 1, 2 ** 53 - 1)).toBe(2 ** 52);
  expect(partOf(2 ** 52, 0)).toBe(0);
  expect(fractionOf(Number.MIN_VALUE)).toBe(1);
});

import { expect, test } from "bun:test";
import { Xoshiro128 } from "../../src/sample/random.ts";

const MASK_32 = 2n ** 32n - 1n;
const MASK_64 = 2n ** 64n - 1n;

/** The same generators in arbitrary-precision integers, as their authors' C reads. */
function* reference(seed: bigint): Generator<number> {
  let mix = seed;
  const splitMix = (): bigint => {
    mix = (mix + 0x9e3779b97f4a7c15n) & MASK_64;
    let z = mix;
    z = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & MASK_64;
    z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & MASK_64;
    return z ^ (z >> 31n);
  };
  const [a, b] = [splitMix(), splitMix()];
  const s: [bigint, bigint, bigint, bigint] = [a & MASK_32, a >> 32n, b & MASK_32, b >> 32n];
  const rotate = (x: bigint, k: bigint): bigint => ((x << k) | (x >> (32n - k))) & MASK_32;
  for (;;) {
    yield Number((rotate((s[1] * 5n) & MASK_32, 7n) * 9n) & MASK_32);
    const t = (s[1] << 9n) & MASK_32;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 11n);
  }
}

test("Xoshiro128 gives the reference's sequence, for small and large seeds", () => {
  for (const seed of [0, 1, 42, 2 ** 32, 2 ** 53 - 1]) {
    const random = new Xoshiro128(seed);
    const wanted = reference(BigInt(seed));
    for (let i = 0; i < 1000; i++) expect(random.next()).toBe(wanted.next().value);
  }
});

test("Xoshiro128.fraction() is uniform, of 2^53", () => {
  const random = new Xoshiro128(7);
  const bins = new Array<number>(16).fill(0);
  const draws = 64_000;
  for (let i = 0; i < draws; i++) {
    const value = random.fraction() / 2 ** 53;
    expect(value >= 0 && value < 1).toBe(true);
    const bin = Math.floor(value * 16);
    bins[bin] = (bins[bin] ?? 0) + 1;
  }
  // Chi-square with 15 degrees of freedom: mean 15, standard deviation 5.5; above 48 once in 40,000 seeds.
  const statistic = bins.reduce((sum, count) => sum + (count - draws / 16) ** 2 / (draws / 16), 0);
  expect(statistic).toBeLessThan(48);
});

const MASK_64 = 2n ** 64n - 1n;

/**
 * The generator xoshiro128** 1.1 (Blackman and Vigna, https://prng.di.unimi.it): 128 bits of state, whole-number
 * arithmetic only, so that a seed gives the same sequence on every machine and in every runtime.
 */
export class Xoshiro128 {
  readonly #state: Uint32Array = new Uint32Array(4);

  /**
   * @param seed A whole number from 0 to 2^53 - 1. Two outputs of SplitMix64 from it fill the state, as the authors
   * advise, so that seeds 0, 1, 2... give unrelated sequences.
   */
  constructor(seed: number) {
    let mix = BigInt(seed);
    for (let i = 0; i < 4; i += 2) {
      mix = (mix + 0x9e3779b97f4a7c15n) & MASK_64;
      let z = mix;
      z = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & MASK_64;
      z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & MASK_64;
      z ^= z >> 31n;
      this.#state[i] = Number(z & 0xffffffffn);
      this.#state[i + 1] = Number(z >> 32n);
    }
  }

  /** Returns the next 32 random bits, as a number from 0 to 2^32 - 1. */
  next(): number {
    const s = this.#state;
    const [s0, s1, s2, s3] = s as unknown as [number, number, number, number];
    const result = Math.imul(rotateLeft(Math.imul(s1, 5), 7), 9) >>> 0;
    const t2 = s2 ^ s0;
    const t3 = s3 ^ s1;
    s[1] = s1 ^ t2;
    s[0] = s0 ^ t3;
    s[2] = t2 ^ (s1 << 9);
    s[3] = rotateLeft(t3, 11);
    return result;
  }

  /** Returns 53 random bits: a uniform number in [0, 1), as a fraction of 2^53. */
  fraction(): number {
    const high = this.next() >>> 5;
    const low = this.next() >>> 6;
    return high * 2 ** 26 + low;
  }
}

function rotateLeft(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}

/**
 * From texts to their numbers, as a Map would have it, and from parts of a text without making strings of them: a list of
 * 280,000 merges names 840,000 texts. Open addressing over typed arrays.
 */

/** Nobody who writes a file can know which texts share a slot. */
const seed = (Math.random() * 2 ** 32) | 0;

const MULTIPLIER = 0x9e3779b1; // near 2^32 / golden ratio

export class TextIndex {
  /** Longest text in UTF-16 units. */
  readonly longest: number;
  /** Two numbers that have the same text. The lower one has it here. */
  readonly repeated: readonly [number, number] | undefined;
  readonly #texts: readonly string[];
  readonly #mask: number;
  /** Number of the text in each slot; -1 in free ones. */
  readonly #ids: Int32Array;
  readonly #hashes: Int32Array;

  /** @param texts By number. Empty ones are left out. */
  constructor(texts: readonly string[]) {
    const slots = 2 ** Math.ceil(Math.log2(Math.max(2 * texts.length, 16)));
    this.#texts = texts;
    this.#mask = slots - 1;
    this.#ids = new Int32Array(slots).fill(-1);
    this.#hashes = new Int32Array(slots);
    let longest = 0;
    let repeated: readonly [number, number] | undefined;
    for (let id = 0; id < texts.length; id++) {
      const text = texts[id] as string;
      if (text === "") continue;
      if (text.length > longest) longest = text.length;
      const hash = finished(hashOf(seed, text, 0, text.length));
      const slot = this.#probe(hash, text, 0, text.length, text.length);
      const known = this.#ids[slot] as number;
      if (known >= 0) repeated ??= [known, id];
      else this.#ids[slot] = id;
      this.#hashes[slot] = hash;
    }
    this.longest = longest;
    this.repeated = repeated;
  }

  /** Returns the number of the text; -1 if it is not there. */
  find(text: string): number {
    return this.#find(hashOf(seed, text, 0, text.length), text, 0, text.length, text.length);
  }

  /** Writes the numbers of what stands before and behind the unit at `gap`, and of both joined; -1 for what is not there. */
  findParts(text: string, gap: number, out: Int32Array): void {
    const { length } = text;
    const left = hashOf(seed, text, 0, gap);
    out[0] = this.#find(left, text, 0, gap, gap);
    out[1] = this.#find(hashOf(seed, text, gap + 1, length), text, gap + 1, length, length);
    out[2] = this.#find(hashOf(left, text, gap + 1, length), text, 0, length, gap);
  }

  #find(hash: number, text: string, start: number, end: number, gap: number): number {
    return this.#ids[this.#probe(finished(hash), text, start, end, gap)] as number;
  }

  /** The slot of text[start, end) without the unit at `gap`, or the free one that it would go to. */
  #probe(hash: number, text: string, start: number, end: number, gap: number): number {
    let slot = hash & this.#mask;
    for (;;) {
      const id = this.#ids[slot] as number;
      if (id < 0 || (this.#hashes[slot] === hash && isText(this.#texts[id] as string, text, start, end, gap)))
        return slot;
      slot = (slot + 1) & this.#mask;
    }
  }
}

/** Goes on from a hash with more units. */
function hashOf(hash: number, text: string, start: number, end: number): number {
  for (let i = start; i < end; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), MULTIPLIER);
    hash ^= hash >>> 15;
  }
  return hash;
}

function finished(hash: number): number {
  hash = Math.imul(hash, 0x85ebca6b);
  return hash ^ (hash >>> 13);
}

function isText(known: string, text: string, start: number, end: number, gap: number): boolean {
  const length = end - start - (gap < end ? 1 : 0);
  if (known.length !== length) return false;
  for (let i = 0, at = start; i < length; i++, at++) {
    if (at === gap) at++;
    if (known.charCodeAt(i) !== text.charCodeAt(at)) return false;
  }
  return true;
}

/** Tokenizers in their plainest form, straight from the algorithms' descriptions, in cubic time. */

/**
 * SentencePiece BPE: repeatedly merges the leftmost of the neighbours whose joined text has the highest score.
 *
 * @param scores Score of each piece that text may become.
 * @returns Pieces; single characters that are no pieces too.
 */
export function mergeByScore(text: string, scores: ReadonlyMap<string, number>): string[] {
  const symbols = [...text];
  for (;;) {
    let best = -1;
    for (let i = 0; i + 1 < symbols.length; i++) {
      const score = scores.get(`${symbols[i]}${symbols[i + 1]}`);
      if (score === undefined) continue;
      if (best < 0 || score > (scores.get(`${symbols[best]}${symbols[best + 1]}`) ?? 0)) best = i;
    }
    if (best < 0) return symbols;
    symbols.splice(best, 2, `${symbols[best]}${symbols[best + 1]}`);
  }
}

/** Byte pair encoding: repeatedly merges the leftmost of the neighbours that come first in the list of merges. */
export function mergeByRank(symbols: readonly string[], merges: readonly string[]): string[] {
  const ranks = new Map(merges.map((merge, rank) => [merge, rank]));
  const out = [...symbols];
  for (;;) {
    let best = -1;
    let bestRank = Number.POSITIVE_INFINITY;
    for (let i = 0; i + 1 < out.length; i++) {
      const rank = ranks.get(`${out[i]} ${out[i + 1]}`) ?? Number.POSITIVE_INFINITY;
      if (rank < bestRank) {
        best = i;
        bestRank = rank;
      }
    }
    if (best < 0) return out;
    out.splice(best, 2, `${out[best]}${out[best + 1]}`);
  }
}

/** Learns `count` merges from words: each joins the pair that is most frequent so far (of equals the first seen). */
export function trainMerges(words: readonly (readonly string[])[], count: number): string[] {
  const corpus = words.map((word) => [...word]);
  const merges: string[] = [];
  while (merges.length < count) {
    const frequencies = new Map<string, number>();
    for (const word of corpus) {
      for (let i = 0; i + 1 < word.length; i++) {
        const pair = `${word[i]} ${word[i + 1]}`;
        frequencies.set(pair, (frequencies.get(pair) ?? 0) + 1);
      }
    }
    const [pair] = [...frequencies].reduce((most, entry) => (entry[1] > most[1] ? entry : most), ["", 1]);
    if (pair === "") break;
    merges.push(pair);
    corpus.forEach((word, i) => {
      corpus[i] = mergeByRank(word, [pair]);
    });
  }
  return merges;
}

/** The letter for each byte in byte-level BPE, from GPT-2's definition. */
export function gpt2Letters(): string[] {
  const printable: number[] = [];
  const add = (from: string, to: string): void => {
    for (let code = from.charCodeAt(0); code <= to.charCodeAt(0); code++) printable.push(code);
  };
  add("!", "~");
  add("¡", "¬");
  add("®", "ÿ");
  const letters = new Array<string>(256);
  let extra = 0;
  for (let byte = 0; byte < 256; byte++) {
    letters[byte] = String.fromCharCode(printable.includes(byte) ? byte : 256 + extra++);
  }
  return letters;
}

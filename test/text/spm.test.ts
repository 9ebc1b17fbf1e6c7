import { expect, test } from "bun:test";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { openGguf } from "../../src/gguf/index.ts";
import { createTokenizer, type Tokenizer, tokenizerFromMetadata, tokenTypes } from "../../src/text/index.ts";
import { awkwardStrings } from "../corpus/strings.ts";
import golden from "../golden.json" with { type: "json" };
import { mulberry32, randomInteger } from "../reference/random.ts";
import { mergeByScore } from "../reference/tokenizers.ts";

const file = openGguf(join(import.meta.dirname, "../../examples/models/austen-5m-q8_0.gguf"));
const austen = tokenizerFromMetadata(file.metadata);

/** What decode gives back: lone surrogates are replaced, and SentencePiece cannot tell U+2581 from a space. */
function expected(text: string): string {
  return text.toWellFormed().replaceAll("\u2581", " ");
}

test("encode() gives llama.cpp's ids for every golden prompt, with and without BOS", () => {
  for (const { text, ids, ids_bos } of golden.prompts) {
    expect(austen.encode(text)).toEqual(ids_bos);
    expect(austen.encode(text, { addBos: true })).toEqual(ids_bos);
    expect(austen.encode(text, { addBos: false })).toEqual(ids);
  }
});

test("decode() gives the golden prompts back, and llama.cpp's text for its continuations", () => {
  let continuations = 0;
  for (const { text, ids, ids_bos, runs } of golden.prompts) {
    expect(austen.decode(ids)).toBe(text);
    expect(austen.decode(ids_bos)).toBe(text);
    for (const run of Object.values(runs)) {
      if (!("greedy" in run) || run.greedy === undefined) continue;
      expect(austen.decode(run.greedy)).toBe(run.greedy_text);
      continuations++;
    }
  }
  expect(continuations).toBe(10);
});

test("decode() inverts encode() on awkward strings", () => {
  for (const text of awkwardStrings) {
    expect(austen.decode(austen.encode(text))).toBe(expected(text));
    expect(austen.decode(austen.encode(text, { addBos: false }))).toBe(expected(text));
    expect(austen.decode(austen.encode(text, { addBos: false }), { continued: true })).toBe(
      text === "" ? "" : ` ${expected(text)}`,
    );
  }
});

test("decode() inverts encode() on any string", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 60 }), (text) => {
      expect(austen.decode(austen.encode(text))).toBe(expected(text));
    }),
    { seed: 11, numRuns: 500 },
  );
});

test("encode() merges as the plain algorithm does, on the real vocabulary", () => {
  const tokens = file.getStrings("tokenizer.ggml.tokens");
  const scores = file.getNumbers("tokenizer.ggml.scores");
  const types = file.getNumbers("tokenizer.ggml.token_type");
  const pieces = new Map<string, number>();
  tokens.forEach((token, id) => {
    if (types[id] === tokenTypes.normal) pieces.set(token, scores[id] ?? 0);
  });
  for (const text of [...awkwardStrings, ...golden.prompts.map((prompt) => prompt.text)]) {
    if (text === "") continue;
    const marked = `▁${text.toWellFormed().replaceAll(" ", "▁")}`;
    const plain = mergeByScore(marked, pieces).flatMap((symbol) =>
      pieces.has(symbol) ? [symbol] : [...new TextEncoder().encode(symbol)].map(byteToken),
    );
    const ids = austen.encode(text, { addBos: false });
    expect(ids.map((id) => tokens[id])).toEqual(plain);
  }
});

test("encode() merges as the plain algorithm does, on random vocabularies full of ties", () => {
  for (let seed = 0; seed < 300; seed++) {
    const random = mulberry32(seed);
    const alphabet = ["a", "b", "▁", "é", "🙂"].slice(0, 2 + randomInteger(random, 4));
    const letters = (length: number): string =>
      Array.from({ length }, () => alphabet[randomInteger(random, alphabet.length)]).join("");
    const pieces = new Map<string, number>();
    // Not every letter is a piece, and a piece need not be made of pieces.
    for (const letter of alphabet) if (random() < 0.8) pieces.set(letter, -randomInteger(random, 3));
    for (let i = 0; i < 20; i++) pieces.set(letters(2 + randomInteger(random, 4)), -randomInteger(random, 4));
    const tokenizer = sentencePiece([...pieces], { addSpacePrefix: false });
    for (let i = 0; i < 10; i++) {
      const text = letters(randomInteger(random, 40)).replaceAll("▁", " ");
      const plain = mergeByScore(text.replaceAll(" ", "▁"), pieces).flatMap((symbol) => {
        const piece = [...pieces.keys()].indexOf(symbol);
        return piece >= 0 ? [piece + 259] : [...new TextEncoder().encode(symbol)].map((byte) => byte + 3);
      });
      const ids = tokenizer.encode(text, { addBos: false });
      if (!isDeepStrictEqual(ids, plain))
        throw new Error(`Seed ${seed}: ${JSON.stringify(text)} gave ${ids}, not ${plain}`);
      // Where the space's mark is no piece, its bytes are written, and stay a mark.
      if (pieces.has("▁")) expect(tokenizer.decode(ids)).toBe(text);
    }
  }
});

test("encode() stays fast where the plain algorithm is quadratic", () => {
  // Quadratic or worse would take minutes here, and the runner stops a test after seconds.
  const prose = golden.prompts.map(({ text }) => text).join(" ");
  for (const text of [prose.repeat(600), "a".repeat(300_000), " ".repeat(300_000), "🙂".repeat(50_000)]) {
    expect(austen.decode(austen.encode(text))).toBe(text);
  }
});

test("encode() finds control tokens only with parseSpecial, and puts a space after them", () => {
  const text = "a</s>b <s>";
  const ids = austen.encode(text, { parseSpecial: true, addBos: false });
  const a = austen.encode("a", { addBos: false });
  const b = austen.encode("b ", { addBos: false });
  expect(ids).toEqual([...a, 2, ...b, 1]);
  const plain = austen.encode(text, { addBos: false });
  expect(plain).not.toContain(1);
  expect(plain).not.toContain(2);
  expect(austen.decode(plain)).toBe(text);
  expect(austen.decode(ids, { special: true })).toBe("a</s> b <s>");
});

test("encode() never makes control or byte tokens out of text, even if pieces add up to them", () => {
  const tokenizer = sentencePiece([
    ["</", 5],
    ["s>", 5],
    ["<0x", 5],
    ["41>", 5],
    ["▁", 0],
    ["<", 0],
    ["/", 0],
    ["s", 0],
    [">", 0],
  ]);
  const ids = tokenizer.encode("</s><s><0x41>", { addBos: false });
  expect(ids).not.toContain(1);
  expect(ids).not.toContain(2);
  expect(ids).not.toContain(0x41 + 3);
  expect(tokenizer.decode(ids)).toBe("</s><s><0x41>");
});

test("encode() always finds user-defined tokens, the longest first", () => {
  const normal: [string, number][] = [..."ab<>x"].map((letter) => [letter, 0]);
  const tokenizer = sentencePiece(normal, { addSpacePrefix: false }, ["<x>", "<x><x>", "x><"]);
  const [x, xx] = [264, 265];
  expect(tokenizer.encode("a<x>b", { addBos: false })).toEqual([259, x, 260]);
  expect(tokenizer.encode("<x><x><x>", { addBos: false })).toEqual([xx, x]);
  expect(tokenizer.decode([xx, x, 259])).toBe("<x><x><x>a");
});

test("encode() adds EOS where the vocabulary or the caller asks for it", () => {
  const tokenizer = sentencePiece([["a", 0]], { addEos: true, addBos: false, addSpacePrefix: false });
  expect(tokenizer.encode("a")).toEqual([259, 2]);
  expect(tokenizer.encode("a", { addEos: false, addBos: true })).toEqual([1, 259]);
  expect(austen.encode("", { addEos: true })).toEqual([1, 2]);
  expect(tokenizer.addBos).toBe(false);
  expect(austen).toMatchObject({ addBos: true, bos: 1, eos: 2, vocabSize: 4096 });
});

test("isEndOfGeneration() knows EOS and, by its text, the end of a turn", () => {
  expect(austen.isEndOfGeneration(2)).toBe(true);
  expect(austen.isEndOfGeneration(1)).toBe(false);
  expect(austen.isEndOfGeneration(-1)).toBe(false);
  const chat = sentencePiece([
    ["<|im_end|>", 0],
    ["a", 0],
  ]);
  expect(chat.isEndOfGeneration(259)).toBe(true);
  expect(chat.isEndOfGeneration(260)).toBe(false);
  // Control tokens have no text, also those that the file calls normal.
  expect(chat.decode([260, 259])).toBe("a");
});

test("pieceBytes() gives the bytes of a byte token and of text, and none for control tokens", () => {
  expect(austen.pieceBytes(0xc3 + 3)).toEqual(Uint8Array.of(0xc3));
  expect(new TextDecoder().decode(austen.pieceBytes(672))).toMatch(/^ /);
  expect(austen.pieceBytes(1)).toHaveLength(0);
  for (const id of [-1, 4096, 0.5, Number.NaN]) expect(() => austen.pieceBytes(id)).toThrow(RangeError);
});

function byteToken(byte: number): string {
  return `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
}

/** Tokens 0 to 258 are <unk>, <s>, </s> and the bytes; then come the pieces, then the user-defined tokens. */
function sentencePiece(
  pieces: readonly (readonly [string, number])[],
  flags: { addSpacePrefix?: boolean; addEos?: boolean; addBos?: boolean } = {},
  userDefined: readonly string[] = [],
): Tokenizer {
  const { unknown, control, byte, normal } = tokenTypes;
  const bytes = Array.from({ length: 256 }, (_, value) => byteToken(value));
  return createTokenizer({
    model: "llama",
    tokens: ["<unk>", "<s>", "</s>", ...bytes, ...pieces.map(([text]) => text), ...userDefined],
    scores: [
      0,
      0,
      0,
      ...bytes.map(() => 0),
      ...pieces.map(([, score]) => score),
      ...userDefined.map(() => 0),
    ],
    types: [
      ...[unknown, control, control],
      ...bytes.map(() => byte),
      ...pieces.map(() => normal),
      ...userDefined.map(() => tokenTypes.userDefined),
    ],
    bos: 1,
    eos: 2,
    unknown: 0,
    ...flags,
  });
}

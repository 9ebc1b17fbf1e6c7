/** A tokenizer as plain tables: all that another program needs to turn text into the same tokens and back. */
import { alphabetLetters, type ExpressionName } from "./expressions.ts";
import type { SpecialToken } from "./tokens.ts";

/** What SentencePiece needs. */
export interface SentencePieceTables {
  readonly algorithm: "sentencepiece";
  /** By token: UTF-8 of the text that may become it; empty where none may. */
  readonly keys: readonly Uint8Array[];
  /** By token. */
  readonly scores: Float32Array;
  /** Tokens of the 256 bytes; -1 where text with that byte cannot be written. */
  readonly bytes: Int32Array;
  /** Whether text gets a space at the start and after special tokens. */
  readonly addSpacePrefix: boolean;
}

/** What byte-level BPE needs. Symbols below the number of tokens are tokens. */
export interface BytePairTables {
  readonly algorithm: "bytePair";
  /** By token: the bytes of a word that may become it; empty where none may. */
  readonly keys: readonly Uint8Array[];
  /** Symbols of the 256 bytes. */
  readonly bytes: Int32Array;
  /** Left, right and merged symbol of each merge, in order of rank. */
  readonly merges: Int32Array;
  /** The tokens that stand for each symbol that is no token. */
  readonly extraSymbols: readonly (readonly number[])[];
  /** How text is cut into words. */
  readonly expressions: readonly ExpressionName[];
  /** Whether a word that is a token as a whole becomes that token without merging. */
  readonly ignoresMerges: boolean;
}

export type AlgorithmTables = SentencePieceTables | BytePairTables;

/** What every tokenizer has. */
export interface CommonTables {
  /** By token: the bytes that it adds to a text. */
  readonly pieces: readonly Uint8Array[];
  /** Tokens that are cut out of text before all else, in this order. */
  readonly special: readonly SpecialToken[];
  readonly endOfGeneration: readonly number[];
  readonly bos: number | undefined;
  readonly eos: number | undefined;
  readonly addBos: boolean;
  readonly addEos: boolean;
}

export type TokenizerTables = CommonTables & AlgorithmTables;

/** Bits of `CharacterRange.classes`. */
export const characterClasses = {
  letter: 1,
  number: 2,
  whiteSpace: 4,
  punctuation: 8,
  mark: 16,
  symbol: 32,
  alphabetLetter: 64,
} as const;

/** Characters from `first` to the next range's first, which belong to the same classes. */
export interface CharacterRange {
  readonly first: number;
  readonly classes: number;
}

/** Unicode's classes that the expressions ask for, as this runtime knows them: ranges in order, the first from 0. */
export function characterRanges(): CharacterRange[] {
  const tests = [
    [/\p{L}/u, characterClasses.letter],
    [/\p{N}/u, characterClasses.number],
    [/\p{White_Space}/u, characterClasses.whiteSpace],
    [/\p{P}/u, characterClasses.punctuation],
    [/\p{M}/u, characterClasses.mark],
    [/\p{S}/u, characterClasses.symbol],
    [new RegExp(alphabetLetters, "u"), characterClasses.alphabetLetter],
  ] as const;
  const ranges: CharacterRange[] = [];
  for (let first = 0; first <= 0x10ffff; first++) {
    const character = String.fromCodePoint(first);
    let classes = 0;
    for (const [expression, bit] of tests) if (expression.test(character)) classes |= bit;
    if (ranges.at(-1)?.classes !== classes) ranges.push({ first, classes });
  }
  return ranges;
}

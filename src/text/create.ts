import { BytePairTokenizer } from "./bpe.ts";
import { SentencePieceTokenizer } from "./spm.ts";
import type { TokenizerTables } from "./tables.ts";
import { BaseTokenizer, type Tokenizer } from "./tokenizer.ts";
import { type Vocabulary, vocabularyFromMetadata } from "./vocabulary.ts";

/**
 * Makes the tokenizer that a vocabulary asks for.
 *
 * @throws {RangeError} If its model or pre-tokenizer is unknown, or it contradicts itself.
 */
export function createTokenizer(vocabulary: Vocabulary): Tokenizer {
  switch (vocabulary.model) {
    case "llama":
      return new SentencePieceTokenizer(vocabulary);
    case "gpt2":
      return new BytePairTokenizer(vocabulary);
    default: {
      const model = JSON.stringify(vocabulary.model.slice(0, 80));
      const known = '"llama" (SentencePiece) and "gpt2" (byte-level BPE)';
      throw new RangeError(`Cannot make a tokenizer: the model ${model} is unknown; known are ${known}`);
    }
  }
}

/**
 * Makes the tokenizer that a GGUF file's metadata describe.
 *
 * @param metadata Values by key; `GgufFile.metadata` is one.
 * @throws {TypeError} If a value is missing or of the wrong kind.
 * @throws {RangeError} As `createTokenizer`.
 */
export function tokenizerFromMetadata(metadata: ReadonlyMap<string, unknown>): Tokenizer {
  return createTokenizer(vocabularyFromMetadata(metadata));
}

/**
 * Returns what a tokenizer knows, as plain tables.
 *
 * @throws {TypeError} If it is not one of this library's.
 * @throws {RangeError} If a token's text is not what its type asks for.
 */
export function tokenizerTables(tokenizer: Tokenizer): TokenizerTables {
  if (tokenizer instanceof BaseTokenizer) return tokenizer.tables();
  throw new TypeError("Cannot make tables of a tokenizer that createTokenizer did not make");
}

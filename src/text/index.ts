export { createTokenizer, tokenizerFromMetadata } from "./create.ts";
export { StopMatcher, type StopResult } from "./stop.ts";
export type { StreamDecoder } from "./stream.ts";
export type { DecodeOptions, EncodeOptions, Tokenizer } from "./tokenizer.ts";
export { type TokenTypes, tokenTypes, type Vocabulary, vocabularyFromMetadata } from "./vocabulary.ts";

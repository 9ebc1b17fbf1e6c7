export type { ChatMessage, ChatOptions } from "./chat.ts";
export { createTokenizer, tokenizerFromMetadata, tokenizerTables } from "./create.ts";
export { ChatTemplateError } from "./jinja.ts";
export { StopMatcher, type StopResult } from "./stop.ts";
export type { StreamDecoder } from "./stream.ts";
export { type CharacterRange, characterRanges, type TokenizerTables } from "./tables.ts";
export type { DecodeOptions, EncodeOptions, Tokenizer } from "./tokenizer.ts";
export { type TokenTypes, tokenTypes, type Vocabulary, vocabularyFromMetadata } from "./vocabulary.ts";

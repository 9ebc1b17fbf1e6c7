/*
 * tokenizer.h: text to tokens, and tokens to bytes: the algorithms of src/text over the tables that the exporter made
 * of them. A tokenizer does not change once it is made; any thread may use it.
 */
#ifndef MODEL_TOKENIZER_H
#define MODEL_TOKENIZER_H

#include "bun_metal.h"
#include "format.h"
#include "reader.h"
#include "tables.h"

enum { MostExpressions = 8, AsciiCharacters = 128 };

typedef struct Tokenizer {
  uint32_t algorithm; /* PLAN_TOKENIZER_... */
  bool addsBegin, addsEnd, hasSpacePrefix, ignoresMerges;
  uint32_t begin, end; /* tokens, or PLAN_NONE */
  uint32_t count;      /* of tokens */

  /* All of these lie in the plan's bytes, which outlive the tokenizer. */
  const uint8_t *pool;
  const uint32_t *pieceOffsets;
  const float *scores;      /* SentencePiece */
  const uint32_t *bytes;    /* token or symbol of each byte */
  const uint32_t *specials; /* token, PLAN_SPECIAL_* */
  const uint32_t *specialOffsets;
  const uint32_t *extraOffsets, *extraTokens;
  const uint32_t *expressions, *ranges;
  uint32_t specialCount, extraCount, expressionCount, rangeCount;

  KeyTable keys;
  PairTable merges;
  uint8_t *endsGeneration; /* by token */
  uint8_t asciiClasses[AsciiCharacters];
} Tokenizer;

/** Tokens of a text, in order. The owner frees `ids`. */
typedef struct TokenList {
  uint32_t *ids;
  uint32_t count, capacity;
} TokenList;

/** Adds a token. False, with the error set, where there is no memory. */
bool bridgeTokenListAdd(TokenList *list, uint32_t token);

/** Reads the tokenizer of a plan with `vocabulary` tokens (tokenizer_load.c). On failure nothing is left to free. */
bm_status bridgeTokenizerLoad(Tokenizer *tokenizer, Reader section, uint32_t vocabulary);
void bridgeTokenizerFree(Tokenizer *tokenizer);

typedef struct EncodeOptions {
  bool addsBegin, addsEnd;
  bool parsesControl; /* whether texts of control tokens become these tokens */
} EncodeOptions;

/** Appends the tokens of UTF-8 text. */
bm_status bridgeTokenizerEncode(const Tokenizer *tokenizer, const uint8_t *text, size_t length, EncodeOptions options,
                                TokenList *out);

/** The bytes that a token adds to a text; `token` is below the count. */
static inline const uint8_t *tokenizerPiece(const Tokenizer *tokenizer, uint32_t token, uint32_t *length) {
  uint32_t start = tokenizer->pieceOffsets[token];
  *length = tokenizer->pieceOffsets[token + 1] - start;
  return tokenizer->pool + start;
}

/* ---- what the files of the tokenizer share ----------------------------------------------------------------------- */

/** Append the tokens of text without special tokens: tokenizer_spm.c and tokenizer_bpe.c. */
bm_status bridgeSentencePieceEncode(const Tokenizer *tokenizer, const uint8_t *text, size_t length, bool isFirst,
                                    TokenList *out);
bm_status bridgeBytePairEncode(const Tokenizer *tokenizer, const uint8_t *text, size_t length, TokenList *out);

/** Calls `take` with each word of a text, in order, until it fails (pre_tokenizer.c). */
typedef bm_status (*TakeWord)(void *context, const uint8_t *word, size_t length);
bm_status bridgeSplitIntoWords(const Tokenizer *tokenizer, const uint8_t *text, size_t length, TakeWord take,
                               void *context);

#endif

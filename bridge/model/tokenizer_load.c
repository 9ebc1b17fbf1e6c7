/* tokenizer_load.c: the tokenizer section of a plan, checked: whatever a table refers to is there. */
#include "tokenizer.h"

#include "error.h"

#include <math.h>
#include <stdlib.h>

static bm_status refuse(const char *what) {
  return bridgeFail(BM_ERROR_ARGUMENT, "The plan's tokenizer is damaged: %s; export the model again", what);
}

/* How many of each thing there are. */
typedef struct Counts {
  uint32_t tokens, specials, ends, merges, extra, expressions, ranges;
} Counts;

/* Whether offsets rise and stay inside of `limit`. */
static bool offsetsFit(const uint32_t *offsets, uint64_t count, uint64_t limit) {
  for (uint64_t i = 0; i < count; i++)
    if (offsets[i] > offsets[i + 1]) return false;
  return offsets[count] <= limit;
}

/* Whether every `step`th number is below `limit`, or `orElse`. */
static bool areBelow(const uint32_t *numbers, uint64_t count, uint32_t step, uint32_t limit, uint32_t orElse) {
  for (uint64_t i = 0; i < count; i++)
    if (numbers[i * step] >= limit && numbers[i * step] != orElse) return false;
  return true;
}

static bm_status readHead(Tokenizer *tokenizer, Reader *reader, Counts *counts) {
  tokenizer->algorithm = readWord(reader);
  uint32_t flags = readWord(reader);
  tokenizer->addsBegin = flags & PLAN_TOKENIZER_ADDS_BEGIN;
  tokenizer->addsEnd = flags & PLAN_TOKENIZER_ADDS_END;
  tokenizer->hasSpacePrefix = flags & PLAN_TOKENIZER_SPACE_PREFIX;
  tokenizer->ignoresMerges = flags & PLAN_TOKENIZER_IGNORES_MERGES;
  tokenizer->begin = readWord(reader);
  tokenizer->end = readWord(reader);
  *counts = (Counts){.tokens = readWord(reader)};
  counts->specials = readWord(reader);
  counts->ends = readWord(reader);
  counts->merges = readWord(reader);
  counts->extra = readWord(reader);
  counts->expressions = readWord(reader);
  counts->ranges = readWord(reader);
  if (reader->isShort) return refuse("it is too short");
  if (tokenizer->algorithm != PLAN_TOKENIZER_SENTENCEPIECE && tokenizer->algorithm != PLAN_TOKENIZER_BYTE_PAIR)
    return refuse("its algorithm is unknown");
  if (counts->expressions > MostExpressions) return refuse("it has too many expressions");
  if ((tokenizer->begin >= counts->tokens && (tokenizer->begin != PLAN_NONE || tokenizer->addsBegin)) ||
      (tokenizer->end >= counts->tokens && (tokenizer->end != PLAN_NONE || tokenizer->addsEnd)))
    return refuse("its begin or end token does not exist");
  return BM_OK;
}

/* Reads all tables; the section may be shorter, and then pointers are NULL and `isShort` is set. */
static void readTables(Tokenizer *tokenizer, Reader *reader, const Counts *counts, const uint32_t **keyOffsets,
                       const uint32_t **ends, const uint32_t **merges) {
  tokenizer->pieceOffsets = readWords(reader, (uint64_t)counts->tokens + 1);
  *keyOffsets = readWords(reader, (uint64_t)counts->tokens + 1);
  if (tokenizer->algorithm == PLAN_TOKENIZER_SENTENCEPIECE)
    tokenizer->scores = (const float *)(const void *)readWords(reader, counts->tokens);
  tokenizer->bytes = readWords(reader, 256);
  tokenizer->specials = readWords(reader, (uint64_t)counts->specials * 2);
  tokenizer->specialOffsets = readWords(reader, (uint64_t)counts->specials + 1);
  *ends = readWords(reader, counts->ends);
  *merges = readWords(reader, (uint64_t)counts->merges * 3);
  tokenizer->extraOffsets = readWords(reader, (uint64_t)counts->extra + 1);
  tokenizer->extraTokens = readWords(reader, reader->isShort ? 0 : tokenizer->extraOffsets[counts->extra]);
  tokenizer->expressions = readWords(reader, counts->expressions);
  tokenizer->ranges = readWords(reader, counts->ranges);
  tokenizer->pool = reader->bytes + reader->position;
}

static bm_status checkTables(const Tokenizer *tokenizer, uint64_t poolLength, const Counts *counts,
                             const uint32_t *keyOffsets, const uint32_t *ends, const uint32_t *merges) {
  uint32_t tokens = counts->tokens, symbols = tokens + counts->extra;
  bool isBytePair = tokenizer->algorithm == PLAN_TOKENIZER_BYTE_PAIR;
  if (!offsetsFit(tokenizer->pieceOffsets, tokens, poolLength) || !offsetsFit(keyOffsets, tokens, poolLength) ||
      !offsetsFit(tokenizer->specialOffsets, counts->specials, poolLength) ||
      !offsetsFit(tokenizer->extraOffsets, counts->extra, UINT32_MAX))
    return refuse("its texts lie outside of it");
  if (!areBelow(tokenizer->bytes, 256, 1, isBytePair ? symbols : tokens, isBytePair ? 0 : PLAN_NONE) ||
      !areBelow(tokenizer->specials, counts->specials, 2, tokens, 0) || !areBelow(ends, counts->ends, 1, tokens, 0) ||
      !areBelow(merges, (uint64_t)counts->merges * 3, 1, symbols, 0) ||
      !areBelow(tokenizer->extraTokens, tokenizer->extraOffsets[counts->extra], 1, tokens, 0))
    return refuse("it names tokens that it does not have");
  for (uint32_t i = 0; i < counts->specials; i++)
    if (tokenizer->specialOffsets[i] == tokenizer->specialOffsets[i + 1]) return refuse("a special token has no text");
  for (uint32_t i = 0; tokenizer->scores && i < tokens; i++)
    if (isnan(tokenizer->scores[i])) return refuse("a score is not a number");
  for (uint32_t i = 0; i < counts->expressions; i++)
    if (tokenizer->expressions[i] < 1 || tokenizer->expressions[i] > PLAN_EXPRESSION_LAST)
      return refuse("an expression is unknown");
  if (isBytePair && (counts->ranges == 0 || (tokenizer->ranges[0] & 0xFFFFFF) != 0))
    return refuse("its classes of characters do not begin at the first");
  return BM_OK;
}

static void fillAsciiClasses(Tokenizer *tokenizer) {
  uint32_t range = 0;
  for (uint32_t character = 0; tokenizer->rangeCount > 0 && character < AsciiCharacters; character++) {
    while (range + 1 < tokenizer->rangeCount && (tokenizer->ranges[range + 1] & 0xFFFFFF) <= character) range++;
    tokenizer->asciiClasses[character] = (uint8_t)(tokenizer->ranges[range] >> 24);
  }
}

static bm_status load(Tokenizer *tokenizer, Reader *reader, uint32_t vocabulary) {
  Counts counts;
  if (readHead(tokenizer, reader, &counts) != BM_OK) return bm_error_code();
  if (counts.tokens != vocabulary || counts.extra > reader->length)
    return refuse("its number of tokens is not the model's");
  const uint32_t *keyOffsets, *ends, *merges;
  readTables(tokenizer, reader, &counts, &keyOffsets, &ends, &merges);
  if (reader->isShort) return refuse("it ends within its tables");
  if (checkTables(tokenizer, readerLeft(reader), &counts, keyOffsets, ends, merges) != BM_OK) return bm_error_code();
  tokenizer->count = counts.tokens;
  tokenizer->specialCount = counts.specials;
  tokenizer->extraCount = counts.extra;
  tokenizer->expressionCount = counts.expressions;
  tokenizer->rangeCount = counts.ranges;
  fillAsciiClasses(tokenizer);
  tokenizer->endsGeneration = calloc(counts.tokens, 1);
  if (!tokenizer->endsGeneration || !bridgeKeyTableMake(&tokenizer->keys, tokenizer->pool, keyOffsets, counts.tokens) ||
      !bridgePairTableMake(&tokenizer->merges, merges, counts.merges))
    return bridgeFail(BM_ERROR_MEMORY, "There is no memory left for a tokenizer of \"%u\" tokens", counts.tokens);
  for (uint32_t i = 0; i < counts.ends; i++) tokenizer->endsGeneration[ends[i]] = 1;
  return BM_OK;
}

bm_status bridgeTokenizerLoad(Tokenizer *tokenizer, Reader section, uint32_t vocabulary) {
  *tokenizer = (Tokenizer){0};
  bm_status status = load(tokenizer, &section, vocabulary);
  if (status != BM_OK) bridgeTokenizerFree(tokenizer);
  return status;
}

void bridgeTokenizerFree(Tokenizer *tokenizer) {
  free(tokenizer->endsGeneration);
  free(tokenizer->keys.slots);
  free(tokenizer->merges.slots);
  *tokenizer = (Tokenizer){0};
}

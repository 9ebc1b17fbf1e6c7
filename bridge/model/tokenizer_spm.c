/* tokenizer_spm.c: SentencePiece's BPE, as src/text/spm.ts, over bytes instead of UTF-16 units. */
#include "tokenizer.h"

#include "error.h"
#include "merge_queue.h"
#include "utf8.h"

#include <stdlib.h>
#include <string.h>

/* U+2581, as which SentencePiece writes spaces. */
static const uint8_t spaceMark[] = {0xE2, 0x96, 0x81};

/* The symbols of a text: at each byte where one starts its length, else 0; and where the one before it starts. */
typedef struct Symbols {
  const Tokenizer *tokenizer;
  uint8_t *text;
  uint32_t length;
  uint32_t *lengths, *previous;
  MergeQueue queue;
} Symbols;

enum { NoPrevious = UINT32_MAX };

/* The text with marks for spaces. False where there is no memory. */
static bool markSpaces(Symbols *symbols, const uint8_t *text, size_t length, bool hasPrefix) {
  size_t marks = hasPrefix ? 1 : 0;
  for (size_t i = 0; i < length; i++) marks += text[i] == ' ';
  uint8_t *out = symbols->text = malloc(length + marks * sizeof spaceMark + 1);
  if (!out) return false;
  if (hasPrefix) out = (uint8_t *)memcpy(out, spaceMark, sizeof spaceMark) + sizeof spaceMark;
  for (size_t i = 0; i < length; i++) {
    if (text[i] == ' ')
      out = (uint8_t *)memcpy(out, spaceMark, sizeof spaceMark) + sizeof spaceMark;
    else
      *out++ = text[i];
  }
  symbols->length = (uint32_t)(out - symbols->text);
  return true;
}

/* Queues the merge of the symbol at `left` and its right neighbour, where the two are a token. */
static bool consider(Symbols *symbols, uint32_t left) {
  uint32_t right = left + symbols->lengths[left];
  if (right >= symbols->length) return true;
  uint32_t length = right + symbols->lengths[right] - left;
  int32_t token = bridgeKeyTableFind(&symbols->tokenizer->keys, symbols->text + left, length);
  if (token == NoToken) return true;
  return bridgeMergeQueuePush(&symbols->queue, (Merge){-(double)symbols->tokenizer->scores[token], left, length});
}

static bool mergeAll(Symbols *symbols) {
  for (uint32_t at = 0, before = NoPrevious; at < symbols->length; at += symbols->lengths[at]) {
    symbols->lengths[at] = (uint32_t)utf8Length(symbols->text[at]);
    symbols->previous[at] = before;
    before = at;
  }
  for (uint32_t at = 0; at < symbols->length; at += symbols->lengths[at])
    if (!consider(symbols, at)) return false;
  for (Merge merge; bridgeMergeQueuePop(&symbols->queue, &merge);) {
    uint32_t left = merge.left, right = left + symbols->lengths[left];
    // Out of date if either symbol has since become part of, or grown into, another.
    if (symbols->lengths[left] == 0 || right >= symbols->length) continue;
    if (right + symbols->lengths[right] - left != merge.tag) continue;
    symbols->lengths[left] = merge.tag;
    symbols->lengths[right] = 0;
    uint32_t next = left + merge.tag;
    if (next < symbols->length) symbols->previous[next] = left;
    if (symbols->previous[left] != NoPrevious && !consider(symbols, symbols->previous[left])) return false;
    if (!consider(symbols, left)) return false;
  }
  return true;
}

static bm_status emit(const Symbols *symbols, TokenList *out) {
  const Tokenizer *tokenizer = symbols->tokenizer;
  for (uint32_t at = 0; at < symbols->length; at += symbols->lengths[at]) {
    const uint8_t *symbol = symbols->text + at;
    int32_t token = bridgeKeyTableFind(&tokenizer->keys, symbol, symbols->lengths[at]);
    if (token != NoToken) {
      if (!bridgeTokenListAdd(out, (uint32_t)token)) return bm_error_code();
      continue;
    }
    for (uint32_t i = 0; i < symbols->lengths[at]; i++) {
      uint32_t byte = tokenizer->bytes[symbol[i]];
      if (byte == PLAN_NONE)
        return bridgeFail(BM_ERROR_ARGUMENT,
                          "The byte \"0x%02x\" cannot be written: the vocabulary has no token for it and none for "
                          "unknown text",
                          symbol[i]);
      if (!bridgeTokenListAdd(out, byte)) return bm_error_code();
    }
  }
  return BM_OK;
}

bm_status bridgeSentencePieceEncode(const Tokenizer *tokenizer, const uint8_t *text, size_t length, bool isFirst,
                                    TokenList *out) {
  Symbols symbols = {.tokenizer = tokenizer};
  bm_status status = BM_ERROR_MEMORY;
  // A mark is three times as long as a space.
  if (length < UINT32_MAX / 4 && markSpaces(&symbols, text, length, isFirst && tokenizer->hasSpacePrefix)) {
    symbols.lengths = calloc(symbols.length, sizeof *symbols.lengths);
    symbols.previous = malloc(symbols.length * sizeof *symbols.previous);
    if (symbols.lengths && symbols.previous && mergeAll(&symbols)) status = BM_OK;
  }
  if (status == BM_OK)
    status = emit(&symbols, out);
  else
    bridgeFail(status, "There is no memory left to read a text of \"%zu\" bytes", length);
  bridgeMergeQueueFree(&symbols.queue);
  free(symbols.previous);
  free(symbols.lengths);
  free(symbols.text);
  return status;
}

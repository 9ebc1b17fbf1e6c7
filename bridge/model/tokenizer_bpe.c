/* tokenizer_bpe.c: byte-level byte pair encoding, as src/text/bpe.ts. */
#include "tokenizer.h"

#include "error.h"
#include "merge_queue.h"

#include <stdlib.h>

enum { Gone = UINT32_MAX, NoPrevious = UINT32_MAX };

/* The symbols of a word: a linked list over its bytes. The arrays serve word after word. */
typedef struct Word {
  const Tokenizer *tokenizer;
  TokenList *out;
  uint32_t *symbols, *next, *previous;
  size_t capacity;
  uint32_t length;
  MergeQueue queue;
} Word;

static bool reserve(Word *word, size_t length) {
  if (length <= word->capacity) return true;
  size_t capacity = 2 * length;
  free(word->symbols);
  word->symbols = malloc(3 * capacity * sizeof *word->symbols);
  word->capacity = word->symbols ? capacity : 0;
  if (!word->symbols) return false;
  word->next = word->symbols + capacity;
  word->previous = word->next + capacity;
  return true;
}

static bool consider(Word *word, uint32_t left) {
  uint32_t right = word->next[left];
  if (right == word->length) return true;
  int32_t rank = bridgePairTableFind(&word->tokenizer->merges, word->symbols[left], word->symbols[right]);
  return rank == NoSlot || bridgeMergeQueuePush(&word->queue, (Merge){rank, left, (uint32_t)rank});
}

static bool mergeAll(Word *word) {
  const PairTable *merges = &word->tokenizer->merges;
  for (uint32_t i = 0; i < word->length; i++)
    if (!consider(word, i)) return false;
  for (Merge merge; bridgeMergeQueuePop(&word->queue, &merge);) {
    uint32_t left = merge.left, right = word->next[left];
    // Out of date if the left symbol is gone, or this pair is no longer what was queued.
    if (word->symbols[left] == Gone || right == word->length) continue;
    if (bridgePairTableFind(merges, word->symbols[left], word->symbols[right]) != (int32_t)merge.tag) continue;
    word->symbols[left] = merges->merges[3 * (uint64_t)merge.tag + 2];
    word->symbols[right] = Gone;
    uint32_t after = word->next[left] = word->next[right];
    if (after != word->length) word->previous[after] = left;
    if (word->previous[left] != NoPrevious && !consider(word, word->previous[left])) return false;
    if (!consider(word, left)) return false;
  }
  return true;
}

static bool emit(const Word *word, uint32_t symbol) {
  const Tokenizer *tokenizer = word->tokenizer;
  if (symbol < tokenizer->count) return bridgeTokenListAdd(word->out, symbol);
  uint32_t extra = symbol - tokenizer->count;
  for (uint32_t i = tokenizer->extraOffsets[extra]; i < tokenizer->extraOffsets[extra + 1]; i++)
    if (!bridgeTokenListAdd(word->out, tokenizer->extraTokens[i])) return false;
  return true;
}

static bm_status encodeWord(void *context, const uint8_t *bytes, size_t length) {
  Word *word = context;
  if (word->tokenizer->ignoresMerges) {
    int32_t token = bridgeKeyTableFind(&word->tokenizer->keys, bytes, length);
    if (token != NoToken) return bridgeTokenListAdd(word->out, (uint32_t)token) ? BM_OK : bm_error_code();
  }
  if (length >= UINT32_MAX / 2 || !reserve(word, length))
    return bridgeFail(BM_ERROR_MEMORY, "There is no memory left to read a word of \"%zu\" bytes", length);
  word->length = (uint32_t)length;
  word->queue.count = 0;
  for (uint32_t i = 0; i < word->length; i++) {
    word->symbols[i] = word->tokenizer->bytes[bytes[i]];
    word->next[i] = i + 1;
    word->previous[i] = i == 0 ? NoPrevious : i - 1;
  }
  if (!mergeAll(word))
    return bridgeFail(BM_ERROR_MEMORY, "There is no memory left to read a word of \"%zu\" bytes", length);
  for (uint32_t i = 0; i < word->length; i = word->next[i])
    if (!emit(word, word->symbols[i])) return bm_error_code();
  return BM_OK;
}

bm_status bridgeBytePairEncode(const Tokenizer *tokenizer, const uint8_t *text, size_t length, TokenList *out) {
  Word word = {.tokenizer = tokenizer, .out = out};
  bm_status status = bridgeSplitIntoWords(tokenizer, text, length, encodeWord, &word);
  bridgeMergeQueueFree(&word.queue);
  free(word.symbols);
  return status;
}

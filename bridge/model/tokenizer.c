#include "tokenizer.h"

#include "error.h"
#include "utf8.h"

#include <stdlib.h>
#include <string.h>

bool bridgeTokenListAdd(TokenList *list, uint32_t token) {
  if (list->count == list->capacity) {
    uint32_t capacity = list->capacity ? 2 * list->capacity : 256;
    uint32_t *larger = capacity > list->capacity ? realloc(list->ids, capacity * sizeof *larger) : NULL;
    if (!larger) {
      bridgeFail(BM_ERROR_MEMORY, "There is no memory left for \"%u\" tokens", list->count + 1);
      return false;
    }
    list->ids = larger;
    list->capacity = capacity;
  }
  list->ids[list->count++] = token;
  return true;
}

/*
 * A stretch of text, or a special token. Special tokens are cut out one after the other, each everywhere: so a longer
 * token wins over a shorter one that begins before it.
 */
typedef struct Part {
  size_t start, length;
  int64_t token; /* below 0 for text */
} Part;

typedef struct Parts {
  Part *items;
  size_t count, capacity;
} Parts;

static bool addPart(Parts *parts, Part part) {
  if (part.token < 0 && part.length == 0) return true;
  if (parts->count == parts->capacity) {
    size_t capacity = parts->capacity ? 2 * parts->capacity : 16;
    Part *larger = realloc(parts->items, capacity * sizeof *larger);
    if (!larger) return false;
    parts->items = larger;
    parts->capacity = capacity;
  }
  parts->items[parts->count++] = part;
  return true;
}

/* Where `needle`, which is not empty, is first found in [from, end) of a text; `end` where it is not. */
static size_t find(const uint8_t *text, size_t from, size_t end, const uint8_t *needle, size_t length) {
  while (end - from >= length) {
    const uint8_t *first = memchr(text + from, needle[0], end - from - length + 1);
    if (!first) return end;
    from = (size_t)(first - text);
    if (memcmp(first, needle, length) == 0) return from;
    from++;
  }
  return end;
}

/* A special token and its text. */
typedef struct Special {
  uint32_t token, flags;
  const uint8_t *text;
  size_t length;
} Special;

/* Where the text goes on after a special token that ends at `at`. */
static size_t after(const Special *special, const uint8_t *text, size_t at, size_t end) {
  while ((special->flags & PLAN_SPECIAL_STRIPS_AFTER) && at < end && (text[at] == ' ' || (text[at] >= '\t' && text[at] <= '\r')))
    at++;
  return at;
}

/* Cuts one special token out of all parts; false where there is no memory. */
static bool cutOut(const uint8_t *text, Parts *parts, const Special *special) {
  Parts cut = {0};
  for (size_t i = 0; i < parts->count; i++) {
    Part part = parts->items[i];
    size_t end = part.start + part.length;
    if (part.token < 0) {
      for (size_t at; (at = find(text, part.start, end, special->text, special->length)) < end;
           part.start = after(special, text, at + special->length, end))
        if (!addPart(&cut, (Part){part.start, at - part.start, -1}) ||
            !addPart(&cut, (Part){at, special->length, special->token}))
          goto failed;
      part.length = end - part.start;
    }
    if (!addPart(&cut, part)) goto failed;
  }
  free(parts->items);
  *parts = cut;
  return true;
failed:
  free(cut.items);
  return false;
}

static bool splitAtSpecials(const Tokenizer *tokenizer, const uint8_t *text, size_t length, bool parsesControl,
                            Parts *parts) {
  if (!addPart(parts, (Part){0, length, -1})) return false;
  for (uint32_t i = 0; i < tokenizer->specialCount; i++) {
    Special special = {tokenizer->specials[2 * i], tokenizer->specials[2 * i + 1],
                       tokenizer->pool + tokenizer->specialOffsets[i],
                       tokenizer->specialOffsets[i + 1] - tokenizer->specialOffsets[i]};
    // The whole text is asked first: one fast search for most tokens, however many parts there are already.
    if ((special.flags & PLAN_SPECIAL_CONTROL) && !parsesControl) continue;
    if (find(text, 0, length, special.text, special.length) == length) continue;
    if (!cutOut(text, parts, &special)) return false;
  }
  return true;
}

static bm_status encodeParts(const Tokenizer *tokenizer, const uint8_t *text, const Parts *parts, TokenList *out) {
  bool isFirst = true;
  for (size_t i = 0; i < parts->count; i++) {
    const Part *part = &parts->items[i];
    bool isText = part->token < 0;
    bm_status status = BM_OK;
    if (!isText)
      status = bridgeTokenListAdd(out, (uint32_t)part->token) ? BM_OK : bm_error_code();
    else if (tokenizer->algorithm == PLAN_TOKENIZER_SENTENCEPIECE)
      status = bridgeSentencePieceEncode(tokenizer, text + part->start, part->length, isFirst, out);
    else
      status = bridgeBytePairEncode(tokenizer, text + part->start, part->length, out);
    if (status != BM_OK) return status;
    isFirst = !isText;
  }
  return BM_OK;
}

bm_status bridgeTokenizerEncode(const Tokenizer *tokenizer, const uint8_t *text, size_t length, EncodeOptions options,
                                TokenList *out) {
  size_t fault = bridgeUtf8FirstFault(text, length);
  if (fault < length)
    return bridgeFail(BM_ERROR_ARGUMENT, "The text is not UTF-8: byte \"%zu\" of \"%zu\" cannot be there", fault,
                      length);
  if (options.addsBegin && !bridgeTokenListAdd(out, tokenizer->begin)) return bm_error_code();
  Parts parts = {0};
  bm_status status =
      splitAtSpecials(tokenizer, text, length, options.parsesControl, &parts)
          ? encodeParts(tokenizer, text, &parts, out)
          : bridgeFail(BM_ERROR_MEMORY, "There is no memory left to read a text of \"%zu\" bytes", length);
  free(parts.items);
  if (status != BM_OK) return status;
  return !options.addsEnd || bridgeTokenListAdd(out, tokenizer->end) ? BM_OK : bm_error_code();
}

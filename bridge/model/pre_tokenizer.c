/*
 * pre_tokenizer.c: the expressions of src/text/expressions.ts, matched by hand. In the comments L, N, S, P, M and Y are
 * Unicode's letters, numbers, white space, punctuation, marks and symbols, from the tables that the exporter made of
 * JavaScript's.
 */
#include "tokenizer.h"

#include "utf8.h"

#include <string.h>

/* Text in which matches are looked for: its end is the end of the text to them. */
typedef struct Scan {
  const Tokenizer *tokenizer;
  const uint8_t *text;
  size_t end;
} Scan;

enum {
  Letter = PLAN_CLASS_LETTER,
  Number = PLAN_CLASS_NUMBER,
  Space = PLAN_CLASS_WHITE_SPACE,
  Punctuation = PLAN_CLASS_PUNCTUATION,
  Mark = PLAN_CLASS_MARK,
  Symbol = PLAN_CLASS_SYMBOL
};

static uint8_t classesOf(const Tokenizer *tokenizer, uint32_t character) {
  if (character < AsciiCharacters) return tokenizer->asciiClasses[character];
  uint32_t low = 0, high = tokenizer->rangeCount - 1;
  while (low < high) {
    uint32_t middle = (low + high + 1) / 2;
    if ((tokenizer->ranges[middle] & 0xFFFFFF) <= character)
      low = middle;
    else
      high = middle - 1;
  }
  return (uint8_t)(tokenizer->ranges[low] >> 24);
}

/* The classes of the character at a place; 0xFF at the end, and then *length is 0. */
static uint8_t classesAt(const Scan *scan, size_t at, size_t *length) {
  *length = 0;
  if (at >= scan->end) return 0xFF;
  *length = utf8Length(scan->text[at]);
  return classesOf(scan->tokenizer, utf8Character(scan->text + at));
}

static uint8_t byteAt(const Scan *scan, size_t at) {
  return at < scan->end ? scan->text[at] : 0;
}

/* Where a run of characters ends that have one of the classes `some` and none of `not`; at most `most` of them. */
static size_t runOf(const Scan *scan, size_t at, uint8_t some, uint8_t not, uint32_t most) {
  size_t length;
  for (; most > 0; most--, at += length) {
    uint8_t classes = classesAt(scan, at, &length);
    if (length == 0 || (some && !(classes & some)) || (classes & not)) break;
  }
  return at;
}

static bool isOneOf(uint8_t byte, const char *letters) {
  return memchr(letters, byte, strlen(letters));
}

static uint8_t lower(uint8_t byte, bool ignoresCase) {
  return ignoresCase && byte >= 'A' && byte <= 'Z' ? byte + ('a' - 'A') : byte;
}

/* 's|'t|'re|'ve|'m|'ll|'d */
static size_t contraction(const Scan *scan, size_t at, bool ignoresCase) {
  if (byteAt(scan, at) != '\'') return 0;
  uint8_t first = lower(byteAt(scan, at + 1), ignoresCase), second = lower(byteAt(scan, at + 2), ignoresCase);
  if (isOneOf(first, "stmd")) return 2;
  bool isLonger = (isOneOf(first, "rv") && second == 'e') || (first == 'l' && second == 'l');
  return isLonger ? 3 : 0;
}

/* S+(?!\P{S})|S+ : white space, but its last character where text follows and there are more. */
static size_t whiteSpace(const Scan *scan, size_t at) {
  size_t end = runOf(scan, at, Space, 0, UINT32_MAX), last = at, length;
  if (end == at || end == scan->end) return end - at;
  for (size_t next = at; next < end; next += length) {
    classesAt(scan, next, &length);
    last = next;
  }
  return last > at ? last - at : end - at;
}

/* contraction| ?L+| ?N+| ?[^S L N]+|white space */
static size_t gpt2(const Scan *scan, size_t at) {
  size_t length = contraction(scan, at, false);
  if (length) return length;
  size_t start = byteAt(scan, at) == ' ' ? at + 1 : at, end;
  if ((end = runOf(scan, start, Letter, 0, UINT32_MAX)) > start) return end - at;
  if ((end = runOf(scan, start, Number, 0, UINT32_MAX)) > start) return end - at;
  if ((end = runOf(scan, start, 0, Space | Letter | Number, UINT32_MAX)) > start) return end - at;
  return whiteSpace(scan, at);
}

/* S*[\r\n]+ : white space up to its last line end; 0 where it has none. */
static size_t lineEnds(const Scan *scan, size_t at) {
  size_t end = runOf(scan, at, Space, 0, UINT32_MAX);
  while (end > at && !isOneOf(scan->text[end - 1], "\r\n")) end--;
  return end - at;
}

/* S*[\r\n]+|white space */
static size_t lineEndsOrSpace(const Scan *scan, size_t at) {
  size_t length = lineEnds(scan, at);
  return length ? length : whiteSpace(scan, at);
}

/* Where a run of these bytes ends. */
static size_t runOfBytes(const Scan *scan, size_t at, const char *bytes) {
  while (isOneOf(byteAt(scan, at), bytes)) at++;
  return at;
}

/* contraction|[^\r\n L N]?L+|N{1,digits}| ?[^S L N]+[after]*|S*[\r\n]+|white space */
static size_t llama3(const Scan *scan, size_t at, uint32_t digits, const char *after) {
  size_t length = contraction(scan, at, true);
  if (length) return length;
  size_t end, start = at;
  uint8_t classes = classesAt(scan, at, &length);
  if (!(classes & (Letter | Number)) && !isOneOf(scan->text[at], "\r\n")) start += length;
  if ((end = runOf(scan, start, Letter, 0, UINT32_MAX)) > start) return end - at;
  if ((end = runOf(scan, at, Number, 0, digits)) > at) return end - at;
  start = byteAt(scan, at) == ' ' ? at + 1 : at;
  if ((end = runOf(scan, start, 0, Space | Letter | Number, UINT32_MAX)) > start)
    return runOfBytes(scan, end, after) - at;
  return lineEndsOrSpace(scan, at);
}

/* Where a run of letters ends, A to Z (or a to z) not counted as letters. */
static size_t runOfCase(const Scan *scan, size_t at, char without) {
  size_t length;
  for (;; at += length) {
    if (!(classesAt(scan, at, &length) & Letter) || length == 0) return at;
    if (scan->text[at] >= without && scan->text[at] < without + 26) return at;
  }
}

/* C*s+|C+s*, where C are letters but a to z, and s are letters but A to Z; `at` where there is no match. */
static size_t casedWord(const Scan *scan, size_t at) {
  size_t capitals = runOfCase(scan, at, 'a');
  size_t end = runOfCase(scan, capitals, 'A');
  if (end > capitals) return end;
  // Capitals alone. Of those that count as both, the last one can be the s+.
  for (end = capitals; end > at && scan->text[end - 1] < AsciiCharacters;) end--;
  return end > at ? end : capitals;
}

/* [^\r\n L N]?(C*s+|C+s*)contraction?|N{1,digits}| ?[^S L N]+[\r\n/]*|S*[\r\n]+|white space */
static size_t cased(const Scan *scan, size_t at, uint32_t digits, bool takesContraction) {
  size_t length, end, start = at;
  uint8_t classes = classesAt(scan, at, &length);
  if (!(classes & (Letter | Number)) && !isOneOf(scan->text[at], "\r\n")) start += length;
  if ((end = casedWord(scan, start)) > start)
    return end + (takesContraction ? contraction(scan, end, true) : 0) - at;
  if ((end = runOf(scan, at, Number, 0, digits)) > at) return end - at;
  start = byteAt(scan, at) == ' ' ? at + 1 : at;
  if ((end = runOf(scan, start, 0, Space | Letter | Number, UINT32_MAX)) > start)
    return runOfBytes(scan, end, "\r\n/") - at;
  return lineEndsOrSpace(scan, at);
}

static bool isAsciiLetter(uint8_t byte) {
  return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z');
}

/* [ASCII punctuation][A-Za-z]+|[^\r\n L P Y]?[L M]+| ?[P Y]+[\r\n]*|S*[\r\n]+|white space */
static size_t deepseek3(const Scan *scan, size_t at) {
  size_t length, end, start = at;
  uint8_t classes = classesAt(scan, at, &length);
  if (length == 1 && (classes & (Punctuation | Symbol))) {
    for (end = at + 1; isAsciiLetter(byteAt(scan, end));) end++;
    if (end > at + 1) return end - at;
  }
  // A mark is one of the characters that may come before others, but is one of them as well.
  if (!(classes & (Letter | Punctuation | Symbol)) && !isOneOf(scan->text[at], "\r\n")) start += length;
  if ((end = runOf(scan, start, Letter | Mark, 0, UINT32_MAX)) > start) return end - at;
  if ((end = runOf(scan, at, Letter | Mark, 0, UINT32_MAX)) > at) return end - at;
  start = byteAt(scan, at) == ' ' ? at + 1 : at;
  if ((end = runOf(scan, start, Punctuation | Symbol, 0, UINT32_MAX)) > start)
    return runOfBytes(scan, end, "\r\n") - at;
  return lineEndsOrSpace(scan, at);
}

/* Characters from `first` to `last` that are no white space. */
typedef struct Range {
  uint32_t first, last;
} Range;

/* U+FF01 to U+FF5E are the wide forms of ASCII. */
static const Range markedWordRanges[] = {{'!', '/'},       {':', '~'},       {0xFF01, 0xFF0F},
                                         {0xFF1A, 0xFF5E}, {0x2018, 0x201F}, {0x3001, 0x3002}};
static const Range eastAsianRanges[] = {{0x0800, 0x9FA5}, {0xAC00, 0xD7FF}};
static const Range hanAndKanaRanges[] = {{0x4E00, 0x9FA5}, {0x3040, 0x30FF}};

#define RANGES(ranges) (ranges), sizeof(ranges) / sizeof *(ranges)

static bool isInRanges(uint32_t character, const Range *ranges, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (character >= ranges[i].first && character <= ranges[i].last) return true;
  return false;
}

static size_t runOfRanges(const Scan *scan, size_t at, const Range *ranges, size_t count) {
  size_t length;
  for (;; at += length) {
    uint8_t classes = classesAt(scan, at, &length);
    if (length == 0 || (classes & Space) || !isInRanges(utf8Character(scan->text + at), ranges, count)) return at;
  }
}

/* Where white space at `at` ends that is one character long at most. */
static size_t afterSpace(const Scan *scan, size_t at) {
  return runOf(scan, at, Space, 0, 1);
}

/* S?X+, of which X+ ends at `end` */
static size_t spaced(size_t at, size_t start, size_t end) {
  return end > start ? end - at : 0;
}

/* (?<!S)S+$ */
static size_t trailingSpace(const Scan *scan, size_t at) {
  size_t end = runOf(scan, at, Space, 0, UINT32_MAX), before = at, length;
  if (end == at || end < scan->end) return 0;
  while (before > 0 && (scan->text[--before] & 0xC0) == 0x80) continue;
  return before < at && (classesAt(scan, before, &length) & Space) ? 0 : end - at;
}

/* [P$+<=>^~|]+ */
static size_t punctuation(const Scan *scan, size_t at) {
  size_t end = at, length;
  for (; end < scan->end; end += length) {
    uint8_t classes = classesAt(scan, end, &length);
    if (!(classes & Punctuation) && !isOneOf(scan->text[end], "$+<=>^~|")) break;
  }
  return end - at;
}

/* [0-9][0-9][0-9] */
static size_t threeDigits(const Scan *scan, size_t at) {
  for (size_t i = 0; i < 3; i++)
    if (byteAt(scan, at + i) < '0' || byteAt(scan, at + i) > '9') return 0;
  return 3;
}

/* Bytes of the expression's match at a place; 0 for none. */
static size_t match(const Scan *scan, uint32_t expression, size_t at) {
  size_t start = afterSpace(scan, at);
  switch (expression) {
    case PLAN_EXPRESSION_GPT2: return gpt2(scan, at);
    case PLAN_EXPRESSION_LLAMA3: return llama3(scan, at, 3, "\r\n");
    case PLAN_EXPRESSION_QWEN2: return llama3(scan, at, 1, "\r\n");
    case PLAN_EXPRESSION_NUMBER: return runOf(scan, at, Number, 0, 1) - at;
    case PLAN_EXPRESSION_PUNCTUATION: return punctuation(scan, at);
    case PLAN_EXPRESSION_NUMBERS: return runOf(scan, at, Number, 0, UINT32_MAX) - at;
    case PLAN_EXPRESSION_THREE_DIGITS: return threeDigits(scan, at);
    case PLAN_EXPRESSION_TEKKEN: return cased(scan, at, 1, false);
    case PLAN_EXPRESSION_GPT4O: return cased(scan, at, 3, true);
    case PLAN_EXPRESSION_SEED_CODER: return llama3(scan, at, 1, "");
    case PLAN_EXPRESSION_LINE_END: return isOneOf(byteAt(scan, at), "\r\n") ? 1 : 0;
    case PLAN_EXPRESSION_ALPHABET_WORD:
      return spaced(at, start, runOf(scan, start, PLAN_CLASS_ALPHABET_LETTER, 0, UINT32_MAX));
    case PLAN_EXPRESSION_MARKED_WORD:
      return spaced(at, start, runOfRanges(scan, start, RANGES(markedWordRanges)));
    case PLAN_EXPRESSION_SPACED_LETTERS: return spaced(at, start, runOf(scan, start, Letter, 0, UINT32_MAX));
    case PLAN_EXPRESSION_SPACED_PUNCTUATION: return spaced(at, start, runOf(scan, start, Punctuation, 0, UINT32_MAX));
    case PLAN_EXPRESSION_TRAILING_SPACE: return trailingSpace(scan, at);
    case PLAN_EXPRESSION_EAST_ASIAN: return runOfRanges(scan, at, RANGES(eastAsianRanges)) - at;
    case PLAN_EXPRESSION_UP_TO_THREE_NUMBERS: return runOf(scan, at, Number, 0, 3) - at;
    case PLAN_EXPRESSION_HAN_AND_KANA: return runOfRanges(scan, at, RANGES(hanAndKanaRanges)) - at;
    default: return deepseek3(scan, at);
  }
}

/* Cuts a piece by the expressions from `index` on: matches, and what lies between them, are pieces for the next. */
static bm_status cut(const Tokenizer *tokenizer, const uint8_t *text, size_t length, uint32_t index, TakeWord take,
                     void *context) {
  if (index == tokenizer->expressionCount) return take(context, text, length);
  Scan scan = {tokenizer, text, length};
  size_t from = 0;
  for (size_t at = 0; at < length;) {
    size_t found = match(&scan, tokenizer->expressions[index], at);
    if (found == 0) {
      at += utf8Length(text[at]);
      continue;
    }
    bm_status status = at > from ? cut(tokenizer, text + from, at - from, index + 1, take, context) : BM_OK;
    if (status == BM_OK) status = cut(tokenizer, text + at, found, index + 1, take, context);
    if (status != BM_OK) return status;
    from = at += found;
  }
  return from < length ? cut(tokenizer, text + from, length - from, index + 1, take, context) : BM_OK;
}

bm_status bridgeSplitIntoWords(const Tokenizer *tokenizer, const uint8_t *text, size_t length, TakeWord take,
                               void *context) {
  return length == 0 ? BM_OK : cut(tokenizer, text, length, 0, take, context);
}

/* tokens.c: see tokens.h. */
#include "tokens.h"
#include "text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { MaxDepth = 4096 };

typedef struct Reader {
  MslTokens *out;
  uint32_t at, line, file;
  uint32_t capacity;
  uint32_t stack[MaxDepth];
  uint32_t depth;
  char *error;
} Reader;

static const char *fileName(const Reader *r) {
  return r->file < r->out->fileCount ? r->out->files[r->file] : "source";
}

static void fail(Reader *r, const char *what) {
  if (!r->error) r->error = mslFormat("%s:%u: error: %s\n", fileName(r), r->line, what);
}

/** Interns the name in a line marker, with its escapes undone. */
static void setFile(Reader *r, const char *name, size_t length) {
  char *plain = malloc(length + 1);
  if (!plain) {
    fail(r, "out of memory");
    return;
  }
  size_t n = 0;
  for (size_t i = 0; i < length; i++) {
    if (name[i] == '\\' && i + 1 < length) i++;
    plain[n++] = name[i];
  }
  plain[n] = 0;
  for (uint32_t i = r->out->fileCount; i-- > 0;) {
    if (strcmp(r->out->files[i], plain) == 0) {
      r->file = i;
      free(plain);
      return;
    }
  }
  char **files = realloc(r->out->files, (r->out->fileCount + 1) * sizeof *files);
  if (!files) {
    free(plain);
    fail(r, "out of memory");
    return;
  }
  r->out->files = files;
  files[r->out->fileCount] = plain;
  r->file = r->out->fileCount++;
}

/** A line that starts with '#': a line marker (# 12 "file" flags), or a pragma, which stays in the source as it
 * is. */
static void readDirective(Reader *r) {
  const char *s = r->out->source;
  const uint32_t length = (uint32_t)r->out->length;
  uint32_t i = r->at + 1;
  while (i < length && (s[i] == ' ' || s[i] == '\t')) i++;
  if (i + 4 < length && memcmp(s + i, "line", 4) == 0) {
    i += 4;
    while (i < length && (s[i] == ' ' || s[i] == '\t')) i++;
  }
  if (i < length && isdigit((unsigned char)s[i])) {
    uint64_t number = 0;
    while (i < length && isdigit((unsigned char)s[i])) {
      if (number < 1u << 30) number = number * 10 + (uint64_t)(s[i] - '0');
      i++;
    }
    while (i < length && (s[i] == ' ' || s[i] == '\t')) i++;
    if (i < length && s[i] == '"') {
      const uint32_t from = ++i;
      while (i < length && s[i] != '"' && s[i] != '\n') i += s[i] == '\\' && i + 1 < length ? 2 : 1;
      if (i > length) i = length;
      setFile(r, s + from, i - from);
    }
    while (i < length && s[i] != '\n') i++;
    r->line = (uint32_t)number - (i < length ? 1 : 0); /* the newline itself adds one */
  } else {
    while (i < length && s[i] != '\n') i++;
  }
  r->at = i;
}

static void push(Reader *r, MslTokenKind kind, uint32_t start, uint32_t end) {
  MslTokens *out = r->out;
  if (out->count + 1 >= r->capacity) {
    const uint32_t capacity = r->capacity ? r->capacity * 2 : 4096;
    MslToken *tokens = realloc(out->tokens, capacity * sizeof *tokens);
    if (!tokens) {
      fail(r, "out of memory");
      return;
    }
    out->tokens = tokens;
    r->capacity = capacity;
  }
  const uint32_t index = out->count++;
  out->tokens[index] = (MslToken){
      .start = start, .length = end - start, .line = r->line, .file = r->file, .match = index, .kind = kind};
  if (kind != MslTokenPunctuation || end - start != 1) return;
  const char c = out->source[start];
  if (c == '(' || c == '[' || c == '{') {
    if (r->depth == MaxDepth)
      fail(r, "brackets are nested too deep");
    else
      r->stack[r->depth++] = index;
  } else if (c == ')' || c == ']' || c == '}') {
    const char open = c == ')' ? '(' : c == ']' ? '[' : '{';
    if (r->depth == 0 || out->source[out->tokens[r->stack[r->depth - 1]].start] != open) {
      char text[64] = "'x' does not match an opening bracket";
      text[1] = c;
      fail(r, text);
      return;
    }
    const uint32_t other = r->stack[--r->depth];
    out->tokens[index].match = other;
    out->tokens[other].match = index;
  }
}

/** The end of a string or character literal that starts at `i`; fails where the line ends first. */
static uint32_t literalEnd(Reader *r, uint32_t i) {
  const char *s = r->out->source;
  const uint32_t length = (uint32_t)r->out->length;
  const char quote = s[i++];
  while (i < length && s[i] != quote) {
    if (s[i] == '\n') break;
    i += s[i] == '\\' && i + 1 < length ? 2 : 1;
  }
  if (i >= length || s[i] != quote) {
    fail(r, quote == '"' ? "a string is not closed" : "a character literal is not closed");
    return length;
  }
  return i + 1;
}

static bool isWordStart(char c) {
  return isalpha((unsigned char)c) || c == '_' || c == '$' || (unsigned char)c >= 128;
}
static bool isWordPart(char c) { return isWordStart(c) || isdigit((unsigned char)c); }

/** Length of the operator at s; ">>" is left as two, for templates. */
static uint32_t operatorLength(const char *s, uint32_t left) {
  static const char *const list[] = {"<<=", "...", "->*", "::", "->", "++", "--", "<<", "<=", ">=", "==", "!=",
                                     "&&",  "||",  "+=",  "-=", "*=", "/=", "%=", "^=", "|=", "&=", "##", ".*"};
  for (size_t k = 0; k < sizeof list / sizeof *list; k++) {
    const uint32_t n = (uint32_t)strlen(list[k]);
    if (n <= left && memcmp(s, list[k], n) == 0) return n;
  }
  return 1;
}

static void readToken(Reader *r) {
  const char *s = r->out->source;
  const uint32_t length = (uint32_t)r->out->length;
  const uint32_t start = r->at;
  uint32_t i = start;
  const char c = s[i];
  if (isWordStart(c)) {
    while (i < length && isWordPart(s[i])) i++;
    if (i < length && s[i] == '"' && s[i - 1] == 'R') {
      fail(r, "raw strings are not part of MSL");
      i = length;
    }
    push(r, MslTokenWord, start, i);
  } else if (isdigit((unsigned char)c) || (c == '.' && i + 1 < length && isdigit((unsigned char)s[i + 1]))) {
    while (i < length &&
           (isWordPart(s[i]) || s[i] == '.' || (s[i] == '\'' && i + 1 < length && isWordPart(s[i + 1])) ||
            ((s[i] == '+' || s[i] == '-') && strchr("eEpP", s[i - 1]) != NULL)))
      i++;
    push(r, MslTokenNumber, start, i);
  } else if (c == '"' || c == '\'') {
    i = literalEnd(r, i);
    push(r, MslTokenString, start, i);
  } else {
    i += operatorLength(s + i, length - i);
    push(r, MslTokenPunctuation, start, i);
  }
  r->at = i;
}

char *mslTokensRead(MslTokens *out, const char *source, size_t length) {
  *out = (MslTokens){.source = source, .length = length};
  if (length >= UINT32_MAX / 2) return mslFormat("error: the preprocessed source is too large\n");
  Reader *r = calloc(1, sizeof *r);
  if (!r) return NULL;
  r->out = out;
  r->line = 1;
  setFile(r, "source", 6);
  bool lineStart = true;
  while (r->at < length && !r->error) {
    const char c = source[r->at];
    if (c == '\n') {
      r->line++;
      r->at++;
      lineStart = true;
    } else if (c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v' || c == 0) {
      r->at++;
    } else if (c == '#' && lineStart) {
      readDirective(r);
    } else {
      lineStart = false;
      readToken(r);
    }
  }
  if (!r->error && r->depth > 0) {
    const MslToken *open = &out->tokens[r->stack[r->depth - 1]];
    r->line = open->line;
    r->file = open->file;
    char text[32] = "'x' is not closed";
    text[1] = source[open->start];
    fail(r, text);
  }
  push(r, MslTokenEnd, (uint32_t)length, (uint32_t)length);
  if (out->count > 0) out->count--;
  char *error = r->error;
  free(r);
  return error;
}

void mslTokensFree(MslTokens *tokens) {
  for (uint32_t i = 0; i < tokens->fileCount; i++) free(tokens->files[i]);
  free(tokens->files);
  free(tokens->tokens);
  *tokens = (MslTokens){0};
}

bool mslTokenIs(const MslTokens *tokens, uint32_t i, const char *text) {
  if (i >= tokens->count) return false;
  const MslToken *t = &tokens->tokens[i];
  return strlen(text) == t->length && memcmp(tokens->source + t->start, text, t->length) == 0;
}

bool mslTokenIsWord(const MslTokens *tokens, uint32_t i) {
  return i < tokens->count && tokens->tokens[i].kind == MslTokenWord;
}

bool mslTokenIsOneOf(const MslTokens *tokens, uint32_t i, const char *const *list) {
  for (; *list; list++)
    if (mslTokenIs(tokens, i, *list)) return true;
  return false;
}

char *mslTokensCopy(const MslTokens *tokens, uint32_t from, uint32_t to) {
  MslText text = {0};
  for (uint32_t i = from; i < to && i < tokens->count; i++) {
    if (i > from) mslTextPuts(&text, " ");
    mslTextAppend(&text, tokens->source + tokens->tokens[i].start, tokens->tokens[i].length);
  }
  return mslTextTake(&text);
}

uint32_t mslTokensCloseAngle(const MslTokens *tokens, uint32_t i) {
  uint32_t depth = 0;
  for (uint32_t k = i; k < tokens->count; k++) {
    const MslToken *t = &tokens->tokens[k];
    if (t->kind != MslTokenPunctuation) continue;
    if (mslTokenIs(tokens, k, "<"))
      depth++;
    else if (mslTokenIs(tokens, k, ">")) {
      if (--depth == 0) return k;
    } else if (mslTokenIs(tokens, k, ";") || mslTokenIs(tokens, k, "{") || mslTokenIs(tokens, k, "}") ||
               mslTokenIs(tokens, k, ")") || mslTokenIs(tokens, k, "]"))
      return 0;
    else if (t->match > k)
      k = t->match;
  }
  return 0;
}

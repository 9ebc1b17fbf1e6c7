/* diagnostics.c: see diagnostics.h. */
#include "diagnostics.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Replacement {
  const char *from, *to;
} Replacement;

/** In this order: longer ones first. */
static const Replacement replacements[] = {
    {"const __attribute__((opencl_global_device))", "constant"},
    {"__attribute__((opencl_global_device))", "constant"},
    {"__attribute__((opencl_global_host))", "device"},
    {"const __global_device ", "constant "},
    {"__global_device const ", "constant "},
    {"const __global ", "constant "},
    {"__global const ", "constant "},
    {"__global_device", "constant"},
    {"__global_host", "device"},
    {"__global", "constant"},
    {"__local", "threadgroup"},
    {"*__private", "*"},
    {"&__private", "&"},
    {"__private", "thread"},
    {"__generic ", ""},
    {"__constant", "constant"},
    {"(anonymous namespace)::", ""},
    {"metal::detail::", ""},
    {"metal::", ""},
    {"changes address space of pointer", "changes the address space of the pointer"},
    {"C++ for OpenCL", "MSL"},
    {"OpenCL", "MSL"},
    {"local_msl", "local"},
    {"global_msl", "global"},
    {"generic_msl", "generic"},
    {"pipe_msl", "pipe"},
};

/** "float __attribute__((ext_vector_type(4)))" and "__private float __attribute__..." become "float4". */
static void putVectorTypes(MslText *out, const char *text, size_t length) {
  static const char marker[] = " __attribute__((ext_vector_type(";
  for (size_t i = 0; i < length;) {
    const char *at = memmem(text + i, length - i, marker, sizeof marker - 1);
    if (!at) {
      mslTextAppend(out, text + i, length - i);
      return;
    }
    mslTextAppend(out, text + i, (size_t)(at - text) - i);
    i = (size_t)(at - text) + sizeof marker - 1;
    while (i < length && isalnum((unsigned char)text[i])) mslTextAppend(out, text + i++, 1);
    while (i < length && text[i] == ')') i++;
  }
}

/** "'threadgroup bm_type_0' (aka 'threadgroup float[4]')" becomes "'threadgroup float[4]'". */
static void putOwnTypes(MslText *out, const char *text, size_t length) {
  while (length > 0) {
    const char *type = memmem(text, length, "bm_type_", 8);
    const char *aka = type ? memmem(type, length - (size_t)(type - text), "(aka ", 5) : NULL;
    const char *close = aka ? memchr(aka, ')', length - (size_t)(aka - text)) : NULL;
    const char *quote = type;
    while (quote && quote > text && *quote != '\'') quote--;
    if (!close) break;
    mslTextAppend(out, text, (size_t)(quote - text));
    mslTextAppend(out, aka + 5, (size_t)(close - aka) - 5);
    length -= (size_t)(close + 1 - text);
    text = close + 1;
  }
  mslTextAppend(out, text, length);
}

static void putPlain(MslText *out, const char *message, size_t messageLength) {
  MslText vectors = {0}, own = {0};
  putOwnTypes(&own, message, messageLength);
  const char *text = own.bytes ? own.bytes : "";
  size_t length = own.length;
  putVectorTypes(&vectors, text, length);
  const char *s = vectors.bytes ? vectors.bytes : "";
  length = vectors.length;
  for (size_t i = 0; i < length;) {
    bool replaced = false;
    for (size_t k = 0; k < sizeof replacements / sizeof *replacements && !replaced; k++) {
      const size_t n = strlen(replacements[k].from);
      if (n > length - i || memcmp(s + i, replacements[k].from, n) != 0) continue;
      mslTextPuts(out, replacements[k].to);
      i += n;
      replaced = true;
    }
    if (!replaced) mslTextAppend(out, s + i++, 1);
  }
  mslTextFree(&vectors);
  mslTextFree(&own);
}

/** The address space in a quoted type, as a letter; 0 without. The first in the text, or the second. */
static char spaceOf(const char *text, size_t length, int which) {
  static const char *const spaces[] = {"__global_host", "__global_device", "__local", "__private", "__global "};
  for (size_t i = 0; i + 8 < length; i++)
    for (size_t k = 0; k < sizeof spaces / sizeof *spaces; k++)
      if (strncmp(text + i, spaces[k], strlen(spaces[k])) == 0) {
        const bool inType = text[i - (i > 0)] == '\'' || text[i - (i > 0)] == ' ';
        if (inType && which-- == 0) return (char)('a' + k);
        i += strlen(spaces[k]);
      }
  return 0;
}

/** Says in words what clang shows in types or calls by names of its own. */
static void putMessage(MslText *out, const char *text, size_t length) {
  unsigned long bytes = 0, limit = 0;
  if (sscanf(text, "stack frame size (%lu) exceeds limit (%lu)", &bytes, &limit) == 2) {
    mslTextPrint(out, "a thread's variables take %lu bytes here: it may have %lu", bytes, limit);
    return;
  }
  if (length >= 41 && strncmp(text, "declaration requires a global constructor", 41) == 0) {
    mslTextPuts(out, "a program-scope variable has to be initialised by a constant expression");
    return;
  }
  putPlain(out, text, length);
  const char from = spaceOf(text, length, 0), to = spaceOf(text, length, 1);
  if (memmem(text, length, "cannot initialize", 17) && from && to && from != to)
    mslTextPuts(out, ": address spaces do not convert into each other");
}

typedef struct Line {
  const char *file;
  size_t fileLength;
  const char *number;
  size_t numberLength;
  const char *kind; /* "error", "warning", "note", "fatal error" */
  size_t kindLength;
  const char *message;
  size_t messageLength;
} Line;

/** file:line:column: kind: message. False for anything else. */
static bool parse(const char *text, size_t length, Line *line) {
  static const char *const kinds[] = {"fatal error", "error", "warning", "note"};
  for (size_t i = 0; i + 4 < length; i++) {
    if (text[i] != ':' || !isdigit((unsigned char)text[i + 1])) continue;
    size_t k = i + 1;
    while (k < length && isdigit((unsigned char)text[k])) k++;
    const size_t numberEnd = k;
    if (k < length && text[k] == ':') k++;
    while (k < length && isdigit((unsigned char)text[k])) k++;
    if (k + 2 >= length || text[k] != ':' || text[k + 1] != ' ') continue;
    k += 2;
    for (size_t n = 0; n < sizeof kinds / sizeof *kinds; n++) {
      const size_t kindLength = strlen(kinds[n]);
      if (k + kindLength + 2 > length || memcmp(text + k, kinds[n], kindLength) != 0 || text[k + kindLength] != ':')
        continue;
      *line = (Line){text,
                     i,
                     text + i + 1,
                     numberEnd - i - 1,
                     text + k,
                     kindLength,
                     text + k + kindLength + 2,
                     length - k - kindLength - 2};
      return true;
    }
  }
  return false;
}

static bool startsWith(const char *text, size_t length, const char *prefix) {
  const size_t n = strlen(prefix);
  return n > 0 && length >= n && memcmp(text, prefix, n) == 0;
}

/** The message without " [-Wflag]" and the like. */
static size_t trimmed(const char *message, size_t length) {
  for (size_t i = length; i-- > 1;)
    if (message[i] == '[' && message[i - 1] == ' ' && i + 2 < length && message[i + 1] == '-' &&
        message[length - 1] == ']')
      return i - 1;
  return length;
}

enum { MaxMessageBytes = 64 << 10 };

static void put(MslText *out, const Line *where, const Line *what) {
  const bool isWarning = what->kindLength == 7;
  if (out->length > MaxMessageBytes / (isWarning ? 8 : 1)) return;
  mslTextAppend(out, where->file, where->fileLength);
  mslTextAppend(out, ":", 1);
  mslTextAppend(out, where->number, where->numberLength);
  mslTextPuts(out, ": ");
  if (what->kindLength == 11)
    mslTextPuts(out, "error");
  else
    mslTextAppend(out, what->kind, what->kindLength);
  mslTextPuts(out, ": ");
  putMessage(out, what->message, trimmed(what->message, what->messageLength));
  mslTextPuts(out, "\n");
}

/** What was said about our files and led nowhere in the user's. */
static void putPending(MslText *out, Line *pending) {
  if (pending->message && pending->kindLength != 7) {
    mslTextPuts(out, "error: ");
    putMessage(out, pending->message, trimmed(pending->message, pending->messageLength));
    mslTextPuts(out, "\n");
  }
  *pending = (Line){0};
}

void mslDiagnostics(MslText *out, const char *raw, const char *headers, const char *temporary) {
  Line pending = {0}; /* said about our files, waits for the note that names the user's line */
  const char *end = raw + strlen(raw);
  MslText crash = {0};
  while (raw < end) {
    const char *newline = memchr(raw, '\n', (size_t)(end - raw));
    const size_t length = newline ? (size_t)(newline - raw) : (size_t)(end - raw);
    Line line;
    if (parse(raw, length, &line)) {
      const bool ours = startsWith(line.file, line.fileLength, headers) ||
                        startsWith(line.file, line.fileLength, temporary) ||
                        startsWith(line.file, line.fileLength, "<");
      const bool isNote = line.kindLength == 4;
      if (!isNote) {
        putPending(out, &pending);
        if (ours)
          pending = line;
        else
          put(out, &line, &line);
      } else if (pending.message && !ours) {
        put(out, &line, &pending);
        pending = (Line){0};
      } else if (!pending.message && !ours) {
        put(out, &line, &line);
      }
    } else if (startsWith(raw, length, "clang") || startsWith(raw, length, "error:") ||
               memmem(raw, length, "error: ", 7)) {
      putPlain(&crash, raw, length);
      mslTextPuts(&crash, "\n");
    }
    raw += length + (newline ? 1 : 0);
  }
  putPending(out, &pending);
  if (out->length == 0 && crash.bytes) mslTextPuts(out, crash.bytes);
  mslTextFree(&crash);
}

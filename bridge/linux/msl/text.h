/*
 * text.h: a growable piece of text. Out of memory is remembered in `failed` and checked once at the end.
 */
#ifndef BUN_METAL_MSL_TEXT_H
#define BUN_METAL_MSL_TEXT_H

#include <stdbool.h>
#include <stdarg.h>
#include <stddef.h>

typedef struct MslText {
  char *bytes; /* always NUL-terminated once anything was appended */
  size_t length;
  size_t capacity;
  bool failed;
} MslText;

void mslTextAppend(MslText *text, const char *bytes, size_t length);
void mslTextPuts(MslText *text, const char *string);
void mslTextPrint(MslText *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void mslTextFree(MslText *text);

/** Hands the text over as a malloc'ed string; NULL when out of memory. The MslText is empty afterwards. */
char *mslTextTake(MslText *text);

/** A malloc'ed formatted string; NULL when out of memory. */
char *mslFormat(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif

/*
 * text.h: a growable piece of text. Out of memory is remembered in `failed` and checked once at the end.
 */
#ifndef BUN_METAL_CPU_TEXT_H
#define BUN_METAL_CPU_TEXT_H

#include <stdbool.h>
#include <stdarg.h>
#include <stddef.h>

typedef struct CpuText {
  char *bytes; /* always NUL-terminated once anything was appended */
  size_t length;
  size_t capacity;
  bool failed;
} CpuText;

void cpuTextAppend(CpuText *text, const char *bytes, size_t length);
void cpuTextPuts(CpuText *text, const char *string);
void cpuTextPrint(CpuText *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void cpuTextFree(CpuText *text);

/** Hands the text over as a malloc'ed string; NULL when out of memory. The CpuText is empty afterwards. */
char *cpuTextTake(CpuText *text);

/** A malloc'ed formatted string; NULL when out of memory. */
char *cpuFormat(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif

/* text.c: see text.h. */
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool reserve(MslText *text, size_t extra) {
  if (text->failed) return false;
  if (extra > (size_t)1 << 40) {
    text->failed = true;
    return false;
  }
  const size_t need = text->length + extra + 1;
  if (need <= text->capacity) return true;
  size_t capacity = text->capacity ? text->capacity : 256;
  while (capacity < need) capacity *= 2;
  char *bytes = realloc(text->bytes, capacity);
  if (!bytes) {
    text->failed = true;
    return false;
  }
  text->bytes = bytes;
  text->capacity = capacity;
  return true;
}

void mslTextAppend(MslText *text, const char *bytes, size_t length) {
  if (!reserve(text, length)) return;
  if (length) memcpy(text->bytes + text->length, bytes, length);
  text->length += length;
  text->bytes[text->length] = 0;
}

void mslTextPuts(MslText *text, const char *string) { mslTextAppend(text, string, strlen(string)); }

static void printList(MslText *text, const char *format, va_list list) {
  va_list again;
  va_copy(again, list);
  const int length = vsnprintf(NULL, 0, format, list);
  if (length >= 0 && reserve(text, (size_t)length)) {
    vsnprintf(text->bytes + text->length, (size_t)length + 1, format, again);
    text->length += (size_t)length;
  }
  va_end(again);
}

void mslTextPrint(MslText *text, const char *format, ...) {
  va_list list;
  va_start(list, format);
  printList(text, format, list);
  va_end(list);
}

void mslTextFree(MslText *text) {
  free(text->bytes);
  *text = (MslText){0};
}

char *mslTextTake(MslText *text) {
  if (!text->bytes) mslTextPuts(text, "");
  char *bytes = text->failed ? NULL : text->bytes;
  if (text->failed) free(text->bytes);
  *text = (MslText){0};
  return bytes;
}

char *mslFormat(const char *format, ...) {
  MslText text = {0};
  va_list list;
  va_start(list, format);
  printList(&text, format, list);
  va_end(list);
  return mslTextTake(&text);
}

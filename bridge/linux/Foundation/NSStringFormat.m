#import <Foundation/NSStringFormat.h>

#import <Foundation/NSString.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct TextBuilder {
  char *bytes;
  size_t length;
  size_t capacity;
  bool failed;
} TextBuilder;

static bool reserve(TextBuilder *text, size_t added) {
  if (text->failed) return false;
  if (added <= text->capacity - text->length) return true;
  size_t capacity = (text->length + added) * 2;
  char *bytes = realloc(text->bytes, capacity);
  text->failed = bytes == NULL;
  if (text->failed) return false;
  text->bytes = bytes;
  text->capacity = capacity;
  return true;
}

static void append(TextBuilder *text, const char *bytes, size_t length) {
  if (!reserve(text, length)) return;
  memcpy(text->bytes + text->length, bytes, length);
  text->length += length;
}

/** Appends what printf makes of one conversion. */
static void appendConversion(TextBuilder *text, const char *conversion, ...) __attribute__((format(printf, 2, 3)));
static void appendConversion(TextBuilder *text, const char *conversion, ...) {
  va_list arguments, again;
  va_start(arguments, conversion);
  va_copy(again, arguments);
  int length = vsnprintf(NULL, 0, conversion, arguments);
  if (length > 0 && reserve(text, (size_t)length + 1)) {
    vsnprintf(text->bytes + text->length, (size_t)length + 1, conversion, again);
    text->length += (size_t)length;
  }
  va_end(again);
  va_end(arguments);
}

#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wformat-nonliteral"
#pragma clang diagnostic ignored "-Wformat-security"

/** One `%...` at `start`, whose text is `conversion`, takes its argument. The length modifier decides its C type. */
static void appendArgument(TextBuilder *text, const char *conversion, size_t size, va_list *arguments) {
  char kind = conversion[size - 1];
  const char *modifier = conversion + size - 2;
  switch (kind) {
    case '%': append(text, "%", 1); break;
    case '@': {
      id object = va_arg(*arguments, id);
      const char *description = object ? [[object description] UTF8String] : "(null)";
      if (description) append(text, description, strlen(description));
      break;
    }
    case 's': {
      const char *string = va_arg(*arguments, const char *);
      appendConversion(text, conversion, string ? string : "(null)");
      break;
    }
    case 'p': appendConversion(text, conversion, va_arg(*arguments, void *)); break;
    case 'a': case 'A': case 'e': case 'E': case 'f': case 'F': case 'g': case 'G':
      appendConversion(text, conversion, va_arg(*arguments, double));
      break;
    default:
      // long, long long, size_t, ptrdiff_t and intmax_t are all 64 bits here; shorter integers come as int.
      if (*modifier == 'l' || *modifier == 'z' || *modifier == 't' || *modifier == 'j' || *modifier == 'q') {
        appendConversion(text, conversion, va_arg(*arguments, long));
      } else {
        appendConversion(text, conversion, va_arg(*arguments, int));
      }
  }
}

char *NSFormatText(NSString *format, va_list arguments, size_t *length) {
  TextBuilder text = {0};
  reserve(&text, 64);
  va_list rest;
  va_copy(rest, arguments);
  const char *next = [format UTF8String];
  while (*next) {
    size_t plain = strcspn(next, "%");
    append(&text, next, plain);
    next += plain;
    if (!*next) break;

    // A copy of the conversion, in which `*` is replaced by the number that it takes from the arguments.
    char conversion[64];
    size_t size = 0;
    conversion[size++] = *next++;
    while (*next && strchr("-+ #0123456789.*hlzjtqL", *next) && size < sizeof conversion - 16) {
      if (*next == '*') {
        size += (size_t)snprintf(conversion + size, 16, "%d", va_arg(rest, int));
        next++;
      } else {
        conversion[size++] = *next++;
      }
    }
    if (!*next) break;
    conversion[size++] = *next++;
    conversion[size] = 0;
    appendArgument(&text, conversion, size, &rest);
  }
  va_end(rest);
  if (text.failed) {
    free(text.bytes);
    return NULL;
  }
  *length = text.length;
  return text.bytes;
}

#pragma clang diagnostic pop

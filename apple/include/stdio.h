/* Formatted text, and names of files. */
#ifndef APPLE_STDIO_H
#define APPLE_STDIO_H

#include <stdarg.h>
#include <sys/types.h>

#define APPLE_PRINTF(text, first) __attribute__((format(printf, text, first)))
extern int printf(const char *format, ...) APPLE_PRINTF(1, 2);
extern int snprintf(char *out, size_t capacity, const char *format, ...) APPLE_PRINTF(3, 4);
extern int vsnprintf(char *out, size_t capacity, const char *format, va_list arguments) APPLE_PRINTF(3, 0);

extern int rename(const char *from, const char *to);

#endif

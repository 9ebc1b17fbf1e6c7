/* Bytes and text. */
#ifndef APPLE_STRING_H
#define APPLE_STRING_H

#include <stddef.h>

extern void *memcpy(void *out, const void *bytes, size_t length);
extern void *memmove(void *out, const void *bytes, size_t length);
extern void *memset(void *out, int value, size_t length);
extern int memcmp(const void *a, const void *b, size_t length);
extern void *memchr(const void *bytes, int value, size_t length);
extern size_t strlen(const char *text);
extern size_t strnlen(const char *text, size_t most);
extern int strcmp(const char *a, const char *b);
extern int strncmp(const char *a, const char *b, size_t length);
extern char *strchr(const char *text, int character);
extern char *strrchr(const char *text, int character);
extern char *strstr(const char *text, const char *part);
extern size_t strspn(const char *text, const char *accepted);
extern size_t strcspn(const char *text, const char *refused);
extern char *strdup(const char *text);
extern char *strndup(const char *text, size_t length);
extern char *strerror(int number);
extern size_t strlcpy(char *out, const char *text, size_t capacity);

#endif

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
extern int strcmp(const char *a, const char *b);
extern int strncmp(const char *a, const char *b, size_t length);
extern char *strchr(const char *text, int character);
extern char *strrchr(const char *text, int character);
extern char *strstr(const char *text, const char *part);
extern size_t strcspn(const char *text, const char *refused);
extern char *strdup(const char *text);
extern char *strerror(int number);

#endif

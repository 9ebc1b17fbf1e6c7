/* Memory, sorting and the environment. */
#ifndef APPLE_STDLIB_H
#define APPLE_STDLIB_H

#include <stddef.h>

extern void *malloc(size_t size) __attribute__((malloc));
extern void *calloc(size_t count, size_t size) __attribute__((malloc));
extern void *realloc(void *memory, size_t size);
extern void free(void *memory);

extern char *getenv(const char *name);
extern void qsort(void *elements, size_t count, size_t size, int (*compare)(const void *, const void *));

#endif

/* Memory, numbers and the environment. */
#ifndef APPLE_STDLIB_H
#define APPLE_STDLIB_H

#include <stddef.h>

extern void *malloc(size_t size) __attribute__((malloc));
extern void *calloc(size_t count, size_t size) __attribute__((malloc));
extern void *realloc(void *memory, size_t size);
extern void free(void *memory);
extern int posix_memalign(void **out, size_t alignment, size_t size);
extern void *aligned_alloc(size_t alignment, size_t size);

extern _Noreturn void abort(void);
extern char *getenv(const char *name);
extern long strtol(const char *text, char **end, int base);
extern unsigned long strtoul(const char *text, char **end, int base);
extern unsigned long long strtoull(const char *text, char **end, int base);
extern double strtod(const char *text, char **end);
extern void qsort(void *elements, size_t count, size_t size, int (*compare)(const void *, const void *));
extern void *bsearch(const void *key, const void *elements, size_t count, size_t size,
                     int (*compare)(const void *, const void *));

#endif

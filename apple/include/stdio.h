/* Text and files of the C library. */
#ifndef APPLE_STDIO_H
#define APPLE_STDIO_H

#include <stdarg.h>
#include <sys/types.h>

typedef struct __sFILE FILE;
extern FILE *__stdinp, *__stdoutp, *__stderrp;
#define stdin __stdinp
#define stdout __stdoutp
#define stderr __stderrp

#define EOF (-1)
#define SEEK_SET 0
#define SEEK_CUR 1
#define SEEK_END 2

#define APPLE_PRINTF(text, first) __attribute__((format(printf, text, first)))
extern int printf(const char *format, ...) APPLE_PRINTF(1, 2);
extern int fprintf(FILE *file, const char *format, ...) APPLE_PRINTF(2, 3);
extern int vfprintf(FILE *file, const char *format, va_list arguments) APPLE_PRINTF(2, 0);
extern int snprintf(char *out, size_t capacity, const char *format, ...) APPLE_PRINTF(3, 4);
extern int vsnprintf(char *out, size_t capacity, const char *format, va_list arguments) APPLE_PRINTF(3, 0);

extern FILE *fopen(const char *path, const char *mode);
extern int fclose(FILE *file);
extern size_t fread(void *out, size_t size, size_t count, FILE *file);
extern size_t fwrite(const void *bytes, size_t size, size_t count, FILE *file);
extern int fseeko(FILE *file, off_t offset, int from);
extern off_t ftello(FILE *file);
extern int ferror(FILE *file);
extern int fputs(const char *text, FILE *file);
extern int rename(const char *from, const char *to);
extern int remove(const char *path);

#endif

/*
 * variadic.h: functions of a variable number of arguments, called by code for Apple's systems.
 *
 * On x86_64 such a call is what it is here. On arm64 Apple passes the variable arguments on the stack, in 8 bytes each,
 * where Linux takes registers first; and a va_list is a pointer to them.
 */
#ifndef LOADER_VARIADIC_H
#define LOADER_VARIADIC_H

#import <Foundation/Foundation.h>

#include <stddef.h>

/** `snprintf`, `vsnprintf` and `open`, as the image calls them. */
extern int variadicPrint(char *out, size_t capacity, const char *format, ...);
extern int variadicPrintList(char *out, size_t capacity, const char *format, void *list);
extern int variadicOpen(const char *path, int flags, ...);

/** What stands for a variadic method of the layer where the image calls it; other methods come back as they are. */
extern IMP variadicMethod(SEL selector, IMP method);

#endif

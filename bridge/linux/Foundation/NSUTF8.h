/* UTF-8 as NSString needs it. Internal. */
#ifndef FOUNDATION_NSUTF8_H
#define FOUNDATION_NSUTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Whether the bytes are UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF. */
extern bool NSUTF8IsValid(const char *bytes, size_t length);

/** Reads the code point at `*offset` of valid UTF-8 and moves past it. */
extern uint32_t NSUTF8Next(const char *bytes, size_t length, size_t *offset);

/** UTF-16 code units that valid UTF-8 takes. */
extern size_t NSUTF8LengthInUTF16(const char *bytes, size_t length);

#endif

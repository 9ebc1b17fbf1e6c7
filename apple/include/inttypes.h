/* Formats of the integers of <stdint.h>; 64-bit ones are `long long` on Darwin. */
#ifndef APPLE_INTTYPES_H
#define APPLE_INTTYPES_H

#include <stdint.h>

#define PRId32 "d"
#define PRIi32 "i"
#define PRIu32 "u"
#define PRIx32 "x"
#define PRIX32 "X"
#define PRId64 "lld"
#define PRIi64 "lli"
#define PRIu64 "llu"
#define PRIx64 "llx"
#define PRIX64 "llX"

#endif

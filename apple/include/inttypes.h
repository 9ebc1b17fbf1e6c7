/* Formats of the integers of <stdint.h>; 64-bit ones are `long long` on Darwin. */
#ifndef APPLE_INTTYPES_H
#define APPLE_INTTYPES_H

#include <stdint.h>

#define PRIu64 "llu"
#define PRIx64 "llx"

#endif

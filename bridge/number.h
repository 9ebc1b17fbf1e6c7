/* number.h: the doubles that carry sizes and offsets, read without surprises. */
#ifndef BRIDGE_NUMBER_H
#define BRIDGE_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

#include "bun_metal.h"

/** Reads a whole number from 0 to 2^53. False, with this thread's error set, for anything else. */
bool bridgeReadSize(double value, const char *name, uint64_t *out);

/** Reads a range that lies inside `limit` bytes. False with the error set; `what` is the message's subject. */
bool bridgeReadRange(double offset, double length, uint64_t limit, const char *what, uint64_t *outOffset,
                     uint64_t *outLength);

/** Whether [offset, offset + length) lies inside `limit` bytes, for any numbers. */
static inline bool bridgeRangeFits(uint64_t offset, uint64_t length, uint64_t limit) {
  return offset <= limit && length <= limit - offset;
}

/** Whether two ranges of the same length have a byte in common. */
static inline bool bridgeRangesOverlap(uint64_t first, uint64_t second, uint64_t length) {
  return first < second ? second - first < length : first - second < length;
}

/** `value` rounded up to a multiple of `unit`, a power of two. `value` is at most 2^53 here. */
static inline uint64_t bridgeRoundUp(uint64_t value, uint64_t unit) {
  return (value + unit - 1) & ~(unit - 1);
}

#endif

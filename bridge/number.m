#import "number.h"

#import "error.h"

#include <math.h>

static const double LargestWhole = 9007199254740992.0; /* 2^53: above it a double skips whole numbers */

bool bridgeReadSize(double value, const char *name, uint64_t *out) {
  if (isnan(value) || value < 0 || (value <= LargestWhole && value != floor(value))) {
    bridgeFail(BM_ERROR_ARGUMENT, "The %s must be a whole number that is not negative, not \"%g\"", name, value);
    return false;
  }
  if (value > LargestWhole) {
    bridgeFail(BM_ERROR_RANGE, "The %s \"%g\" is over 2^53", name, value);
    return false;
  }
  *out = (uint64_t)value;
  return true;
}

bool bridgeReadRange(double offset, double length, uint64_t limit, const char *what, uint64_t *outOffset,
                     uint64_t *outLength) {
  if (!bridgeReadSize(offset, "offset", outOffset) || !bridgeReadSize(length, "length", outLength)) return false;
  if (!bridgeRangeFits(*outOffset, *outLength, limit)) {
    bridgeFail(BM_ERROR_RANGE, "Bytes " QUOTED_U64 " to " QUOTED_U64 " lie outside of the %s of " QUOTED_U64 " bytes",
               *outOffset, *outOffset + *outLength, what, limit);
    return false;
  }
  return true;
}

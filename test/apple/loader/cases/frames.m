/* Frames of every kind between the throw and the handler. Compiled without frame pointers. */
#include "case.h"

#include <string.h>

/* Far more frames than the compiler would inline, each of its own kind; `depth` keeps it from knowing the values. */
typedef long (*Step)(long depth, long a, long b, long c, long d, long e, long onStack, long alsoOnStack);
static Step steps[5];

static long next(long depth, long a, long b, long c, long d, long e, long onStack, long alsoOnStack) {
  if (depth == 0) [NSException raise:@"Deep" format:@"%ld", a + onStack + alsoOnStack];
  return steps[depth % 5](depth - 1, a, b, c, d, e, onStack, alsoOnStack);
}

__attribute__((noinline)) static long small(long depth, long a, long b, long c, long d, long e, long f, long g) {
  return next(depth, a, b, c, d, e, f, g) + 1;
}

__attribute__((noinline)) static long busy(long depth, long a, long b, long c, long d, long e, long f, long g) {
  long sum = next(depth, a, b, c, d, e, f, g);
  return sum + a * b + b * c + c * d + d * e + e * f + f * g;
}

/* A stack frame too large for compact unwind's size field. */
__attribute__((noinline)) static long large(long depth, long a, long b, long c, long d, long e, long f, long g) {
  volatile char room[100000];
  room[depth] = (char)a;
  return next(depth, a, b, c, d, e, f, g) + room[depth];
}

/* A stack frame of a size that is not known at compile time. */
__attribute__((noinline)) static long variable(long depth, long a, long b, long c, long d, long e, long f, long g) {
  volatile char room[depth + 16];
  room[depth] = (char)a;
  return next(depth, a, b, c, d, e, f, g) + room[depth];
}

__attribute__((noinline)) static long guarded(long depth, long a, long b, long c, long d, long e, long f, long g) {
  long sum = 0;
  @try {
    sum = next(depth, a, b, c, d, e, f, g);
  } @finally {
    steps[0] = small;
  }
  return sum;
}

CASE(everyKindOfFrameIsUnwound) {
  steps[0] = small, steps[1] = busy, steps[2] = large, steps[3] = variable, steps[4] = guarded;
  volatile long one = 1;
  for (long depth = 0; depth < 64; depth++) {
    long a = one, b = one + 1, c = one + 2, d = one + 3, e = one + 4;
    bool isCaught = false;
    @try {
      next(depth, a, b, c, d, e, 100, 1000);
    } @catch (NSException *exception) {
      isCaught = strcmp([[exception reason] UTF8String], "1101") == 0;
    }
    EXPECT(isCaught && a == 1 && b == 2 && c == 3 && d == 4 && e == 5);
  }
  return NULL;
}

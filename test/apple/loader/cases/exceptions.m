/* Exceptions that the layer throws, on their way through frames of the image. */
#include "case.h"

#include <string.h>

@interface OwnException : NSException
@end
@implementation OwnException
@end

static char trace[64];

static void note(const char *mark) {
  size_t length = strlen(trace), added = strlen(mark);
  if (length + added < sizeof trace) memcpy(trace + length, mark, added + 1);
}

static void noteLeft(int *unused) {
  (void)unused;
  note("left ");
}

static void raise(void) {
  [NSException raise:@"Test" format:@"reason %d", 7];
}

static void raiseOwn(void) {
  @throw [[[OwnException alloc] initWithName:@"Own" reason:nil userInfo:nil] autorelease];
}

CASE(layersExceptionsAreCaught) {
  const char *name = "none", *reason = "none";
  @try {
    raise();
  } @catch (NSException *exception) {
    name = [[exception name] UTF8String];
    reason = [[exception reason] UTF8String];
  }
  EXPECT(strcmp(name, "Test") == 0 && strcmp(reason, "reason 7") == 0);
  return NULL;
}

CASE(unknownSelectorsAreExceptions) {
  bool isCaught = false;
  @try {
    [(id)[NSObject class] performSelector:@selector(noSuchMethodAnywhere)];
  } @catch (NSException *exception) {
    isCaught = true;
  }
  EXPECT(isCaught);
  return NULL;
}

CASE(handlersAreChosenByClass) {
  trace[0] = 0;
  @try {
    raiseOwn();
  } @catch (OwnException *exception) {
    note("own ");
  } @catch (NSException *exception) {
    note("other ");
  }
  @try {
    raise();
  } @catch (OwnException *exception) {
    note("own ");
  } @catch (NSException *exception) {
    note("other ");
  }
  @try {
    raiseOwn();
  } @catch (id object) {
    note("any ");
  }
  @try {
    raise();
  } @catch (...) {
    note("all ");
  }
  EXPECT(strcmp(trace, "own other any all ") == 0);
  return NULL;
}

CASE(whatIsNoExceptionIsCaughtAsAnObject) {
  trace[0] = 0;
  @try {
    @throw @"text";
  } @catch (NSException *exception) {
    note("exception ");
  } @catch (id object) {
    note([object UTF8String]);
  }
  EXPECT(strcmp(trace, "text") == 0);
  return NULL;
}

static void raiseWithCleanup(void) {
  int variable __attribute__((cleanup(noteLeft))) = 0;
  (void)variable;
  @try {
    raise();
  } @finally {
    note("finally ");
  }
  note("never ");
}

CASE(cleanupsAndFinallyRunOnTheWay) {
  trace[0] = 0;
  @try {
    raiseWithCleanup();
  } @catch (NSException *exception) {
    note("caught");
  }
  EXPECT(strcmp(trace, "finally left caught") == 0);
  return NULL;
}

CASE(handlersMayThrowAgain) {
  trace[0] = 0;
  @try {
    @try {
      raise();
    } @catch (NSException *exception) {
      note("inner ");
      @throw;
    }
  } @catch (NSException *exception) {
    note([[exception name] UTF8String]);
  }
  EXPECT(strcmp(trace, "inner Test") == 0);
  return NULL;
}

CASE(handlersMayThrowSomethingElse) {
  trace[0] = 0;
  @try {
    @try {
      raise();
    } @catch (NSException *exception) {
      raiseOwn();
    }
  } @catch (OwnException *exception) {
    note([[exception name] UTF8String]);
  }
  EXPECT(strcmp(trace, "Own") == 0);
  return NULL;
}

CASE(exceptionsOutliveInnerPools) {
  @try {
    @autoreleasepool {
      for (int i = 0; i < 10; i++) [NSString stringWithFormat:@"%d", i];
      raise();
    }
  } @catch (NSException *exception) {
    EXPECT([[exception reason] isEqualToString:@"reason 7"]);
  }
  return NULL;
}

/* Values that live in saved registers across a call that throws. */
static long catchWithManyValues(long a, long b, long c, long d, long e, long f) {
  long products[] = {a * b, b * c, c * d, d * e, e * f};
  @try {
    raise();
  } @catch (NSException *exception) {
    return a + b * 10 + c * 100 + d * 1000 + e * 10000 + f * 100000 + products[0] + products[4];
  }
  return 0;
}

CASE(savedRegistersSurvive) {
  volatile long one = 1;
  EXPECT(catchWithManyValues(one, one + 1, one + 2, one + 3, one + 4, one + 5) == 654321 + 2 + 30);
  return NULL;
}

CASE(thousandsOfExceptionsLeaveNothing) {
  int caught = 0;
  for (int i = 0; i < 5000; i++) {
    @autoreleasepool {
      @try {
        raiseWithCleanup();
      } @catch (NSException *exception) {
        caught++;
      }
    }
    trace[0] = 0;
  }
  EXPECT(caught == 5000);
  return NULL;
}

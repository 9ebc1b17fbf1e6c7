/* NSObject: ownership, counters, messages that nobody implements, exceptions. */
#include "check.h"

#include <pthread.h>

static int deallocations;

@interface Counted : NSObject
@end
@implementation Counted
- (void)dealloc {
  deallocations++;
  [super dealloc];
}
@end

static void newGivesOneReferenceAndReleaseFrees(void) {
  double before = NSLiveObjectCount();
  deallocations = 0;
  Counted *object = [Counted new];
  CHECK_NUMBER([object retainCount], 1);
  CHECK([object retain] == object);
  CHECK_NUMBER([object retainCount], 2);
  [object release];
  CHECK_NUMBER(deallocations, 0);
  CHECK_NUMBER(NSLiveObjectCount() - before, 1);
  [object release];
  CHECK_NUMBER(deallocations, 1);
  CHECK_NUMBER(NSLiveObjectCount() - before, 0);
}

static void describeLiveObjectsNamesTheClass(void) {
  Counted *first = [Counted new], *second = [Counted new];
  char lines[4096];
  uint32_t length = NSDescribeLiveObjects(lines, sizeof lines);
  CHECK_NUMBER(length, strlen(lines));
  CHECK(strstr(lines, "Counted 2\n") != NULL);

  char little[4] = "xxx";
  CHECK_NUMBER(NSDescribeLiveObjects(little, sizeof little), length);
  CHECK_NUMBER(strlen(little), 3);
  CHECK_NUMBER(NSDescribeLiveObjects(NULL, 0), length);
  [first release];
  [second release];
  NSDescribeLiveObjects(lines, sizeof lines);
  CHECK(strstr(lines, "Counted") == NULL);
}

static void initialisersThatRaiseLeaveNothing(void) {
  CHECK_RAISES("NSInvalidArgumentException", [[NSString alloc] initWithUTF8String:NULL]);
  CHECK_RAISES("NSInvalidArgumentException", [[NSString alloc] initWithString:nil]);
}

static void classesKnowTheirAncestors(void) {
  Counted *object = [[Counted new] autorelease];
  CHECK([object isKindOfClass:[NSObject class]]);
  CHECK(![object isMemberOfClass:[NSObject class]]);
  CHECK([Counted isSubclassOfClass:[NSObject class]]);
  CHECK([object respondsToSelector:@selector(retain)]);
  CHECK(![object respondsToSelector:@selector(count)]);
  CHECK([NSString instancesRespondToSelector:@selector(UTF8String)]);
  CHECK([NSMutableString conformsToProtocol:@protocol(NSCopying)]);
  CHECK([object conformsToProtocol:@protocol(NSObject)]);
  CHECK(![object conformsToProtocol:@protocol(NSCopying)]);
  CHECK_TEXT([NSStringFromClass([Counted class]) UTF8String], "Counted");
  CHECK_TEXT([NSStringFromSelector(@selector(setObject:forKey:)) UTF8String], "setObject:forKey:");
  CHECK(NSClassFromString(@"Counted") == [Counted class]);
  CHECK(NSClassFromString(@"NoSuchClassAnywhere") == Nil);
}

static void classObjectsAreNeverFreed(void) {
  Class cls = [Counted class];
  [(id)cls retain];
  [(id)cls release];
  [(id)cls release];
  [(id)cls autorelease];
  [[Counted new] release];
}

static void messagesToNilAreZero(void) {
  id nothing = nil;
  CHECK([nothing retain] == nil);
  CHECK_NUMBER([nothing count], 0);
  CHECK_NUMBER([(NSNumber *)nothing doubleValue], 0);
}

static void unknownSelectorsRaise(void) {
  id object = [[Counted new] autorelease];
  CHECK_RAISES("NSInvalidArgumentException", [object UTF8String]);
  CHECK_RAISES("NSInvalidArgumentException", [(id)[Counted class] UTF8String]);
  @try {
    [object UTF8String];
  }
  @catch (NSException *exception) {
    CHECK_TEXT([[exception reason] UTF8String], "-[Counted UTF8String]: unrecognized selector");
  }
}

static void exceptionsCarryNameReasonAndUnwindCleanups(void) {
  int finally = 0;
  @try {
    @try {
      [NSException raise:@"Broken" format:@"%d of %@", 3, @"them"];
    }
    @finally {
      finally++;
    }
  }
  @catch (NSString *other) {
    CHECK(other == nil);
  }
  @catch (NSException *exception) {
    CHECK_TEXT([[exception name] UTF8String], "Broken");
    CHECK_TEXT([[exception reason] UTF8String], "3 of them");
  }
  CHECK_NUMBER(finally, 1);
  @try {
    @throw @"a string";
  }
  @catch (NSException *exception) {
    CHECK(exception == nil);
  }
  @catch (...) {
    finally++;
  }
  CHECK_NUMBER(finally, 2);
}

enum { Threads = 5, ObjectsPerThread = 40000 };

static void *makeAndFree(void *unused) {
  for (int i = 0; i < ObjectsPerThread; i++) [[NSObject new] release];
  return unused;
}

static void fiveThreadsMakeAndFree200000Objects(void) {
  pthread_t threads[Threads];
  for (int i = 0; i < Threads; i++) pthread_create(&threads[i], NULL, makeAndFree, NULL);
  for (int i = 0; i < Threads; i++) pthread_join(threads[i], NULL);
}

static void *retainAndRelease(void *object) {
  for (int i = 0; i < ObjectsPerThread; i++) {
    [(id)object retain];
    [(id)object release];
  }
  return NULL;
}

static void fiveThreadsShareOneObject(void) {
  deallocations = 0;
  Counted *object = [Counted new];
  pthread_t threads[Threads];
  for (int i = 0; i < Threads; i++) pthread_create(&threads[i], NULL, retainAndRelease, object);
  for (int i = 0; i < Threads; i++) pthread_join(threads[i], NULL);
  CHECK_NUMBER([object retainCount], 1);
  [object release];
  CHECK_NUMBER(deallocations, 1);
}

int main(void) {
  RUN_CASE(newGivesOneReferenceAndReleaseFrees);
  RUN_CASE(describeLiveObjectsNamesTheClass);
  RUN_CASE(initialisersThatRaiseLeaveNothing);
  RUN_CASE(classesKnowTheirAncestors);
  RUN_CASE(classObjectsAreNeverFreed);
  RUN_CASE(messagesToNilAreZero);
  RUN_CASE(unknownSelectorsRaise);
  RUN_CASE(exceptionsCarryNameReasonAndUnwindCleanups);
  RUN_CASE(fiveThreadsMakeAndFree200000Objects);
  RUN_CASE(fiveThreadsShareOneObject);
  return finishCases();
}

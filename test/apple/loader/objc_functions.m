/*
 * objc_functions.m: the functions of Apple's runtime that compiled code calls, the root of constant strings, and the
 * library that exports them all.
 */
#import "objc_runtime.h"

#import <Foundation/NSConcreteString.h>
#include <stdio.h>
#include <stdlib.h>

#include "exceptions.h"
#include "library.h"

/* ---- messages ---------------------------------------------------------------------------------------------------- */

typedef struct SuperMessage {
  id receiver;
  Class cls; /* whose superclass is meant */
} SuperMessage;

/* Called by loaderMessageSendSuper. */
__attribute__((visibility("hidden"))) IMP loaderLookUpSuper(const SuperMessage *message, SEL selector) {
  return class_getMethodImplementation(class_getSuperclass(message->cls), selector);
}

static id allocObject(Class cls) {
  return [cls alloc];
}

static id allocInitObject(Class cls) {
  return [[cls alloc] init];
}

static id newObject(Class cls) {
  return [cls new];
}

static id retainObject(id object) {
  return [object retain];
}

static void releaseObject(id object) {
  [object release];
}

static id autoreleaseObject(id object) {
  return [object autorelease];
}

static id retainAutoreleaseObject(id object) {
  return [[object retain] autorelease];
}

static Class classOfObject(id object) {
  return [object class];
}

static BOOL isKindOfClass(id object, Class cls) {
  return [object isKindOfClass:cls];
}

static BOOL respondsToSelector(id object, SEL selector) {
  return [object respondsToSelector:selector];
}

static void *pushPool(void) {
  return [NSAutoreleasePool new];
}

static void popPool(void *pool) {
  [(NSAutoreleasePool *)pool drain];
}

static void enumerationMutation(id collection) {
  [NSException raise:NSGenericException format:@"%@ was changed while it was enumerated", collection];
}

static Class classNamed(const char *name) {
  return objc_getClass(name);
}

/* ---- data -------------------------------------------------------------------------------------------------------- */

static const uintptr_t emptyCache[2];

/* ---- constant strings -------------------------------------------------------------------------------------------- */

@implementation LoaderConstantString

/* 0x7C8: the bytes are ASCII. The bridge has no others, which Apple's compiler keeps as UTF-16 (0x7D0). */
- (const char *)bytesWithLength:(NSUInteger *)length {
  if (_flags != 0x7C8) {
    fprintf(stderr, "A constant string of the image has flags \"0x%x\": only ASCII is known to this loader\n", _flags);
    abort();
  }
  *length = (NSUInteger)_length;
  return _bytes;
}

- (instancetype)retain {
  return self;
}

- (oneway void)release {
}

- (instancetype)autorelease {
  return self;
}

- (NSUInteger)retainCount {
  return NSUIntegerMax;
}

@end

/* ---- libobjc ----------------------------------------------------------------------------------------------------- */

static const Symbol symbols[] = {
    STAND_IN(objc_msgSend, loaderMessageSend),
#if defined(__x86_64__)
    STAND_IN(objc_msgSend_stret, loaderMessageSendStret),
    STAND_IN(objc_msgSendSuper2_stret, loaderMessageSendSuperStret),
#endif
    STAND_IN(objc_msgSendSuper2, loaderMessageSendSuper),
    STAND_IN(objc_alloc, allocObject),
    STAND_IN(objc_alloc_init, allocInitObject),
    STAND_IN(objc_opt_new, newObject),
    STAND_IN(objc_opt_class, classOfObject),
    STAND_IN(objc_opt_isKindOfClass, isKindOfClass),
    STAND_IN(objc_opt_respondsToSelector, respondsToSelector),
    STAND_IN(objc_retain, retainObject),
    STAND_IN(objc_release, releaseObject),
    STAND_IN(objc_autorelease, autoreleaseObject),
    STAND_IN(objc_retainAutorelease, retainAutoreleaseObject),
    STAND_IN(objc_autoreleasePoolPush, pushPool),
    STAND_IN(objc_autoreleasePoolPop, popPool),
    STAND_IN(objc_enumerationMutation, enumerationMutation),
    STAND_IN(objc_getClass, classNamed),
    STAND_IN(objc_lookUpClass, classNamed),
    SAME(object_getClass),
    SAME(class_getName),
    SAME(class_getSuperclass),
    SAME(class_getInstanceSize),
    SAME(class_respondsToSelector),
    SAME(sel_getName),
    SAME(sel_registerName),
    STAND_IN(objc_exception_throw, exceptionThrow),
    STAND_IN(objc_exception_rethrow, exceptionRethrow),
    STAND_IN(objc_begin_catch, exceptionBeginCatch),
    STAND_IN(objc_end_catch, exceptionEndCatch),
    STAND_IN(objc_terminate, exceptionTerminate),
    STAND_IN(__objc_personality_v0, exceptionPersonality),
    {"_objc_ehtype_vtable", exceptionTypeTable},
    {"_OBJC_EHTYPE_id", &exceptionTypeId},
    {"__objc_empty_cache", (void *)emptyCache},
    {NULL, NULL},
};

static const char *const classNames[] = {"NSObject", "Protocol", NULL};

const Library objcLibrary = {"/usr/lib/libobjc.A.dylib", 1 << 16, symbols, classNames, NULL};

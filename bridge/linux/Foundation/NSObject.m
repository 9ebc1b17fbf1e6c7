#import <Foundation/NSAutoreleasePool.h>
#import <Foundation/NSCounting.h>
#import <Foundation/NSException.h>
#import <Foundation/NSObject.h>
#import <Foundation/NSSelectorFilter.h>
#import <Foundation/NSString.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/**
 * What lies in front of every instance. It cannot be an ivar: the compiler lays out constant strings as isa, pointer
 * and length, and their class descends from NSObject too.
 */
typedef struct ObjectHeader {
  _Atomic int64_t extraRetains; /* retain count - 1 */
  ClassCounter *counter;
} ObjectHeader;

_Static_assert(sizeof(ObjectHeader) == 16, "instances keep malloc's alignment of 16");

static ObjectHeader *headerOf(id object) {
  return (ObjectHeader *)(void *)object - 1;
}

/**
 * libobjc registers the protocols that classes adopt, but not what clang emits for `@protocol(Name)`, whose isa stays a
 * version number and which libobjc's own functions therefore refuse. Both begin with isa and name.
 */
static const char *nameOfProtocol(Protocol *protocol) {
  return ((const char **)(void *)protocol)[1];
}

/** Whether a protocol of that name is in the list, or adopted by one that is. */
static bool listHasProtocol(Protocol **list, unsigned count, const char *name) {
  for (unsigned i = 0; i < count; i++) {
    if (strcmp(protocol_getName(list[i]), name) == 0) return true;
    unsigned innerCount = 0;
    Protocol **inner = protocol_copyProtocolList(list[i], &innerCount);
    bool isInner = listHasProtocol(inner, innerCount, name);
    free(inner);
    if (isInner) return true;
  }
  return false;
}

id NSAllocateObject(Class cls, NSUInteger extraBytes, NSZone *zone) {
  (void)zone;
  size_t size = sizeof(ObjectHeader) + class_getInstanceSize(cls) + extraBytes;
  ObjectHeader *header = calloc(1, size);
  if (!header) return nil;
  header->counter = NSCounterForClass(cls);
  atomic_fetch_add_explicit(&header->counter->live, 1, memory_order_relaxed);
  id object = (id)(void *)(header + 1);
  *(Class *)(void *)object = cls;
  return object;
}

void NSDeallocateObject(id object) {
  ObjectHeader *header = headerOf(object);
  atomic_fetch_sub_explicit(&header->counter->live, 1, memory_order_relaxed);
  free(header);
}

bool (*NSIsSelectorHidden)(SEL selector);

/* ---- messages that nobody implements ----------------------------------------------------------------------------- */

extern IMP (*__objc_msg_forward2)(id receiver, SEL selector);

static id raiseUnrecognized(id receiver, SEL selector, ...) {
  [receiver doesNotRecognizeSelector:selector];
  return nil;
}

static IMP forwardToRaise(id receiver, SEL selector) {
  (void)receiver;
  (void)selector;
  return raiseUnrecognized;
}

@implementation NSObject

/** Runs while the image loads, before any message of ours: a wrong one then raises instead of ending the process. */
+ (void)load {
  __objc_msg_forward2 = forwardToRaise;
}

+ (void)initialize {
}

+ (instancetype)alloc {
  return NSAllocateObject(self, 0, NULL);
}

+ (instancetype)allocWithZone:(NSZone *)zone {
  (void)zone;
  return [self alloc];
}

+ (instancetype)new {
  return [[self alloc] init];
}

+ (Class)class {
  return self;
}

+ (Class)superclass {
  return class_getSuperclass(self);
}

+ (BOOL)isSubclassOfClass:(Class)cls {
  for (Class candidate = self; candidate != Nil; candidate = class_getSuperclass(candidate)) {
    if (candidate == cls) return YES;
  }
  return NO;
}

+ (BOOL)instancesRespondToSelector:(SEL)selector {
  return class_respondsToSelector(self, selector);
}

+ (BOOL)conformsToProtocol:(Protocol *)protocol {
  for (Class candidate = self; candidate != Nil; candidate = class_getSuperclass(candidate)) {
    unsigned count = 0;
    Protocol **adopted = class_copyProtocolList(candidate, &count);
    bool isFound = listHasProtocol(adopted, count, nameOfProtocol(protocol));
    free(adopted);
    if (isFound) return YES;
  }
  return NO;
}

/* Classes are objects without a header: they are neither counted nor freed. */

+ (instancetype)retain {
  return (id)self;
}

+ (oneway void)release {
}

+ (instancetype)autorelease {
  return (id)self;
}

+ (NSUInteger)retainCount {
  return NSUIntegerMax;
}

+ (id)copy {
  return (id)self;
}

+ (id)copyWithZone:(NSZone *)zone {
  (void)zone;
  return (id)self;
}

+ (NSString *)description {
  return NSStringFromClass(self);
}

- (instancetype)init {
  return self;
}

- (void)dealloc {
  NSDeallocateObject(self);
}

- (instancetype)retain {
  atomic_fetch_add_explicit(&headerOf(self)->extraRetains, 1, memory_order_relaxed);
  return self;
}

- (oneway void)release {
  // Release orders this thread's writes before the free, acquire orders the free after the others' writes.
  if (atomic_fetch_sub_explicit(&headerOf(self)->extraRetains, 1, memory_order_acq_rel) == 0) [self dealloc];
}

- (instancetype)autorelease {
  [NSAutoreleasePool addObject:self];
  return self;
}

- (NSUInteger)retainCount {
  return (NSUInteger)(atomic_load_explicit(&headerOf(self)->extraRetains, memory_order_relaxed) + 1);
}

- (id)copy {
  return [(id<NSCopying>)self copyWithZone:NULL];
}

- (id)mutableCopy {
  return [(id<NSMutableCopying>)self mutableCopyWithZone:NULL];
}

- (Class)class {
  return object_getClass(self);
}

- (Class)superclass {
  return class_getSuperclass(object_getClass(self));
}

- (instancetype)self {
  return self;
}

- (BOOL)isProxy {
  return NO;
}

- (NSUInteger)hash {
  return (NSUInteger)(void *)self >> 4;
}

- (BOOL)isEqual:(id)object {
  return self == object;
}

- (BOOL)isKindOfClass:(Class)cls {
  return [object_getClass(self) isSubclassOfClass:cls];
}

- (BOOL)isMemberOfClass:(Class)cls {
  return object_getClass(self) == cls;
}

- (BOOL)conformsToProtocol:(Protocol *)protocol {
  return [object_getClass(self) conformsToProtocol:protocol];
}

- (BOOL)respondsToSelector:(SEL)selector {
  if (NSIsSelectorHidden && NSIsSelectorHidden(selector)) return NO;
  return class_respondsToSelector(object_getClass(self), selector);
}

- (IMP)methodForSelector:(SEL)selector {
  return class_getMethodImplementation(object_getClass(self), selector);
}

- (id)performSelector:(SEL)selector {
  return ((id(*)(id, SEL))class_getMethodImplementation(object_getClass(self), selector))(self, selector);
}

- (id)performSelector:(SEL)selector withObject:(id)object {
  return ((id(*)(id, SEL, id))class_getMethodImplementation(object_getClass(self), selector))(self, selector, object);
}

- (void)doesNotRecognizeSelector:(SEL)selector {
  BOOL isClass = class_isMetaClass(object_getClass(self));
  [NSException raise:NSInvalidArgumentException
              format:@"%c[%s %s]: unrecognized selector", isClass ? '+' : '-',
                     class_getName(isClass ? (Class)self : object_getClass(self)), sel_getName(selector)];
}

- (NSString *)description {
  return [NSString stringWithFormat:@"<%s: %p>", class_getName(object_getClass(self)), (void *)self];
}

- (NSString *)debugDescription {
  return [self description];
}

@end

/*
 * The block runtime: what a block literal compiles to calls these functions and names these classes.
 * The layouts and flags are clang's block ABI (Block-ABI-Apple in clang's documentation).
 */
#import <Block.h>
#import <Foundation/NSObject.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
  BlockHasCopyDispose = 1 << 25,
  ByrefHasCopyDispose = 1 << 25,
  ByrefOnHeap = 1 << 24,

  FieldIsObject = 3,
  FieldIsBlock = 7,
  FieldIsByref = 8,
  FieldIsWeak = 16,
  FieldOfByref = 128, /* the call comes from a __block variable's helper: no ownership */
};

typedef struct BlockDescriptor {
  unsigned long reserved;
  unsigned long size;
  void (*copy)(void *destination, const void *source);
  void (*dispose)(const void *block);
} BlockDescriptor;

typedef struct BlockLiteral {
  Class isa;
  int flags;
  int reserved;
  void (*invoke)(void);
  const BlockDescriptor *descriptor;
} BlockLiteral;

/** A `__block` variable. */
typedef struct Byref {
  void *isa;
  struct Byref *forwarding; /* itself, or its copy on the heap */
  int flags;
  unsigned int size;
  void (*copy)(struct Byref *destination, struct Byref *source); /* these two only with ByrefHasCopyDispose */
  void (*dispose)(struct Byref *variable);
} Byref;

/** Lies in front of a `__block` variable on the heap; 16 bytes keep its alignment. */
typedef struct ByrefHeader {
  _Alignas(16) _Atomic int references;
} ByrefHeader;

@interface NSBlock : NSObject <NSCopying>
@end

/* Apple's names for the three. */
@interface __NSStackBlock__ : NSBlock
@end
@interface __NSGlobalBlock__ : NSBlock
@end
@interface __NSMallocBlock__ : NSBlock
@end

/* The compiler stores the address of these symbols as a literal's isa: they are the classes themselves. */
__asm__(".globl _NSConcreteStackBlock\n"
        ".set _NSConcreteStackBlock, _OBJC_CLASS___NSStackBlock__\n"
        ".globl _NSConcreteGlobalBlock\n"
        ".set _NSConcreteGlobalBlock, _OBJC_CLASS___NSGlobalBlock__\n"
        ".hidden _NSConcreteStackBlock\n"
        ".hidden _NSConcreteGlobalBlock\n");

@implementation NSBlock

- (id)copyWithZone:(NSZone *)zone {
  (void)zone;
  return _Block_copy((void *)self);
}

@end

@implementation __NSStackBlock__

/* It dies with its scope whatever is sent: as on Apple, only a copy outlives it. */

- (instancetype)retain {
  return self;
}

- (oneway void)release {
}

- (instancetype)autorelease {
  return self;
}

- (NSUInteger)retainCount {
  return 1;
}

@end

@implementation __NSGlobalBlock__

- (instancetype)retain {
  return self;
}

- (oneway void)release {
}

- (instancetype)autorelease {
  return self;
}

- (NSUInteger)retainCount {
  return 1;
}

@end

@implementation __NSMallocBlock__

- (void)dealloc {
  BlockLiteral *block = (BlockLiteral *)(void *)self;
  if (block->flags & BlockHasCopyDispose) block->descriptor->dispose(block);
  [super dealloc];
}

@end

void *_Block_copy(const void *source) {
  const BlockLiteral *block = source;
  if (!block) return NULL;
  if (block->isa != [__NSStackBlock__ class]) return (void *)[(id)(void *)source retain];

  Class heapClass = [__NSMallocBlock__ class];
  BlockLiteral *copy =
      (BlockLiteral *)(void *)NSAllocateObject(heapClass, block->descriptor->size - class_getInstanceSize(heapClass), NULL);
  if (!copy) return NULL;
  memcpy(copy, block, block->descriptor->size);
  copy->isa = heapClass;
  if (block->flags & BlockHasCopyDispose) block->descriptor->copy(copy, block);
  return copy;
}

void _Block_release(const void *block) {
  [(id)(void *)block release];
}

/** The variable on the heap, with one reference more. The stack's own reference ends with its scope (the compiler calls
 *  _Block_object_dispose there). */
static Byref *retainByref(Byref *variable) {
  Byref *shared = variable->forwarding;
  if (shared->flags & ByrefOnHeap) {
    atomic_fetch_add_explicit(&((ByrefHeader *)(void *)shared)[-1].references, 1, memory_order_relaxed);
    return shared;
  }
  ByrefHeader *header = malloc(sizeof *header + variable->size);
  if (!header) abort(); // the compiler's code has no way to hear of it
  atomic_init(&header->references, 2);
  Byref *copy = (Byref *)(void *)(header + 1);
  memcpy(copy, variable, variable->size);
  copy->flags |= ByrefOnHeap;
  copy->forwarding = copy;
  variable->forwarding = copy;
  if (variable->flags & ByrefHasCopyDispose) variable->copy(copy, variable);
  return copy;
}

static void releaseByref(Byref *variable) {
  Byref *shared = variable->forwarding;
  if (!(shared->flags & ByrefOnHeap)) return;
  ByrefHeader *header = (ByrefHeader *)(void *)shared - 1;
  if (atomic_fetch_sub_explicit(&header->references, 1, memory_order_acq_rel) != 1) return;
  if (shared->flags & ByrefHasCopyDispose) shared->dispose(shared);
  free(header);
}

void _Block_object_assign(void *destination, const void *object, int flags) {
  const void **field = destination;
  if (flags & FieldOfByref) {
    *field = object;
  } else if (flags & FieldIsByref) {
    *field = retainByref((Byref *)object);
  } else if ((flags & FieldIsBlock) == FieldIsBlock) {
    *field = _Block_copy(object);
  } else if ((flags & FieldIsObject) == FieldIsObject) {
    *field = (flags & FieldIsWeak) ? object : (void *)[(id)(void *)object retain];
  }
}

void _Block_object_dispose(const void *object, int flags) {
  if (flags & FieldOfByref) return;
  if (flags & FieldIsByref) {
    releaseByref((Byref *)object);
  } else if ((flags & FieldIsBlock) == FieldIsBlock) {
    _Block_release(object);
  } else if ((flags & FieldIsObject) == FieldIsObject && !(flags & FieldIsWeak)) {
    [(id)(void *)object release];
  }
}

/*
 * Objects.h: the classes behind Metal's protocols on Linux. Internal to objects/.
 *
 * One class per protocol, one file per class. They hold what the protocols promise and check Metal's rules; the work is
 * done by a driver (../driver.h). Instance variables are public to this folder: the objects are parts of one thing.
 */
#ifndef METAL_LINUX_OBJECTS_H
#define METAL_LINUX_OBJECTS_H

#import <Metal/Metal.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "../driver.h"

@class LinuxBuffer, LinuxCommandBuffer, LinuxCommandQueue, LinuxDevice, LinuxLibrary, LinuxPipelineState;

/** What every object with a label is. */
@interface LinuxObject : NSObject {
  NSString *_label;
}
@property (copy, atomic) NSString *label;
@end

/** A device of a driver. One object per device and process; it is never freed. */
@interface LinuxDevice : NSObject <MTLDevice> {
 @public
  const Driver *driver;
  uint32_t index; /* among the driver's devices */
  DriverProperties properties;
  atomic_ulong allocated; /* bytes in live buffers */
}
- (id)initWithDriver:(const Driver *)aDriver index:(uint32_t)anIndex;
@end

@interface LinuxBuffer : LinuxObject <MTLBuffer> {
 @public
  LinuxDevice *owner;
  void *memory;
  NSUInteger size;
  MTLResourceOptions options;
  void (^deallocator)(void *, NSUInteger); /* of memory that is the caller's */
  bool isDriverMemory;
}
/** Takes driver memory, which goes with the buffer. nil when there is none left. */
- (id)initWithDevice:(LinuxDevice *)device length:(NSUInteger)length options:(MTLResourceOptions)resourceOptions;
/** Takes the caller's memory; `block`, which may be nil, is called with it at the end. */
- (id)initWithDevice:(LinuxDevice *)device
              memory:(void *)pointer
              length:(NSUInteger)length
             options:(MTLResourceOptions)resourceOptions
         deallocator:(void (^)(void *, NSUInteger))block;
@end

@interface LinuxLibrary : LinuxObject <MTLLibrary> {
 @public
  LinuxDevice *owner;
  DriverLibrary *library;
}
/** Takes over `driverLibrary`. */
- (id)initWithDevice:(LinuxDevice *)device library:(DriverLibrary *)driverLibrary;
@end

@interface LinuxFunction : LinuxObject <MTLFunction> {
 @public
  LinuxLibrary *owner;
  const DriverFunction *function; /* the library's */
}
- (id)initWithLibrary:(LinuxLibrary *)aLibrary function:(const DriverFunction *)aFunction;
@end

@interface LinuxPipelineState : LinuxObject <MTLComputePipelineState> {
 @public
  LinuxFunction *kernel;
  NSUInteger mostThreads;
  bool needsWholeSimdgroups; /* threadGroupSizeIsMultipleOfThreadExecutionWidth */
}
- (id)initWithFunction:(LinuxFunction *)function descriptor:(MTLComputePipelineDescriptor *)descriptor;
@end

@interface MTLComputePipelineReflection (Linux)
- (id)initWithFunction:(const DriverFunction *)function;
@end

@interface MTLArchitecture (Linux)
- (id)initWithName:(const char *)name;
@end

/**
 * What a queue and its thread share. The thread runs the committed command buffers in order and their handlers, with no
 * autorelease pool. It is started by the first commit and ends with the queue.
 */
typedef struct QueueState {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  LinuxCommandBuffer *first; /* enqueued, each retained by this list; linked through `next` */
  LinuxCommandBuffer *last;
  NSUInteger outstanding; /* command buffers that exist and have not completed */
  uint64_t enqueued;      /* how many there have been */
  uint64_t completed;     /* how many of them are done, handlers included, and released by the thread */
  NSUInteger most;
  bool isStopping;
  bool hasThread;
  pthread_t thread;
} QueueState;

@interface LinuxCommandQueue : LinuxObject <MTLCommandQueue> {
 @public
  LinuxDevice *owner;
  QueueState *state;
}
- (id)initWithDevice:(LinuxDevice *)device most:(NSUInteger)most;
/** Appends to the list (once), and with `commit` lets the thread run it. */
- (void)enqueue:(LinuxCommandBuffer *)commands commit:(bool)isCommitted;
/** Takes a command buffer off the count: it has run, or was never enqueued. */
- (void)forget;
@end

/** Bytes of setBytes:, in blocks that keep their place until the command buffer has completed. */
typedef struct ByteBlock {
  struct ByteBlock *next;
  size_t used, capacity;
  unsigned char bytes[] __attribute__((aligned(16)));
} ByteBlock;

@interface LinuxCommandBuffer : LinuxObject <MTLCommandBuffer> {
 @public
  LinuxCommandQueue *queue;
  LinuxCommandBuffer *next; /* in the queue's list */
  _Atomic MTLCommandBufferStatus state;
  uint64_t sequence; /* from 1, in the order of the queue; 0 until enqueued */
  bool hasLostEncoder;
  bool retainsReferences;
  id openEncoder; /* not retained: the encoder retains this */
  DriverCommand *commands;
  uint32_t commandCount, commandCapacity;
  id *kept; /* retained until completion */
  NSUInteger keptCount, keptCapacity;
  ByteBlock *blocks;
  NSMutableArray *scheduledHandlers, *completedHandlers;
  NSError *failure;
  double startTime, endTime;
}
- (id)initWithQueue:(LinuxCommandQueue *)aQueue retainsReferences:(bool)retains;
/** A new command at the end, zeroed but for its kind. */
- (DriverCommand *)append:(DriverCommandKind)kind;
/** Retains `object` until completion, if this command buffer does that. */
- (void)keep:(id)object;
/** A copy of the bytes that lives until completion. */
- (void *)copyBytes:(const void *)bytes length:(NSUInteger)length;
/** Runs everything and the handlers; on the queue's thread, without a pool. The queue does the rest. */
- (void)execute;
@end

/** What both kinds of encoders share: a command buffer that it retains, and an end. */
@interface LinuxCommandEncoder : LinuxObject <MTLCommandEncoder> {
 @public
  LinuxCommandBuffer *commandBuffer;
  bool isEnded;
  NSUInteger debugGroups;
}
- (id)initWithCommandBuffer:(LinuxCommandBuffer *)commands;
/** Raises after endEncoding. */
- (void)requireOpen;
/** Raises unless `object` is of the encoder's device. */
- (void)requireDevice:(id<MTLDevice>)device of:(const char *)what;
@end

typedef struct BoundArgument {
  LinuxBuffer *buffer; /* nil for bytes */
  void *bytes;         /* start of what is bound, or NULL: nothing is */
  uint64_t length;     /* from there to the end */
  uint64_t offset;
} BoundArgument;

@interface LinuxComputeCommandEncoder : LinuxCommandEncoder <MTLComputeCommandEncoder> {
 @public
  MTLDispatchType type;
  LinuxPipelineState *pipeline; /* not retained: kept by the command buffer, or by the caller */
  BoundArgument arguments[DriverMaxBuffers];
  uint32_t memoryLengths[DriverMaxThreadgroupMemories];
  uint64_t memoryTotal;
}
- (id)initWithCommandBuffer:(LinuxCommandBuffer *)commands dispatchType:(MTLDispatchType)dispatchType;
@end

@interface LinuxBlitCommandEncoder : LinuxCommandEncoder <MTLBlitCommandEncoder>
@end

/**
 * Raises an exception for a broken rule of Metal. `rule` is its name, beginning with "MTL"; the reason states the rule
 * and the values. What Apple's framework aborts on, and what its validation layer asserts, is the same here.
 */
extern void MTLBreakRule(NSString *rule, NSString *format, ...) NS_FORMAT_FUNCTION(2, 3) __attribute__((noreturn));

/** An error; +1, so that threads without a pool can make one. `message` may be NULL. */
extern NSError *MTLNewError(NSErrorDomain domain, NSInteger code, const char *message);

/** Makes an autoreleased error for an out parameter, where the caller wants one. */
extern void MTLSetError(NSError **error, NSErrorDomain domain, NSInteger code, const char *message);

#endif

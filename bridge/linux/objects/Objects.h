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
#import "Lifetime.h"

@class LinuxCommandBuffer, LinuxCommandQueue, LinuxDevice, LinuxFunction, LinuxResidencySet;

static inline MTLStorageMode storageModeOf(MTLResourceOptions options) {
  return (options & MTLResourceStorageModeMask) >> MTLResourceStorageModeShift;
}

/** What every object with a label is. */
@interface LinuxObject : NSObject {
  NSString *_label;
}
@property (copy, atomic) NSString *label;
@end

/** What command buffers use, and find out to be gone where they do not retain it. */
@interface LinuxTracked : LinuxObject {
 @public
  Lifetime *lifetime; /* begins what the object holds; the subclass sets it */
}
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

/** What a buffer holds. */
typedef struct BufferMemory {
  Lifetime lifetime;
  LinuxDevice *owner; /* devices are never freed */
  DriverMemory place;
  NSUInteger size; /* 0 while there is no memory */
  void (^deallocator)(void *, NSUInteger); /* of memory that is the caller's */
} BufferMemory;

@interface LinuxBuffer : LinuxTracked <MTLBuffer> {
 @public
  LinuxDevice *owner;
  BufferMemory *memory;
  MTLResourceOptions options;
}
/** Takes driver memory, which goes with the buffer. nil when there is none left. */
- (id)initWithDevice:(LinuxDevice *)device length:(NSUInteger)length options:(MTLResourceOptions)resourceOptions;
/** Takes the caller's memory; `block`, which may be nil, is called with it at the end. nil where the device cannot work
 *  on it; `block` is not called then. */
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

/** What a pipeline state holds. */
typedef struct PipelineCode {
  Lifetime lifetime;
  LinuxFunction *kernel; /* retained */
  const DriverFunction *function;
  NSUInteger mostThreads;
  bool needsWholeSimdgroups; /* threadGroupSizeIsMultipleOfThreadExecutionWidth */
  bool supportsIndirectCommands;
} PipelineCode;

@interface LinuxPipelineState : LinuxTracked <MTLComputePipelineState> {
 @public
  PipelineCode *code;
}
- (id)initWithFunction:(LinuxFunction *)function
            descriptor:(MTLComputePipelineDescriptor *)descriptor
           mostThreads:(NSUInteger)mostThreads;
@end

@interface MTLComputePipelineReflection (Linux)
- (id)initWithFunction:(const DriverFunction *)function;
@end

/** An archive of compiled pipelines: on this layer, of the identities of what it has. Thread-safe. */
@interface LinuxBinaryArchive : LinuxObject <MTLBinaryArchive> {
 @public
  LinuxDevice *owner;
  pthread_mutex_t lock;
  struct ArchiveEntry *entries;
  NSUInteger entryCount, entryCapacity;
}
/** nil with the error where the descriptor's file is no archive of this device and layer. */
- (id)initWithDevice:(LinuxDevice *)device descriptor:(MTLBinaryArchiveDescriptor *)descriptor error:(NSError **)error;
- (bool)hasPipeline:(MTLComputePipelineDescriptor *)descriptor;
@end

@interface MTLArchitecture (Linux)
- (id)initWithName:(const char *)name;
@end

/** Command buffers in order, linked through `next`. */
typedef struct CommandBufferList {
  LinuxCommandBuffer *first, *last;
} CommandBufferList;

/**
 * What a queue and its thread share. The thread runs the committed command buffers in order and their handlers, with no
 * autorelease pool. It is started by the first commit and ends with the queue.
 *
 * Where the device runs beside the CPU, whoever commits also starts what can be started, so that the device goes from one
 * command buffer to the next by itself; the thread then waits for each, and calls the handlers.
 */
enum { QueueSpares = 8, QueueSpareCommands = 4 /* that each has room for */ };

typedef struct QueueState {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  CommandBufferList enqueued; /* retained by this list from commit on */
  CommandBufferList started;  /* by the driver; retained */
  pthread_mutex_t startLock;  /* taken before `lock`: one thread at a time starts, so that the order stays */
  const Driver *driver;
  void *driverQueue; /* NULL where the driver has none */
  NSUInteger outstanding; /* command buffers that exist and have not completed */
  uint64_t enqueuedCount; /* how many there have been */
  uint64_t completed;     /* how many of them are done, handlers included, and released by the thread */
  NSUInteger most;
  DriverCommand *spare[QueueSpares]; /* arrays of commands for command buffers to come */
  unsigned spareCount;
  bool isStopping;
  bool hasThread;
  pthread_t thread;
} QueueState;

@interface LinuxCommandQueue : LinuxObject <MTLCommandQueue> {
 @public
  LinuxDevice *owner;
  QueueState *state;
  pthread_mutex_t residencyLock;
  NSMutableArray *residencySets; /* under residencyLock */
}
- (id)initWithDevice:(LinuxDevice *)device most:(NSUInteger)most;
/** Appends to the list (once), and with `commit` lets the thread run it. */
- (void)enqueue:(LinuxCommandBuffer *)commands commit:(bool)isCommitted;
/** Takes one that was enqueued and is freed without commit out of the list. */
- (void)withdraw:(LinuxCommandBuffer *)commands;
/** Takes a command buffer off the count: it has run, or was never enqueued. */
- (void)forget;
@end

/** Of a queue, and of a command buffer. */
enum { MostResidencySets = 32 };

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
  Lifetime **used; /* not retained, but found out to be gone at completion */
  NSUInteger usedCount, usedCapacity;
  Lifetime **declared; /* by useResource: of all encoders, in order; kept or used */
  NSUInteger declaredCount, declaredCapacity;
  struct IndirectOperation *operations; /* on indirect command buffers, in order */
  NSUInteger operationCount, operationCapacity;
  bool isInFlight; /* its operations are counted as such */
  NSMutableArray *residencySets;
  ByteBlock *blocks;
  NSMutableArray *scheduledHandlers, *completedHandlers;
  NSError *failure;
  double startTime, endTime;
  void *work; /* what the driver has started */
  char *startMessage; /* why it has not */
}
- (id)initWithQueue:(LinuxCommandQueue *)aQueue retainsReferences:(bool)retains;
/** A new command at the end, zeroed but for its kind. */
- (DriverCommand *)append:(DriverCommandKind)kind;
/** Retains `object` until completion, if this command buffer does that; else marks it as used. */
- (void)keep:(LinuxTracked *)object;
/** Marks as used what is not retained. */
- (void)use:(Lifetime *)lifetime;
/** Notes what useResource: made resident. */
- (void)declare:(LinuxTracked *)object;
/** A new operation on an indirect command buffer, zeroed, with the place of the last command. */
- (struct IndirectOperation *)appendOperation;
/** A copy of the bytes that lives until completion. */
- (void *)copyBytes:(const void *)bytes length:(NSUInteger)length;
/** Hands the commands to a driver that runs them beside the CPU. Under the queue's startLock. */
- (void)start;
/** Runs everything, or waits for what was started, and runs the handlers; on the queue's thread, without a pool. The
 *  queue does the rest. */
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
  BufferMemory *buffer; /* NULL for bytes */
  void *bytes;          /* start of what is bound, as the device has it, or NULL: nothing is */
  uint64_t length;     /* from there to the end */
  uint64_t offset;
} BoundArgument;

@interface LinuxComputeCommandEncoder : LinuxCommandEncoder <MTLComputeCommandEncoder> {
 @public
  MTLDispatchType type;
  PipelineCode *pipeline; /* kept or used by the command buffer */
  BoundArgument *arguments; /* DriverMaxBuffers of them, once one is bound; NULL before */
  uint32_t memoryLengths[DriverMaxThreadgroupMemories];
  NSUInteger firstDeclared; /* of the command buffer's, that is this encoder's */
}
- (id)initWithCommandBuffer:(LinuxCommandBuffer *)commands dispatchType:(MTLDispatchType)dispatchType;
@end

@interface LinuxBlitCommandEncoder : LinuxCommandEncoder <MTLBlitCommandEncoder>
@end

/* ---- rules that encoders and indirect commands share (DispatchRules.m) --------------------------------------------- */

/** The buffer at an offset, or a broken rule. */
extern BoundArgument MTLBind(BufferMemory *buffer, NSUInteger offset, NSUInteger index);
extern void MTLCheckThreadgroupMemory(const LinuxDevice *device, NSUInteger length, NSUInteger index);
/** Threads per threadgroup, for the device and the pipeline. */
extern void MTLCheckThreads(const LinuxDevice *device, const PipelineCode *pipeline, MTLSize threads);
/** The grid in threads. `countsThreads`: that is what `grid` says; else it counts threadgroups. */
extern void MTLReadGrid(const LinuxDevice *device, MTLSize grid, MTLSize size, bool countsThreads, uint64_t threads[3]);
/** That all arguments of the function are bound as it declares them. */
extern void MTLCheckArguments(const LinuxDevice *device, const DriverFunction *function,
                              const BoundArgument arguments[DriverMaxBuffers],
                              const uint32_t memoryLengths[DriverMaxThreadgroupMemories]);
/** Writes one buffer argument into a command of kind DriverCommandDispatch. */
extern void MTLWriteBuffer(DriverCommand *command, NSUInteger index, const BoundArgument *argument);
/** Writes what the function takes into a command of kind DriverCommandDispatch. */
extern void MTLWriteArguments(DriverCommand *command, const DriverFunction *function,
                              const BoundArgument arguments[DriverMaxBuffers],
                              const uint32_t memoryLengths[DriverMaxThreadgroupMemories]);

/**
 * Raises an exception for a broken rule of Metal. `rule` is its name, beginning with "MTL"; the reason states the rule
 * and the values. What Apple's framework aborts on, and what its validation layer asserts, is the same here.
 */
extern void MTLBreakRule(NSString *rule, NSString *format, ...) NS_FORMAT_FUNCTION(2, 3) __attribute__((noreturn));

/** From now on no object has these selectors: respondsToSelector: denies them, and to send one raises. The list ends with
 *  NULL and is kept. */
extern void MTLRemoveSelectors(const char *const *names);

/** What MTLReasonOfNil tells this thread. Takes over `message`, malloc'ed or NULL. */
extern void MTLSetReasonOfNil(char *message);

/** An error; +1, so that threads without a pool can make one. `message` may be NULL. */
extern NSError *MTLNewError(NSErrorDomain domain, NSInteger code, const char *message);

/** Makes an autoreleased error for an out parameter, where the caller wants one. */
extern void MTLSetError(NSError **error, NSErrorDomain domain, NSInteger code, const char *message);

#endif

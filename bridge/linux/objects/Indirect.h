/*
 * Indirect.h: indirect command buffers below their Objective-C interface. Internal to objects/.
 *
 * Each command is kept as the driver command that it becomes, so that executing is handing over an array. Beside it lies
 * what the rules need: the arguments, and by that the buffers and pipelines that have to be alive and resident. A range is
 * looked through once after a change; at each commit there remains one walk over its distinct buffers and pipelines.
 */
#ifndef METAL_LINUX_INDIRECT_H
#define METAL_LINUX_INDIRECT_H

#import "Objects.h"

/** What the rules need to know of a command. It refers to what it names, and keeps none of it alive. */
typedef struct IndirectSlot {
  PipelineCode *pipeline;
  BoundArgument arguments[DriverMaxBuffers];
  uint32_t memoryLengths[DriverMaxThreadgroupMemories];
  MTLSize threadsPerThreadgroup;
  bool isDispatch;
  bool waits;     /* setBarrier; the dispatch call takes it over: */
  bool isWaiting; /* what the dispatch has */
  bool isChecked; /* against the function's declaration, since the last change */
} IndirectSlot;

enum { IndirectMostCommands = 16384, IndirectRememberedSets = 8 };

/** What an indirect command buffer holds. */
typedef struct IndirectCommands {
  Lifetime lifetime;
  LinuxDevice *owner;
  NSUInteger count;
  MTLIndirectCommandType types;
  bool inheritsPipeline, inheritsBuffers;
  NSUInteger mostBuffers, mostMemories;
  DriverCommandList list;
  IndirectSlot *slots;
  atomic_uint inFlight; /* operations of committed command buffers */
  uint64_t version;     /* rises with every change of what commands use */
  pthread_mutex_t lock; /* of what follows: command buffers of several threads may be committed at once */
  NSRange checkedRange;     /* of which every command was checked, and none has changed since these two: */
  uint64_t checkedVersion, checkedRevision;
  NSRange gatheredRange;
  uint64_t gatheredVersion; /* 0: nothing is gathered */
  Lifetime **gathered;      /* distinct, by address; referred to by the slots */
  NSUInteger gatheredCount;
  bool isResident; /* all of them were in the residency sets of these serials */
  uint64_t residentSerials[IndirectRememberedSets];
  NSUInteger residentSerialCount;
} IndirectCommands;

@interface LinuxIndirectCommandBuffer : LinuxTracked <MTLIndirectCommandBuffer> {
 @public
  IndirectCommands *commands;
  MTLResourceOptions options;
}
- (id)initWithDevice:(LinuxDevice *)device
          descriptor:(MTLIndirectCommandBufferDescriptor *)descriptor
               count:(NSUInteger)count
             options:(MTLResourceOptions)resourceOptions;
@end

/** One command; it retains its indirect command buffer. */
@interface LinuxIndirectComputeCommand : NSObject <MTLIndirectComputeCommand> {
 @public
  LinuxIndirectCommandBuffer *owner;
  NSUInteger index;
}
- (id)initWithBuffer:(LinuxIndirectCommandBuffer *)buffer index:(NSUInteger)anIndex;
@end

/** Makes allocations resident for commands that reach them through an indirect command buffer. Retains them. */
@interface LinuxResidencySet : LinuxTracked <MTLResidencySet> {
 @public
  LinuxDevice *owner;
  NSMutableArray *members;
  pthread_mutex_t lock; /* of what follows: commits of command buffers read it on other threads */
  NSArray *committed;   /* as of the last commit */
  Lifetime **resident;  /* theirs, sorted by address */
  NSUInteger residentCount;
  uint64_t serial; /* differs between any two commits of any sets */
}
- (id)initWithDevice:(LinuxDevice *)device descriptor:(MTLResidencySetDescriptor *)descriptor;
@end

/** Whether an address is in a list that MTLSortLifetimes sorted. */
extern bool MTLHasLifetime(Lifetime *const *sorted, NSUInteger count, const Lifetime *lifetime);
extern void MTLSortLifetimes(Lifetime **lifetimes, NSUInteger count);

/** Raises unless the range is inside. */
extern void MTLCheckCommandRange(const IndirectCommands *commands, NSRange range);
/** Raises while an execution is in flight. */
extern void MTLCheckNotInFlight(const IndirectCommands *commands);
/** Empties commands, for the rules; with `encoded` for the driver too. */
extern void MTLResetCommands(IndirectCommands *commands, NSRange range, bool encoded);

typedef enum IndirectKind { IndirectExecute, IndirectReset, IndirectCopy } IndirectKind;

/** An operation of a command buffer: its rules are looked at when it is committed, in order. */
typedef struct IndirectOperation {
  IndirectKind kind;
  IndirectCommands *commands; /* used by the command buffer */
  NSRange range;
  IndirectCommands *destination; /* of a copy */
  NSUInteger destinationIndex;
  uint32_t command; /* the place of the driver command of an execution */
  NSUInteger firstDeclared, declaredCount; /* what the encoder made resident before */
  PipelineCode *pipeline; /* what is inherited */
  BoundArgument *arguments; /* malloc'ed: DriverMaxBuffers of them */
  uint32_t *memoryLengths;
  DriverCommand *expanded; /* malloc'ed: commands that inherit */
} IndirectOperation;

/** Looks at the rules of an operation that is about to be committed, and does what it does to the rules' state. */
extern void MTLPrepareOperation(LinuxCommandBuffer *commandBuffer, IndirectOperation *operation);

#endif

/*
 * Validation.h: Metal's rules. On a Mac a broken rule ends the process or, with the validation layer off, is undefined;
 * here it raises an NSException that leaves everything as it was before the call. The exception's name is
 * "MTLValidation" followed by the rule's name, its reason states the rule and the values.
 */
#ifndef BUN_METAL_LINUX_VALIDATION_H
#define BUN_METAL_LINUX_VALIDATION_H

#import <Foundation/Foundation.h>

/* Each rule's name, and the sentence that starts its reason. */
#define VALIDATION_RULES(RULE)                                                                                     \
  RULE(EncoderNotEnded, "An encoder must not be released before endEncoding")                                      \
  RULE(EncoderOpen, "A command buffer has at most one open encoder")                                               \
  RULE(EncoderEnded, "An encoder takes no calls after endEncoding")                                                \
  RULE(CommitWithOpenEncoder, "A command buffer is committed only after endEncoding")                              \
  RULE(CommittedTwice, "A command buffer is committed once")                                                       \
  RULE(EncodingAfterCommit, "A committed command buffer takes no encoders")                                        \
  RULE(EnqueuedTwice, "A command buffer is enqueued once, before commit")                                          \
  RULE(HandlerAfterCommit, "Handlers are added before commit")                                                     \
  RULE(WaitBeforeCommit, "Waiting needs a committed command buffer")                                               \
  RULE(WaitInHandler, "A handler must not wait for its own queue")                                                 \
  RULE(ForeignDevice, "Objects of another device cannot be used")                                                  \
  RULE(DebugGroups, "pushDebugGroup: and popDebugGroup must be balanced")                                          \
  RULE(BufferLengthZero, "A buffer has at least one byte")                                                         \
  RULE(BufferTooLong, "A buffer has at most maxBufferLength bytes")                                                \
  RULE(BufferBytesNull, "newBufferWithBytes: needs a pointer")                                                     \
  RULE(BufferMemory, "newBufferWithBytesNoCopy: needs whole pages of the CPU's memory")                            \
  RULE(StorageMode, "Buffers here are shared or private")                                                          \
  RULE(NilArgument, "The argument must not be nil")                                                                \
  RULE(QueueLength, "A queue has room for at least one command buffer")                                            \
  RULE(NoPipeline, "A dispatch needs a pipeline")                                                                  \
  RULE(BufferIndex, "A buffer index is below 31")                                                                  \
  RULE(BufferOffset, "A buffer's offset is below its length")                                                      \
  RULE(BufferAlignment, "A buffer's offset is a multiple of its argument's alignment")                             \
  RULE(BufferMissing, "Every buffer argument is bound")                                                            \
  RULE(BufferTooSmall, "A binding covers its argument's type")                                                     \
  RULE(BytesLength, "setBytes: takes 1 to 4096 bytes")                                                             \
  RULE(BytesWritable, "setBytes: binds to arguments that the kernel only reads")                                   \
  RULE(BufferOffsetUnbound, "setBufferOffset: needs a buffer bound at its index")                                  \
  RULE(ThreadsPerThreadgroup, "A threadgroup has 1 to the pipeline's maxTotalThreadsPerThreadgroup threads")       \
  RULE(ThreadgroupMultiple, "The pipeline was promised whole SIMD groups")                                         \
  RULE(GridEmpty, "A grid has at least one thread in every dimension")                                             \
  RULE(GridTooLarge, "A grid has fewer than 2^32 threads in every dimension")                                      \
  RULE(ThreadgroupMemory, "Threadgroup memory has a length for each argument, multiples of 16, within the device's") \
  RULE(IndirectBuffer, "Indirect arguments are 12 bytes of a buffer at a multiple of 4")                           \
  RULE(BarrierScope, "A compute barrier covers buffers or textures")                                               \
  RULE(CopyRange, "A copy has at least one byte, inside both buffers, without overlap")                            \
  RULE(CopyAlignment, "A copy's offsets and size are multiples of 4")                                              \
  RULE(FillRange, "A fill has at least one byte, inside its buffer")                                               \
  RULE(FillAlignment, "A fill's offset and length are multiples of 4")

typedef enum ValidationRule {
#define VALIDATION_RULE(name, text) Rule##name,
  VALIDATION_RULES(VALIDATION_RULE)
#undef VALIDATION_RULE
} ValidationRule;

/** Raises the rule's exception; the format tells the values. */
extern void raiseRule(ValidationRule rule, const char *format, ...)
    __attribute__((noreturn, format(printf, 2, 3)));

#endif

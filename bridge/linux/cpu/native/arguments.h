/*
 * arguments.h: what a dispatch binds, checked. Part of level.h.
 */
typedef uint32_t uint; // as the shaders call it
#include "../../../../shaders/args.h"

/** What is bound at an index; NULL where it has fewer than `length` bytes. */
static void *bound(const DriverCommand *command, uint32_t index, uint64_t length) {
  return command->dispatch.bufferLengths[index] >= length ? command->dispatch.buffers[index] : nullptr;
}

/** Threadgroups along an axis of the grid. */
static uint64_t groups_along(const DriverCommand *command, uint32_t axis) {
  const uint64_t size = command->dispatch.threadsPerThreadgroup[axis];
  return (command->dispatch.threads[axis] + size - 1) / size;
}

/** a * b, or UINT64_MAX where that is no 64-bit number: longer than any buffer. */
static uint64_t product(uint64_t a, uint64_t b) {
  uint64_t result;
  return __builtin_mul_overflow(a, b, &result) ? UINT64_MAX : result;
}

/** The thread's memory, for what nobody will look for later. */
static void *scratch(const NativeRun *run) {
  run->thread->content[0] = 0; // what it was known to hold is overwritten
  return run->thread->memory;
}

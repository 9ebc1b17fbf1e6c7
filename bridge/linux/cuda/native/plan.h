/*
 * plan.h: what plans ask of a command.
 */
#ifndef BUN_METAL_CUDA_NATIVE_PLAN_H
#define BUN_METAL_CUDA_NATIVE_PLAN_H

#include "../ranges.h"
#include "native.h"
#include "shader_args.h"

#include <stddef.h>
#include <string.h>

enum { ChosenBytes = 12 }; /* struct Chosen of shaders/sample.metal */

static inline uint64_t divideUp(uint64_t a, uint64_t b) { return a / b + (a % b != 0); }

/** Whether a buffer is there, begins at a multiple of `alignment`, and has so many bytes. */
static inline bool isBound(const CudaNativeCommand *command, uint32_t index, uint64_t bytes, uint32_t alignment) {
  return command->buffers[index] != 0 && command->buffers[index] % alignment == 0 && command->bufferLengths[index] >= bytes;
}

/** The struct of shaders/args.h, of so many bytes, that is bound there; NULL where it is not, or does not stay as it is. */
static inline const void *argumentsOf(const CudaNativeCommand *command, uint32_t index, uint64_t bytes) {
  return command->bufferLengths[index] < bytes ? NULL : command->constants[index];
}

/** Threadgroups along an axis of the original's grid. */
static inline uint64_t groupsAlong(const CudaNativeCommand *command, uint32_t axis) {
  const uint64_t size = command->threadsPerThreadgroup[axis];
  return size == 0 ? 0 : divideUp(command->threads[axis], size);
}

static inline CudaRange rangeAt(uint64_t address, uint64_t bytes) { return (CudaRange){address, address + bytes}; }

#endif

/*
 * direct.h: dispatches that are in no graph: each is offered alone.
 */
#ifndef BUN_METAL_CUDA_NATIVE_DIRECT_H
#define BUN_METAL_CUDA_NATIVE_DIRECT_H

#include "library.h"

/** Memory of a stream for stand-ins, which run on it one after the other. Zeroed before it is first used. */
typedef struct CudaNativeMemory {
  CudaAddress scratch, partials;
  uint64_t scratchBytes, partialBytes;
} CudaNativeMemory;

/** Launches what stands in for a dispatch that was read, with all its arguments in place. *isTaken tells whether anything
 * does. The device is entered. False with a malloc'ed *message. */
bool cudaNativeDispatch(CudaDevice *device, CudaStream stream, CudaNativeMemory *memory, const DriverCommand *command,
                        const CudaDispatch *dispatch, bool *isTaken, char **message);
/** Begins to compile what will stand in for a dispatch, if anything does. */
void cudaNativeForesee(CudaDevice *device, const DriverCommand *command, const CudaDispatch *dispatch);
/** Nothing on the stream uses it any more. */
void cudaNativeFreeMemory(CudaNativeMemory *memory);

#endif

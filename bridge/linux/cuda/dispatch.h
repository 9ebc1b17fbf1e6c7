/*
 * dispatch.h: from a dispatch of the layer above to launches of a kernel.
 */
#ifndef BUN_METAL_CUDA_DISPATCH_H
#define BUN_METAL_CUDA_DISPATCH_H

#include "device.h"
#include "metal/library/abi.h"

/** A dispatch with everything that its launches take. Where the bytes of arguments are is for the caller to say. The kernel is
 * NULL until it is asked for: what stands in for it may need none. */
typedef struct CudaDispatch {
  CudaLaunch launch;
  CudaKernel kernel;
  uint32_t groups[3];
  uint32_t block[3];
  uint32_t sharedBytes;
  uint32_t mirrored; /* bit i: buffer i is a copy that the graph's first nodes make (arguments.h) */
} CudaDispatch;

/** Reads a command of kind DriverCommandDispatch, without its indirectGroups. False with a malloc'ed *message. */
bool cudaDispatchRead(CudaDevice *device, const DriverCommand *command, CudaDispatch *out, char **message);

/** Gets the kernel of a dispatch that was read, once it is compiled. The device is entered. False with a malloc'ed *message. */
bool cudaDispatchGetKernel(const DriverCommand *command, CudaDispatch *dispatch, char **message);

/** Whether there is nothing to do. */
bool cudaDispatchIsEmpty(const DriverCommand *command);

/** Gives the argument its bytes with the launch itself, where it is one that can be given them so. */
bool cudaDispatchInline(CudaDispatch *dispatch, const DriverFunction *function, const DriverArgument *argument,
                        const void *bytes);

/** Notes what shared memory it writes (memory.h). */
void cudaDispatchNoteWrites(const DriverCommand *command);

/** Launches that it takes: more than one where the grid is larger than CUDA's can be. */
uint64_t cudaDispatchPieces(const CudaDevice *device, const CudaDispatch *dispatch);

/** Sets up one of them. *out and *parameter refer to `dispatch`. */
void cudaDispatchPiece(const CudaDevice *device, CudaDispatch *dispatch, uint64_t piece, CudaKernelNode *out,
                       void **parameter);

/** Launches a kernel as it is set up in a node. */
CudaResult cudaLaunchNode(CudaStream stream, const CudaKernelNode *node);

/** Launches all of it. False with a malloc'ed *message. */
bool cudaDispatchLaunch(CudaDevice *device, CudaStream stream, const DriverCommand *command, CudaDispatch *dispatch,
                        char **message);

/** "Cannot launch kernel ... on ..." */
char *cudaDispatchFailure(CudaDevice *device, CudaResult result, const DriverCommand *command, const char *what);

#endif

/* dispatch.c: see dispatch.h. */
#include "dispatch.h"
#include "../msl/text.h"
#include "library.h"
#include "memory.h"

#include <string.h>

enum { MemoryAlignment = 16 };

bool cudaDispatchIsEmpty(const DriverCommand *command) {
  for (int i = 0; i < 3; i++)
    if (command->dispatch.threads[i] == 0 || command->dispatch.threadsPerThreadgroup[i] == 0) return true;
  return false;
}

/* Lays out the threadgroup memory: static variables, then each argument. */
static uint64_t placeMemory(const DriverCommand *command, CudaLaunch *launch) {
  const DriverFunction *function = command->dispatch.function;
  uint64_t bytes = function->staticThreadgroupMemoryLength;
  for (uint32_t i = 0; i < function->argumentCount; i++) {
    const DriverArgument *argument = &function->arguments[i];
    if (argument->kind != DriverArgumentThreadgroupMemory) continue;
    bytes = (bytes + MemoryAlignment - 1) / MemoryAlignment * MemoryAlignment;
    launch->threadgroupMemory[argument->index] = (CudaU32)bytes;
    bytes += command->dispatch.threadgroupLengths[argument->index];
  }
  return bytes;
}

bool cudaDispatchRead(CudaDevice *device, const DriverCommand *command, CudaDispatch *out, char **message) {
  const DriverFunction *function = command->dispatch.function;
  memset(out, 0, sizeof *out);
  for (uint32_t i = 0; i < function->argumentCount; i++) {
    const DriverArgument *argument = &function->arguments[i];
    if (argument->kind == DriverArgumentBuffer && !driverIsBytes(command, argument))
      out->launch.buffers[argument->index] = (uintptr_t)command->dispatch.buffers[argument->index];
  }
  for (int k = 0; k < 3; k++) {
    const uint64_t threads = command->dispatch.threads[k];
    if (threads > UINT32_MAX) {
      *message = mslFormat("The grid of kernel '%s' is too large", function->name);
      return false;
    }
    out->block[k] = command->dispatch.threadsPerThreadgroup[k];
    out->groups[k] = (uint32_t)((threads + out->block[k] - 1) / out->block[k]);
    out->launch.grid[k] = (uint32_t)threads;
    out->launch.requested[k] = out->block[k];
  }
  const uint64_t bytes = placeMemory(command, &out->launch);
  if (bytes > device->sharedBytes) {
    *message = mslFormat("Kernel '%s' takes %llu bytes of threadgroup memory, %s has %u", function->name,
                         (unsigned long long)bytes, device->name, device->sharedBytes);
    return false;
  }
  out->sharedBytes = (uint32_t)bytes;
  return true;
}

bool cudaDispatchGetKernel(const DriverCommand *command, CudaDispatch *dispatch, char **message) {
  dispatch->kernel = cudaFunctionFor(command->dispatch.function, dispatch->sharedBytes, message);
  return dispatch->kernel != NULL;
}

bool cudaDispatchInline(CudaDispatch *dispatch, const DriverFunction *function, const DriverArgument *argument,
                        const void *bytes) {
  const CudaFunction *f = function->implementation;
  const uint32_t offset = f->constantOffsets[argument->index];
  if (offset == CudaNoOffset) return false;
  memcpy(dispatch->launch.constants + offset, bytes, argument->dataSize);
  dispatch->launch.inlined |= 1u << argument->index;
  return true;
}

void cudaDispatchNoteWrites(const DriverCommand *command) {
  const DriverFunction *function = command->dispatch.function;
  for (uint32_t i = 0; command->dispatch.shared != 0 && i < function->argumentCount; i++) {
    const DriverArgument *argument = &function->arguments[i];
    if (argument->writable && driverIsShared(command, argument))
      cudaSharedWritten((uintptr_t)command->dispatch.buffers[argument->index]);
  }
}

/* ---- pieces -------------------------------------------------------------------------------------------------------- */

static uint32_t piecesOf(const CudaDevice *device, const CudaDispatch *dispatch, int k) {
  return (dispatch->groups[k] - 1) / device->maxGrid[k] + 1;
}

uint64_t cudaDispatchPieces(const CudaDevice *device, const CudaDispatch *dispatch) {
  uint64_t pieces = 1;
  for (int k = 0; k < 3; k++) pieces *= piecesOf(device, dispatch, k);
  return pieces;
}

void cudaDispatchPiece(const CudaDevice *device, CudaDispatch *dispatch, uint64_t piece, CudaKernelNode *out,
                       void **parameter) {
  uint32_t size[3];
  for (int k = 0; k < 3; k++) {
    const uint32_t pieces = piecesOf(device, dispatch, k), most = device->maxGrid[k];
    const uint32_t from = (uint32_t)(piece % pieces) * most, left = dispatch->groups[k] - from;
    piece /= pieces;
    dispatch->launch.origin[k] = from;
    size[k] = left < most ? left : most;
  }
  *parameter = &dispatch->launch;
  *out = (CudaKernelNode){.function = dispatch->kernel,
                          .gridX = size[0],
                          .gridY = size[1],
                          .gridZ = size[2],
                          .blockX = dispatch->block[0],
                          .blockY = dispatch->block[1],
                          .blockZ = dispatch->block[2],
                          .sharedBytes = dispatch->sharedBytes,
                          .parameters = parameter};
}

char *cudaDispatchFailure(CudaDevice *device, CudaResult result, const DriverCommand *command, const char *what) {
  const uint64_t *threads = command->dispatch.threads;
  const uint32_t *group = command->dispatch.threadsPerThreadgroup;
  return cudaFailure(device, result, "%s kernel '%s', %llu x %llu x %llu threads in threadgroups of %u x %u x %u", what,
                     command->dispatch.function->name, (unsigned long long)threads[0], (unsigned long long)threads[1],
                     (unsigned long long)threads[2], group[0], group[1], group[2]);
}

CudaResult cudaLaunchNode(CudaStream stream, const CudaKernelNode *node) {
  return cudaApi()->LaunchKernel(node->function, node->gridX, node->gridY, node->gridZ, node->blockX, node->blockY,
                                 node->blockZ, node->sharedBytes, stream, node->parameters, NULL);
}

bool cudaDispatchLaunch(CudaDevice *device, CudaStream stream, const DriverCommand *command, CudaDispatch *dispatch,
                        char **message) {
  const uint64_t pieces = cudaDispatchPieces(device, dispatch);
  CudaResult result = CudaSuccess;
  for (uint64_t i = 0; i < pieces && result == CudaSuccess; i++) {
    CudaKernelNode node;
    void *parameter;
    cudaDispatchPiece(device, dispatch, i, &node, &parameter);
    result = cudaLaunchNode(stream, &node);
  }
  if (result != CudaSuccess) *message = cudaDispatchFailure(device, result, command, "Cannot launch");
  return result == CudaSuccess;
}

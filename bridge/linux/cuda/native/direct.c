/* direct.c: see direct.h. */
#include "direct.h"

#include <stdlib.h>

/* Makes room for `length` bytes; what was there is lost. */
static bool reserve(CudaDevice *device, CudaStream stream, CudaAddress *memory, uint64_t *bytes, uint64_t length,
                    char **message) {
  if (length <= *bytes) return true;
  uint64_t capacity = 65536;
  while (capacity < length) capacity *= 2;
  if (*memory) {
    cudaApi()->StreamSynchronize(stream); /* what goes may be in use */
    cudaApi()->MemFree(*memory);
  }
  *memory = 0;
  *bytes = 0;
  const CudaResult result = cudaApi()->MemAlloc(memory, capacity);
  if (result == CudaSuccess) {
    *bytes = capacity;
    return true;
  }
  *memory = 0;
  *message = cudaFailure(device, result, "Cannot allocate %llu bytes for a kernel", (unsigned long long)capacity);
  return false;
}

void cudaNativeFreeMemory(CudaNativeMemory *memory) {
  if (memory->scratch) cudaApi()->MemFree(memory->scratch);
  if (memory->partials) cudaApi()->MemFree(memory->partials);
  *memory = (CudaNativeMemory){0};
}

static bool placeMemory(CudaDevice *device, CudaStream stream, CudaNativeMemory *memory, CudaNativeLaunch *launch,
                        char **message) {
  const uint64_t before = memory->scratchBytes;
  /* Scratch memory last: nothing may fail between where it is had and where it is cleared. */
  if (!reserve(device, stream, &memory->partials, &memory->partialBytes, launch->partialBytes, message) ||
      !reserve(device, stream, &memory->scratch, &memory->scratchBytes, launch->scratchBytes, message))
    return false;
  CudaResult result = CudaSuccess;
  if (memory->scratchBytes != before) result = cudaApi()->MemsetD8Async(memory->scratch, 0, memory->scratchBytes, stream);
  cudaNativePlaceMemory(launch, memory->scratch, memory->partials);
  if (result == CudaSuccess) return true;
  memory->scratchBytes = 0; /* none of it is zero: what wants some gets other memory */
  *message = cudaFailure(device, result, "Cannot clear memory for a kernel");
  return false;
}

/* Offers a dispatch. False with a malloc'ed *message. */
static bool offer(CudaDevice *device, const DriverCommand *command, const CudaDispatch *dispatch, CudaNativeLaunch *launch,
                  bool *isTaken, char **message) {
  bool isThere;
  CudaNativeCommand offered;
  unsigned char constants[CudaConstantBytes] __attribute__((aligned(16)));
  *isTaken = false;
  if (!cudaNativeDescribe(command, dispatch, constants, &offered)) return true;
  if (!cudaNativeOpen(device, &isThere, message)) return false;
  *isTaken = isThere && cudaNativeOffer(device, &offered, 1, launch) > 0;
  return true;
}

void cudaNativeForesee(CudaDevice *device, const DriverCommand *command, const CudaDispatch *dispatch) {
  CudaNativeLaunch launch;
  bool isTaken;
  char *message = NULL;
  if (offer(device, command, dispatch, &launch, &isTaken, &message) && isTaken) cudaNativeBegin(device, &launch);
  free(message);
}

bool cudaNativeDispatch(CudaDevice *device, CudaStream stream, CudaNativeMemory *memory, const DriverCommand *command,
                        const CudaDispatch *dispatch, bool *isTaken, char **message) {
  CudaNativeLaunch launch;
  if (!offer(device, command, dispatch, &launch, isTaken, message)) return false;
  if (!*isTaken) return true;
  CudaKernelNode node;
  void *parameter;
  if (!placeMemory(device, stream, memory, &launch, message) ||
      !cudaNativeKernel(device, &launch, &node, &parameter, message))
    return false;
  const CudaResult result = cudaLaunchNode(stream, &node);
  if (result != CudaSuccess) *message = cudaDispatchFailure(device, result, command, "Cannot launch what stands in for");
  return result == CudaSuccess;
}

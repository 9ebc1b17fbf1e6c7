/*
 * arguments.h: what the kernels of a graph read of shared memory, brought to where they read it fast.
 *
 * Shared memory is across the bus: a kernel that begins with a look at its constants waits for microseconds. So
 *
 * - small constants travel with the launch, where the kernel takes them so. Each launch of the graph compares them with
 *   what is in memory now; what does not stay the same is no constant, and is read from memory from then on;
 * - other small ranges that kernels only read (the words of a run) are copied to the device by the graph's first nodes.
 */
#ifndef BUN_METAL_CUDA_ARGUMENTS_H
#define BUN_METAL_CUDA_ARGUMENTS_H

#include "dispatch.h"
#include "ranges.h"

enum { CudaMostMirrors = 8, CudaMirrorBytes = 256 << 10 };

/** A range of shared memory, and its copy on the device. */
typedef struct CudaMirror {
  CudaAddress from;
  uint64_t length;
  CudaAddress copy;
} CudaMirror;

/** Bytes of shared memory that went with the launch of a command. */
typedef struct CudaInlined {
  CudaAddress address;
  const unsigned char *contents; /* where the CPU has it */
  uint32_t command, index, length;
  unsigned char bytes[CudaConstantLargest];
} CudaInlined;

/** Constants that lie behind each other. */
typedef struct CudaSpan {
  const unsigned char *contents;
  size_t length, copy; /* where their bytes are in `copies` */
} CudaSpan;

typedef struct CudaArguments {
  CudaMirror mirrors[CudaMostMirrors];
  uint32_t mirrorCount;
  CudaAddress memory; /* of all mirrors */
  CudaInlined *inlined;
  uint32_t inlinedCount, inlinedCapacity;
  uint64_t writes; /* cudaSharedWrites() when the constants were looked at */
  CudaSpan *spans;
  uint32_t spanCount; /* 0: to be made of what is inlined */
  unsigned char *copies;
} CudaArguments;

/** Chooses what is mirrored, for the dispatches among `commands`, which write what is `written`. changing[i] has a bit for each
 * buffer of command i whose constants were seen to change. The device is entered. False with a malloc'ed *message. */
bool cudaArgumentsPlan(CudaDevice *device, CudaArguments *arguments, const DriverCommand *commands, uint32_t count,
                       const uint32_t *changing, const CudaWrites *written, char **message);
void cudaArgumentsFree(CudaArguments *arguments);

/** Says where the arguments of command `index` are. False where it writes to what is mirrored, or memory is out: then the
 * whole is to be planned anew. */
bool cudaArgumentsPlace(CudaArguments *arguments, const DriverCommand *command, uint32_t index, uint32_t changing,
                        CudaDispatch *dispatch);

/** Whether no constant can have changed: a quick look, which may also say no where none has. */
bool cudaArgumentsAreUnchanged(CudaArguments *arguments);
/** Whether all constants are what they were; else sets the bits in `changing` of those that are not. */
bool cudaArgumentsAreCurrent(CudaArguments *arguments, uint32_t *changing);

#endif

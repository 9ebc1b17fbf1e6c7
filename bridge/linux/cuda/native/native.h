/*
 * native.h: kernels that are written for NVIDIA's GPUs, and stand in for kernels of shaders/ of the same name and arguments.
 *
 * A stand-in is a plan, in C, and a kernel in CUDA C++, which share a header with the struct of the kernel's parameters. A
 * plan is asked about a run of commands. It declines, or takes the first of them: one launch then does what all of these
 * would have done, also across barriers, and writes all that they would have written. What no plan takes is run as it was
 * compiled from MSL. With BUN_METAL_CUDA_NATIVE=off nothing is offered to plans.
 */
#ifndef BUN_METAL_CUDA_NATIVE_H
#define BUN_METAL_CUDA_NATIVE_H

#include "../../driver.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CudaNativeParameterBytes = 1024 };

/** What plans may know of a device. */
typedef struct CudaNativeDevice {
  uint32_t multiprocessors;
  uint32_t capability;  /* 10 x major + minor: 80, 89, 90 */
  uint32_t sharedBytes; /* of a block, at most */
} CudaNativeDevice;

/** A dispatch, as plans see it. Commands between two that wait may run in any order, or at once. */
typedef struct CudaNativeCommand {
  const DriverFunction *function;             /* of the library's own shaders; `name` is the host name */
  uint64_t buffers[DriverMaxBuffers];         /* device addresses; 0 where nothing is bound */
  uint64_t bufferLengths[DriverMaxBuffers];   /* bytes from there to the buffer's end */
  const void *constants[DriverMaxBuffers];    /* what is bound there, where it is a `constant T &` that stays as it is */
  uint64_t threads[3];                        /* of the whole grid */
  uint32_t threadsPerThreadgroup[3];
  uint32_t unwritten;                         /* bit i: no command of its graph writes what buffer i is bound to: weights, words */
  bool waits;                                 /* a barrier comes before it */
} CudaNativeCommand;

/** How the commands that a plan takes are run. Zeroed before plans see it. */
typedef struct CudaNativeLaunch {
  const char *kernel;       /* the name of its entry; of those for several targets, the newest is taken */
  uint32_t grid[3];         /* in blocks */
  uint32_t block[3];        /* in threads: a multiple of 32, 1, 1 */
  uint32_t sharedBytes;     /* dynamic shared memory */
  /** Memory that is zero when the kernel begins, and that it has to leave zero when it ends: for counters. No launch that
   *  may run beside it has the same. */
  uint64_t scratchBytes;
  uint32_t scratchOffset;   /* where in `parameters` its address goes, 8 bytes */
  /** Memory with undefined contents, which nobody else uses while the kernel runs: for partial sums. */
  uint64_t partialBytes;
  uint32_t partialOffset;   /* where in `parameters` its address goes, 8 bytes */
  /** The kernel may begin while the one before it still runs: it calls allowNext(), best where a multiprocessor has room for
   *  its blocks and for as many of the next launch (which else crowd on others, and keep that launch waiting), and, in every
   *  thread and before it touches anything that earlier commands write, or writes anything that they touch, waitForPrevious().
   *  `parameters` and what no command writes (CudaNativeCommand.unwritten: weights may be what another command made) it may read before.
   *  What earlier commands write it reads by ordinary loads, loadOnce or copies: they may write it while it runs. */
  bool overlaps;
  uint32_t parameterBytes;
  unsigned char parameters[CudaNativeParameterBytes] __attribute__((aligned(16)));
} CudaNativeLaunch;

/** How many of the commands, of which there is one at least, the launch in *out does; 0 where it is none that this plan was
 * written for, and then *out is left alone. What it is told of those that it does not take is no promise: they may change while
 * these stay. Bound buffers may be shorter than they should be, and unbound: such commands are not to be taken. */
typedef uint32_t CudaNativePlan(const CudaNativeDevice *device, const CudaNativeCommand *commands, uint32_t count,
                                CudaNativeLaunch *out);

/** All plans, NULL behind the last: a command is for the first that takes it. plans.c. */
extern CudaNativePlan *const cudaNativePlans[];

#ifdef __cplusplus
}
#endif

#endif

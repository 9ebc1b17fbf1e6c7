/*
 * device.h: the GPUs of this machine that can run the shaders, and what went wrong with them.
 */
#ifndef BUN_METAL_CUDA_DEVICE_H
#define BUN_METAL_CUDA_DEVICE_H

#include "../driver.h"
#include "api.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

enum { CudaMostDevices = 64 };

typedef struct CudaDevice {
  uint32_t index;
  CudaDeviceNumber number;
  uint32_t capability;   /* 10 x major + minor */
  uint32_t multiprocessors;
  char name[128];
  char architecture[24]; /* "cuda-sm_90" */
  uint64_t registryID;
  uint64_t totalBytes;
  uint32_t maxThreads, maxBlock[3], maxGrid[3];
  uint32_t sharedBytes;  /* of a threadgroup, at most */
  bool wrapsReadOnly;    /* memory that cannot be written */
  pthread_mutex_t lock;  /* of `context`, while it is made */
  CudaContext context;   /* NULL until something needs it: it takes memory and time. It is never given back */
  atomic_bool refusesOverlaps; /* edges over which a kernel begins early: its driver does not take them */
  atomic_bool isLost;    /* a kernel broke the context: all calls fail from now on */
  char loss[512];        /* why; written once, before `isLost` */
} CudaDevice;

uint32_t cudaDeviceCount(void);
/** Devices live as long as the process. */
CudaDevice *cudaDevice(uint32_t index);
void cudaDeviceProperties(uint32_t index, DriverProperties *out);

/** Makes the device the one that this thread talks to, until cudaLeave. False with a malloc'ed *message. */
bool cudaEnter(CudaDevice *device, char **message);
/** As cudaEnter, for giving back what is the device's: one that is lost takes the calls for that, too, and refuses them. */
bool cudaEnterToFree(CudaDevice *device);
void cudaLeave(void);
/** Whether anything has entered it so far. */
bool cudaHasContext(CudaDevice *device);

/** A malloc'ed sentence: what could not be done, `format`, and why. Where the device is lost by it, that is noted. */
char *cudaFailure(CudaDevice *device, CudaResult result, const char *format, ...) __attribute__((format(printf, 3, 4)));

/** Free and total bytes of device memory, as of now; false where nobody can tell. The device is entered. */
bool cudaMemoryInfo(size_t *available, size_t *total);

/** BUN_METAL_CUDA_CHECK, a list with commas. `sync`: every command is waited for, so that a failure names the kernel that
 * made it. */
bool cudaChecksEach(void);
/** `memory`: every buffer is an allocation of its own, for tools that look for accesses outside of it. */
bool cudaChecksMemory(void);

/** BUN_METAL_CUDA_NATIVE: whether kernels of native/ stand in for shaders (not with `off`), and whether these may begin before
 * the one in front of them has ended (not with `serial` either). */
typedef enum CudaNativeUse { CudaNativeOn, CudaNativeSerial, CudaNativeOff } CudaNativeUse;
CudaNativeUse cudaNativeUse(void);

/** Whether a result says that the driver does not take such edges: they are not tried again. */
bool cudaRefusesOverlaps(CudaDevice *device, CudaResult result);

/** NULL, or what is wrong with the settings. */
const char *cudaProblem(void);

#endif

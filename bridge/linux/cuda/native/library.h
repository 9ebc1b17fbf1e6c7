/*
 * library.h: native kernels as a device has them: the file beside the shaders that holds them, and the plans that use them.
 */
#ifndef BUN_METAL_CUDA_NATIVE_LIBRARY_H
#define BUN_METAL_CUDA_NATIVE_LIBRARY_H

#include "../dispatch.h"
#include "native.h"

/** Whether commands are to be offered: *isThere. Where the file is not there at all they are not; one that is damaged, or of
 * another build, is a failure with a malloc'ed *message. */
bool cudaNativeOpen(CudaDevice *device, bool *isThere, char **message);

/** The same in a thread of its own, which takes tens of milliseconds to read the file: somebody will ask soon. */
void cudaNativeOpenSoon(CudaDevice *device);

/** Writes down a dispatch that was read, with all its arguments in place, as plans see it. `constants` has CudaConstantBytes,
 * and stays as long as *out. False where it is of no shader that ships: then it is not to be offered. */
bool cudaNativeDescribe(const DriverCommand *command, const CudaDispatch *dispatch, unsigned char *constants,
                        CudaNativeCommand *out);

/** Asks all plans: how many of the commands the launch in *out does. */
uint32_t cudaNativeOffer(const CudaDevice *device, const CudaNativeCommand *commands, uint32_t count, CudaNativeLaunch *out);

/** Whether there is a kernel of that name, of stand-ins that are used. */
bool cudaNativeHas(const CudaDevice *device, const char *kernel);
/** Begins to compile the kernel of a launch that will be made. */
void cudaNativeBegin(const CudaDevice *device, const CudaNativeLaunch *launch);

/** Puts addresses of memory for a launch into its parameters. */
void cudaNativePlaceMemory(CudaNativeLaunch *launch, CudaAddress scratch, CudaAddress partials);

/** Sets up a launch. *out and *parameter refer to `launch`. The device is entered. False with a malloc'ed *message. */
bool cudaNativeKernel(CudaDevice *device, CudaNativeLaunch *launch, CudaKernelNode *out, void **parameter, char **message);

/** Begins to compile the kernels that may stand in for one of the library's own shaders, once they are there. False where
 * none may. */
bool cudaNativeExpect(CudaDevice *device, const char *shader);

/** For tests: other plans, and a slice (../slice.h) of kernels for them, in place of the library's own. NULL for these again.
 * Nothing of a device may be under way. */
void cudaNativeReplace(CudaNativePlan *const *plans, const char *slice, size_t length);

#endif

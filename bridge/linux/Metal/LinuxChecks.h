/*
 * What this layer finds out and Apple's Metal tells in its validation output. Not part of Metal: the functions are absent
 * on Apple. Import them weakly and test their addresses.
 */
#ifndef METAL_LINUXCHECKS_H
#define METAL_LINUXCHECKS_H

/** Objects ever deallocated while a command buffer that did not retain them was using them; never falls. Such a command
 *  buffer fails with MTLCommandBufferErrorInvalidResource. Any thread may ask. */
extern double MTLObjectsReleasedInUse(void);

/** Why the device made no buffer or no queue when this thread asked for one last, for which Metal has no error; NULL where
 *  nothing is known. It lives until the next one on this thread. */
extern const char *MTLReasonOfNil(void);

/** Bytes that a device, an object of MTLDevice, has for private memory, those that are left now and all; NaN for what cannot
 *  be told. */
extern void MTLMemoryOfDevice(const void *device, double *available, double *total);

#endif

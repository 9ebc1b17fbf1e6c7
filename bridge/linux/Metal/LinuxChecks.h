/*
 * What this layer finds out and Apple's Metal tells in its validation output. Not part of Metal: the functions are absent
 * on Apple. Import them weakly and test their addresses.
 */
#ifndef METAL_LINUXCHECKS_H
#define METAL_LINUXCHECKS_H

/** Objects ever deallocated while a command buffer that did not retain them was using them; never falls. Such a command
 *  buffer fails with MTLCommandBufferErrorInvalidResource. Any thread may ask. */
extern double MTLObjectsReleasedInUse(void);

#endif

/*
 * levels.h: the levels of native kernels of this kind of machine.
 */
#ifndef BUN_METAL_CPU_NATIVE_LEVELS_H
#define BUN_METAL_CPU_NATIVE_LEVELS_H

#include "native.h"

/** Ascending, NULL at the end. */
extern const NativeLevel *const nativeLevels[];

#endif

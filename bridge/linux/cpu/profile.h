/*
 * profile.h: the CPU device as another one, for tests.
 *
 *   BUN_METAL_CPU_PROFILE=apple7|apple9|intel-discrete|old-ios|simulator   families, limits, missing selectors
 *   BUN_METAL_CPU_MAX_BUFFER=BYTES, BUN_METAL_CPU_WORKING_SET=BYTES        other limits
 *   BUN_METAL_CPU_REFUSE=nocopy,icb,residency,archive                      what cannot be made
 */
#ifndef BUN_METAL_CPU_PROFILE_H
#define BUN_METAL_CPU_PROFILE_H

#include "../driver.h"

/** NULL, or what is wrong with these variables. The text lives as long as the process. */
const char *cpuProfileProblem(void);

/** Changes the properties of the plain CPU device to those that the variables ask for. */
void cpuProfileApply(DriverProperties *properties);

#endif

/*
 * group.h: runs commands that do not depend on each other.
 */
#ifndef BUN_METAL_CPU_GROUP_H
#define BUN_METAL_CPU_GROUP_H

#include "../driver.h"

/** Runs commands of kind DriverCommandDispatch, in any order or at once. Those with a native kernel share one fork and join
 *  of the threads for each of their phases. False with a malloc'ed *message. */
bool cpuGroupRun(const DriverCommand *commands, uint32_t count, char **message);

#endif

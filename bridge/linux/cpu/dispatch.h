/*
 * dispatch.h: runs one dispatch over all processors.
 */
#ifndef BUN_METAL_CPU_DISPATCH_H
#define BUN_METAL_CPU_DISPATCH_H

#include "../driver.h"

/** Runs a command of kind DriverCommandDispatch. False with a malloc'ed *message. */
bool cpuDispatch(const DriverCommand *command, char **message);

#endif

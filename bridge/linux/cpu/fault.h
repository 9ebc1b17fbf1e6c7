/*
 * fault.h: integer division by zero in a shader.
 *
 * MSL leaves the result open but does not stop; x86-64 raises a fault that would end the process.
 */
#ifndef BUN_METAL_CPU_FAULT_H
#define BUN_METAL_CPU_FAULT_H

/** From now on a division in a compiled library that cannot be done gives 0. Faults elsewhere go where they went
 * before. */
void cpuFaultCatchDivisions(void);

#endif

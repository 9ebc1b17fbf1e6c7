/*
 * registers.h: PTX whose registers are numbered from the one that was named before, as text that repeats itself more: the
 * same instructions have other registers in every kernel, but neighbours in the same places.
 */
#ifndef BUN_METAL_CUDA_REGISTERS_H
#define BUN_METAL_CUDA_REGISTERS_H

#include "../msl/text.h"

/** Appends the text with each number of a register, as in %rd12, as a difference to the last one of its kind. */
void ptxRelateRegisters(MslText *out, const char *text, size_t length);

/** Back again, in place of what *out has; false, with that, where a number is none or the text has more than `limit` bytes. */
bool ptxRestoreRegisters(MslText *out, const char *text, size_t length, size_t limit);

#endif

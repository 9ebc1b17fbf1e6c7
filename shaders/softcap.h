/*
 * softcap.h: numbers kept within a range without an edge, as in Gemma 2.
 */
#ifndef BUN_METAL_SOFTCAP_H
#define BUN_METAL_SOFTCAP_H

#include "common.h"

/** cap * tanh(x / cap): x where it is small, never beyond the cap. Fast tanh may give NaN for large numbers. */
inline float soft_cap(float x, float cap) { return cap * precise::tanh(x / cap); }

#endif

/*
 * includes.h: the system's headers for a level, before its namespace and its instructions.
 */
#include "native.h"

#include <stdint.h>
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#include <sys/auxv.h>
#endif

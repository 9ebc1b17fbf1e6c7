/*
 * intrinsics.h: what kernels of this directory use of the machine, by one name for each thing.
 *
 * Kernels are C++ without inline assembly, so that the same file is also code of the host: compiled for CUDA these functions are
 * instructions of PTX, and without a GPU they are those of test/native/cuda_simulator/simulator.h, which runs blocks of threads on
 * the CPU and is strict about what they do. A function that is added here is added there. Facts are those of the PTX ISA.
 */
#ifndef BUN_METAL_CUDA_NATIVE_INTRINSICS_H
#define BUN_METAL_CUDA_NATIVE_INTRINSICS_H

#include <stdint.h>

typedef uint8_t u8;
typedef int8_t i8;
typedef uint16_t u16;
typedef int16_t i16;
typedef uint32_t u32;
typedef int32_t i32;
typedef uint64_t u64;
typedef int64_t i64;
typedef u32 u32x2 __attribute__((ext_vector_type(2)));
typedef u32 u32x4 __attribute__((ext_vector_type(4)));
typedef float f32x2 __attribute__((ext_vector_type(2)));
typedef float f32x4 __attribute__((ext_vector_type(4)));

constexpr float Log2OfE = 1.4426950408889634f;

#ifdef __CUDA__
#include "intrinsics_ptx.h"
#else
#include "simulator.h"
#endif

/* ---- made of the others: over a warp, with all 32 lanes ------------------------------------------------------------- */

template <typename T> DEVICE T reduceAddWarp(T value) {
  for (u32 mask = 16; mask > 0; mask >>= 1) value += shuffleXor(value, mask);
  return value;
}
/** NaN is left out where another lane has a number. */
template <typename T> DEVICE T reduceMaxWarp(T value) {
  for (u32 mask = 16; mask > 0; mask >>= 1) value = maximum(value, shuffleXor(value, mask));
  return value;
}

#endif

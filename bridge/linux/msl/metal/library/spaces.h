/*
 * spaces.h: MSL's address spaces in C++ for OpenCL.
 *
 * The four below cannot be converted into each other, as in MSL, and all can be read through the generic space, which
 * copying a struct needs. The host and device halves of the global space serve as two spaces that the language knows
 * to be distinct.
 */
#ifndef BUN_METAL_SPACES_H
#define BUN_METAL_SPACES_H

#pragma OPENCL EXTENSION cl_khr_fp16 : enable
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
#pragma OPENCL EXTENSION __cl_clang_function_pointers : enable

#define device __attribute__((opencl_global_host))
#define constant const __attribute__((opencl_global_device))
#define threadgroup __local
#define thread __private

#endif

/*
 * slice.h: the form of a library's slice for CUDA devices, which msl/compile_cuda.c and native/pack_main.c write, and kernels.c
 * reads.
 *
 * All numbers are words of 32 bits, little-endian; a text is its length and its bytes.
 *
 *   magic[8], then, compressed (compression.h) and with registers as in registers.h, behind each other
 *   text      what every module begins with
 *   pieces    their number, and each as a text
 *   kernels   their number, and each as: host name, entry's name, most threads, bytes of threadgroup memory,
 *             bits (CudaKernelIsOwn), the number of arguments, and each as: name, then the words of CudaArgument;
 *             the number of pieces that its module is made of, and these as numbers of pieces, in order
 */
#ifndef BUN_METAL_CUDA_SLICE_H
#define BUN_METAL_CUDA_SLICE_H

#include "../msl/text.h"

#include <stdint.h>

#define CUDA_SLICE_MAGIC "bmptx\0\0\3"
enum { CudaSliceMagicBytes = 8, CudaSliceMostBytes = 1 << 28 };
enum { CudaKernelIsOwn = 1 /* one of the shaders that ship */ };

/** What every module begins with. Shared memory is all dynamic: where it begins has to have a name. */
#define CUDA_MODULE_START \
  ".version 7.8\n.target sm_80\n.address_size 64\n.extern .shared .align 16 .b8 bm_shared[];\n"

/** The parts of a slice while it grows. */
typedef struct CudaSlice {
  MslText pieces, kernels;
  uint32_t pieceCount, kernelCount;
} CudaSlice;

void cudaSliceNumber(MslText *out, uint32_t number);
void cudaSliceText(MslText *out, const char *text, size_t length);
/** Appends the whole to *out. False when out of memory. */
bool cudaSliceWrite(MslText *out, const char *start, const CudaSlice *slice);
void cudaSliceFree(CudaSlice *slice);

#endif

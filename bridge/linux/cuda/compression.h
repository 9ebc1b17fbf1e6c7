/*
 * compression.h: text of much repetition in few bytes (Lempel and Ziv, 1977). Kernels differ from each other in little.
 */
#ifndef BUN_METAL_CUDA_COMPRESSION_H
#define BUN_METAL_CUDA_COMPRESSION_H

#include "../msl/text.h"

/** Appends the compressed form of bytes, of less than 2 GiB. */
void cudaCompress(MslText *out, const char *bytes, size_t length);

/** The bytes of a compressed form, which may be any, malloc'ed and at most `limit`; NULL if it is none, or out of memory. */
char *cudaDecompress(const char *bytes, size_t length, size_t limit, size_t *outLength);

#endif

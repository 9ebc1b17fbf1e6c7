/*
 * image.h: the file format of a compiled library: slices, each for a target, and a signature behind them.
 *
 * The signature is read before anything looks into a slice: a truncated, damaged or foreign file is an error here and never
 * a crash there. A slice for a CPU is a shared object, one for CUDA devices what cuda/kernels.h reads.
 */
#ifndef BUN_METAL_MSL_IMAGE_H
#define BUN_METAL_MSL_IMAGE_H

#include "target.h"
#include "text.h"

#include <stddef.h>

/** A slice of a library, in the library's bytes. */
typedef struct MslSlice {
  const MslTarget *target; /* NULL for one that this layer does not know, or of another version of it */
  char name[24];           /* of the target */
  uint32_t abi;
  const char *bytes;
  size_t length;
  uint64_t hash; /* of the bytes, where mslImageRead has read them */
} MslSlice;

typedef struct MslImage {
  MslSlice slices[MslMaxTargets];
  uint32_t count;
} MslImage;

/** FNV-1a over words of eight bytes: against damage, not against intent. */
uint64_t mslImageHash(const char *bytes, size_t length);

/** Appends a library of `count` slices, of which target, bytes and length are set. */
void mslImageWrite(MslText *out, const MslSlice *slices, uint32_t count);

/** Reads bytes that are said to be a library. NULL, or a malloc'ed message; `name` is what it calls them. */
char *mslImageRead(const char *bytes, size_t length, const char *name, MslImage *image);

/** The slice that `rank` gives the highest number above 0; NULL with a malloc'ed *message, which says which slices there are
 * and that `device` ("this machine") can take none of them. */
const MslSlice *mslImageChoose(const MslImage *image, const char *name, const char *device,
                               int (*rank)(const MslTarget *target), char **message);

/** The bytes of a file, and a 0 behind them, which are not checked. False with a malloc'ed *message, and nothing to free. */
bool mslImageLoadFile(const char *path, MslText *out, char **message);

#endif

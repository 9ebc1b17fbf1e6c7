/*
 * image.h: the file format of a compiled library: a shared object with a signature behind it.
 *
 * The signature is read before the system's loader sees the file: a truncated, damaged or foreign file is an error
 * here and never a crash there.
 */
#ifndef BUN_METAL_MSL_IMAGE_H
#define BUN_METAL_MSL_IMAGE_H

#include "text.h"

#include <stdint.h>

/** FNV-1a over words of eight bytes: against damage, not against intent. */
uint64_t mslImageHash(const char *bytes, size_t length);

/** Appends the signature to a shared object compiled for `level`. */
void mslImageSign(MslText *image, const char *level);

/** Checks bytes that are said to be a library. NULL if they are one that this machine can run, with *objectLength
 * set; else a malloc'ed message. `name` is what it calls them. */
char *mslImageCheck(const char *bytes, size_t length, const char *name, size_t *objectLength);

#endif

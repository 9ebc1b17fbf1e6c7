/*
 * fixups.h: the pointers of an image, made right for where it lies: those into itself slid, those to other libraries
 * bound. The format is LC_DYLD_CHAINED_FIXUPS, chains of pointers that name their successor.
 */
#ifndef LOADER_FIXUPS_H
#define LOADER_FIXUPS_H

#include "image.h"

/** Applies all of them. False with the reason, which names the symbol where one is not to be had. */
bool imageFixUp(const Image *image);

#endif

/*
 * unwind.h: makes an image's frames known to this process's unwinder. Mach-O keeps most of it as "compact unwind", one
 * word per function; here each becomes an entry of .eh_frame, which is registered with libgcc.
 */
#ifndef LOADER_UNWIND_H
#define LOADER_UNWIND_H

#include "image.h"

/** Registers all functions of the image, for the process's life. `functions` is how many there are. */
bool unwindRegister(const Image *image, uint32_t *functions);

#endif

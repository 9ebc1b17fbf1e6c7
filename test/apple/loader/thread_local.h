/* thread_local.h: an image's thread-local variables. */
#ifndef LOADER_THREAD_LOCAL_H
#define LOADER_THREAD_LOCAL_H

#include "image.h"

/** Makes the image's descriptors work: each thread gets a copy of the initial values at its first use of one. */
bool threadLocalsPrepare(const Image *image);

/** What a descriptor calls, with itself in rdi; rax is the variable's address. Not for C. */
extern void loaderThreadLocal(void);

/** `_tlv_bootstrap`: what the file's descriptors name until they are prepared. Ends the process. */
void loaderThreadLocalUnprepared(void);

#endif

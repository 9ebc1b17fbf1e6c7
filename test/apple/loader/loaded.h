/*
 * loaded.h: a Mach-O library, loaded and ready to be called.
 */
#ifndef LOADER_LOADED_H
#define LOADER_LOADED_H

#include "image.h"

/**
 * Loads the x86_64 slice of the library at `path`: maps it, fixes its pointers up, registers its classes, selectors,
 * thread-local variables and frames, protects its segments and runs its initialisers. NULL with the reason in
 * loaderFailure(). It stays for the process's life, and so must `path`. Call it from one thread at a time.
 */
const Image *loadImage(const char *path);

/** All of that but the initialisers: nothing of the image runs. */
const Image *prepareImage(const char *path);

/** How many functions of an image the unwinder knows. */
uint32_t loadedFunctions(const Image *image);

/** `dlsym` of Darwin: a symbol of the libraries or, failing that, of a loaded image. `name` has no underscore in
 *  front. */
void *loadedSymbol(void *handle, const char *name);

/** Darwin's and Linux's Dl_info agree. */
typedef struct LoadedInformation {
  const char *path;
  void *base;
  const char *symbol;
  void *symbolAddress;
} LoadedInformation;

/** `dladdr` of Darwin: 0 where the address is in no loaded image. The nearest symbol is not looked for. */
int loadedAddress(const void *address, LoadedInformation *out);

/** `getsectiondata` of Darwin: a section of the loaded image whose header is at `header`; NULL where it has none. */
const void *loadedSection(const void *header, const char *segment, const char *name, unsigned long *size);

#endif

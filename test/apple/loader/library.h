/*
 * library.h: the libraries of Apple's systems that an image may need, and what stands for each of their symbols here.
 *
 * A symbol is found in the library that has it on a Mac and in no other: asking the wrong one fails here as it fails in
 * dyld. To let the bridge use another function or class of Apple's, add a line to the library that has it.
 */
#ifndef LOADER_LIBRARY_H
#define LOADER_LIBRARY_H

#include "image.h"

/** A symbol by its Mach-O name. `address` may be NULL where a Mac has the symbol and this layer does not: a weak import
 *  then stays NULL, and any other fails. */
typedef struct Symbol {
  const char *name;
  void *address;
} Symbol;

typedef struct Library {
  const char *installName;       /* on macOS; elsewhere frameworks have no versions */
  uint32_t compatibilityVersion; /* major << 16 */
  const Symbol *symbols;         /* ended by a NULL name */
  const char *const *classes;    /* ended by NULL; `_OBJC_CLASS_$_X` is the class X of this process */
  const Symbol *youngerSymbols; /* what all but x86_64 macOS has; NULL for none */
} Library;

extern const Library systemLibrary, objcLibrary, coreFoundationLibrary, foundationLibrary, metalLibrary,
    coreGraphicsLibrary;

/** Rows of a table of symbols: what has the same name and binary interface here, and what stands for it. */
#define SAME(name) {"_" #name, (void *)(uintptr_t)name}
#define STAND_IN(name, function) {"_" #name, (void *)(uintptr_t)function}

/** The address of a symbol that is asked from the image's library number `index`; NULL for a weak one that this layer
 *  lacks. */
bool libraryResolve(const Image *image, uint32_t index, const char *symbol, bool isWeak, void **address);

/** Fails where the image needs a library that its platform does not have, or a newer one than there is. */
bool libraryCheckAll(const Image *image);

/** The address of a symbol of whichever library has it (what dlsym finds); NULL where none has. */
void *libraryFind(const char *symbol);

/** Hides a symbol from then on, as an older system lacks it; for tests of what the bridge does without. */
void libraryHide(const char *symbol);

#endif

/* exports.h: the symbols that an image offers, read from its exports trie. */
#ifndef LOADER_EXPORTS_H
#define LOADER_EXPORTS_H

#include "image.h"

/** Called for each export, by its Mach-O name (`_bm_release`); false ends the walk. */
typedef bool (*ExportVisitor)(void *context, const char *name, void *address);

/** Visits all exports. False where the visitor ended the walk, or with the reason in loaderFailure(). */
bool imageVisitExports(const Image *image, ExportVisitor visit, void *context);

/** The address of an export by its Mach-O name; NULL where there is none. */
void *imageExport(const Image *image, const char *name);

#endif

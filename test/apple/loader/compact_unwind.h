/* compact_unwind.h: what __TEXT,__unwind_info says about each function. */
#ifndef LOADER_COMPACT_UNWIND_H
#define LOADER_COMPACT_UNWIND_H

#include "image.h"

/** The part of an entry that tells the others' meaning; 0 where there is nothing to unwind. */
enum { CompactModeMask = 0x0F000000 };

/** One entry. Offsets are from the image's header; 0 where there is none. */
typedef struct CompactFunction {
  uint32_t start, size; /* functions that are unwound alike may share an entry */
  uint32_t encoding;
  uint32_t personalityOffset; /* of a pointer to the personality */
  uint32_t tableOffset;       /* of the language-specific data */
} CompactFunction;

/** Called for each entry in the order of addresses; false ends the visit. */
typedef bool (*CompactVisitor)(void *context, const CompactFunction *function);

/** Visits all entries. False where the visitor ended it, or with the reason in loaderFailure(). */
bool compactVisit(const Image *image, CompactVisitor visit, void *context);

#endif

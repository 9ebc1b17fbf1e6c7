/*
 * compile.h: from MSL to the bytes of a compiled library.
 *
 * For each source: clang preprocesses it, shader.h rewrites it into C++ for OpenCL, clang compiles that for each target;
 * then one link makes a slice of all, and image.h puts the slices together.
 */
#ifndef BUN_METAL_MSL_COMPILE_H
#define BUN_METAL_MSL_COMPILE_H

#include "text.h"

#include <stdint.h>

/** A source: a file, or text in memory. */
typedef struct MslInput {
  const char *name; /* what messages call it; of a file: its path */
  const char *text; /* NULL: read the file */
  size_t length;
} MslInput;

typedef struct MslOptions {
  const char *const *includes; /* directories for #include "..." */
  uint32_t includeCount;
  const char *const *defines; /* NAME or NAME=VALUE */
  uint32_t defineCount;
  const char *const *targets; /* what to compile for: target.h */
  uint32_t targetCount;       /* 0: this machine's best */
} MslOptions;

/** Largest source, and largest source after preprocessing. */
enum { MslMaxSource = 16 << 20, MslMaxPreprocessed = 64 << 20 };

/** Compiles all sources into one library. True with its bytes in `image`, maybe warnings in `messages`; false with
 *  errors in `messages`: a line each, "file:line: error: what". */
bool mslCompile(const MslInput *inputs, uint32_t count, const MslOptions *options, MslText *image, MslText *messages);

#endif

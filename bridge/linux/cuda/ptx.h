/*
 * ptx.h: clang's PTX of one source file, cut into pieces: functions, variables, and entries, each with what it uses.
 */
#ifndef BUN_METAL_CUDA_PTX_H
#define BUN_METAL_CUDA_PTX_H

#include "../msl/text.h"

#include <stdint.h>

typedef struct PtxPiece {
  const char *name; /* not NUL-terminated, in the text */
  size_t nameLength;
  size_t start, length; /* of the piece, in PtxModule.text */
  bool isEntry;
  bool isDeclaration; /* of a function that another piece defines, or nobody */
  uint32_t *uses;     /* other pieces */
  uint32_t useCount;
} PtxPiece;

typedef struct PtxModule {
  MslText text; /* without comments, and without what indents it */
  PtxPiece *pieces;
  uint32_t count;
} PtxModule;

/** Reads what clang wrote. NULL, or a malloc'ed message. Free in any case. */
char *ptxRead(PtxModule *module, const char *source, size_t length);
void ptxFree(PtxModule *module);

/** The piece of a name; UINT32_MAX without. Definitions go before declarations. */
uint32_t ptxFind(const PtxModule *module, const char *name);

/** Marks a piece and all that it needs, in `needed` with a place for each piece. */
void ptxMark(const PtxModule *module, uint32_t piece, bool *needed);

/** The bytes of an initialised variable of .b8, zeros where it says none. False if it is none, or has another size. */
bool ptxBytes(const PtxModule *module, uint32_t piece, void *bytes, size_t length);

#endif

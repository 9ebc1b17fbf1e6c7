/*
 * plan_file.h: a `.bmplan` file in memory, every offset, count and length of which has been checked.
 *
 * What is checked is the structure. The programs are checked when they are made, against the kernels and buffers that
 * there are; the numbers that kernels are given besides are trusted, as the kernels themselves are.
 */
#ifndef MODEL_PLAN_FILE_H
#define MODEL_PLAN_FILE_H

#include "bun_metal.h"
#include "format.h"
#include "reader.h"

typedef struct PlanKernel {
  char *name;
  uint32_t threads; /* most of one threadgroup */
} PlanKernel;

typedef struct PlanBuffer {
  uint32_t role; /* PLAN_BUFFER_... */
  uint64_t offset, length;
} PlanBuffer;

/** A step; the fields are in the order of the file. */
typedef struct PlanProgram {
  uint32_t rows, wordCount, rowsWord;
  uint32_t tokens, positions, sequences, slots, blockTable;
  uint32_t wantedRowsWord, wanted; /* PLAN_NONE both, or neither */
  uint32_t derivedCount, fixedCount, programLength;
  const uint32_t *derived, *fixed, *program;
} PlanProgram;

typedef struct PlanFile {
  uint8_t *bytes;
  uint64_t length;

  uint32_t vocabulary, contextLength, rows, blockSize, blockCount, needs, simdWidth;
  uint64_t modelLength, headerLength;
  const uint8_t *headerDigest;
  char *modelName;

  PlanKernel *kernels;
  PlanBuffer *buffers;
  PlanProgram *programs;
  uint32_t kernelCount, bufferCount, programCount;
  const uint8_t *data;
  uint64_t dataLength;
  Reader tokenizer; /* tokenizer_load.c reads it */
} PlanFile;

/** Reads and checks a file. On failure nothing is left to free. */
bm_status bridgePlanFileRead(const char *path, PlanFile *plan);
void bridgePlanFileFree(PlanFile *plan);

/** Fails unless the file at `path` is the model that the plan was made for: its length and its header. */
bm_status bridgePlanFileCheckModel(const PlanFile *plan, const char *path);

/** Whether a name stays inside of its directory: relative, with no ".." in it. */
bool bridgePlanNameIsInside(const char *name);

/** The program's words with handles in the place of table numbers, to be freed; NULL with the error set. */
uint32_t *bridgePlanProgramRelocate(const PlanProgram *program, const bm_handle *pipelines, uint32_t pipelineCount,
                                    const bm_handle *buffers, uint32_t bufferCount);

#endif

/* plan_relocate.c: a plan's numbers in a program become handles. What else is wrong with it, the decoder finds. */
#include "error.h"
#include "plan_file.h"

#include <stdlib.h>
#include <string.h>

typedef struct Relocation {
  uint32_t *words;
  uint32_t length;
  const bm_handle *pipelines, *buffers;
  uint32_t pipelineCount, bufferCount;
} Relocation;

/* Replaces the number at a word; false where there is no such word or entry. */
static bool replace(Relocation *relocation, uint64_t at, const bm_handle *handles, uint32_t count) {
  if (at >= relocation->length || relocation->words[at] >= count) return false;
  relocation->words[at] = handles[relocation->words[at]];
  return true;
}

static bool relocateDispatch(Relocation *relocation, uint64_t at, uint64_t end) {
  enum { PipelineAt = 1, BufferCountAt = 12, BuffersAt = 13, BufferWords = 4 };
  if (at + BuffersAt > end) return false;
  if (!replace(relocation, at + PipelineAt, relocation->pipelines, relocation->pipelineCount)) return false;
  uint64_t count = relocation->words[at + BufferCountAt];
  if (count > (end - at - BuffersAt) / BufferWords) return false;
  for (uint64_t i = 0; i < count; i++) {
    uint64_t buffer = at + BuffersAt + i * BufferWords + 1;
    if (relocation->words[buffer] == BM_DYNAMIC_WORDS) continue;
    if (!replace(relocation, buffer, relocation->buffers, relocation->bufferCount)) return false;
  }
  return true;
}

static bool relocate(Relocation *relocation) {
  enum { HeaderWords = 4, CopySourceAt = 1, CopyDestinationAt = 4, FillAt = 1 };
  for (uint64_t at = HeaderWords; at < relocation->length;) {
    uint64_t end = at + (relocation->words[at] >> 8);
    if (end == at || end > relocation->length) return false;
    bool isRight = true;
    const bm_handle *buffers = relocation->buffers;
    uint32_t count = relocation->bufferCount;
    switch (relocation->words[at] & 0xFF) {
      case BM_OP_DISPATCH: isRight = relocateDispatch(relocation, at, end); break;
      case BM_OP_COPY:
        isRight = replace(relocation, at + CopySourceAt, buffers, count) &&
                  replace(relocation, at + CopyDestinationAt, buffers, count);
        break;
      case BM_OP_FILL: isRight = replace(relocation, at + FillAt, buffers, count); break;
    }
    if (!isRight) return false;
    at = end;
  }
  return true;
}

uint32_t *bridgePlanProgramRelocate(const PlanProgram *program, const bm_handle *pipelines, uint32_t pipelineCount,
                                    const bm_handle *buffers, uint32_t bufferCount) {
  uint32_t *words = malloc((size_t)program->programLength * sizeof *words + 1);
  if (!words) {
    bridgeFail(BM_ERROR_MEMORY, "There is no memory left for a program of the plan");
    return NULL;
  }
  memcpy(words, program->program, (size_t)program->programLength * sizeof *words);
  Relocation relocation = {words, program->programLength, pipelines, buffers, pipelineCount, bufferCount};
  if (relocate(&relocation)) return words;
  free(words);
  bridgeFail(BM_ERROR_ARGUMENT,
             "The plan is damaged: a program names kernels or buffers that it does not have; export the model again");
  return NULL;
}

/* slice.c: see slice.h. */
#include "slice.h"
#include "compression.h"
#include "registers.h"

#include <string.h>

void cudaSliceNumber(MslText *out, uint32_t number) { mslTextAppend(out, (const char *)&number, sizeof number); }

void cudaSliceText(MslText *out, const char *text, size_t length) {
  cudaSliceNumber(out, (uint32_t)length);
  mslTextAppend(out, text, length);
}

static bool putCompressed(MslText *out, const MslText *whole) {
  MslText related = {0}, restored = {0};
  ptxRelateRegisters(&related, whole->bytes, whole->length);
  /* Text that only looks like a register's number may not come back as it was; clang writes none. */
  const bool ok = !related.failed && ptxRestoreRegisters(&restored, related.bytes, related.length, whole->length) &&
                  restored.length == whole->length && memcmp(restored.bytes, whole->bytes, whole->length) == 0;
  mslTextAppend(out, CUDA_SLICE_MAGIC, CudaSliceMagicBytes);
  if (ok) cudaCompress(out, related.bytes, related.length);
  mslTextFree(&related);
  mslTextFree(&restored);
  return ok;
}

bool cudaSliceWrite(MslText *out, const char *start, const CudaSlice *slice) {
  MslText whole = {0};
  cudaSliceText(&whole, start, strlen(start));
  cudaSliceNumber(&whole, slice->pieceCount);
  mslTextAppend(&whole, slice->pieces.bytes ? slice->pieces.bytes : "", slice->pieces.length);
  cudaSliceNumber(&whole, slice->kernelCount);
  mslTextAppend(&whole, slice->kernels.bytes ? slice->kernels.bytes : "", slice->kernels.length);
  const bool ok = !whole.failed && putCompressed(out, &whole);
  mslTextFree(&whole);
  return ok;
}

void cudaSliceFree(CudaSlice *slice) {
  mslTextFree(&slice->pieces);
  mslTextFree(&slice->kernels);
}

/* compile_cuda.c: from a unit to PTX, and from that to a slice of kernels (cuda/slice.h). */
#include "../cuda/metal/library/abi.h"
#include "../cuda/ptx.h"
#include "../cuda/slice.h"
#include "compilation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const codeOptions[] = {"-S", "-nocudalib",
                                          /* The version of CUDA_MODULE_START: CUDA 11.8 reads it. */
                                          "-Xclang", "-target-feature", "-Xclang", "+ptx78",
                                          /* Addresses in shared memory have 32 bits. */
                                          "-Xclang", "-fcuda-short-ptr", "-mllvm", "-nvptx-short-ptr",
                                          /* a / b within 2 ulp, as Metal has it. */
                                          "-mllvm", "-nvptx-prec-divf32=1",
                                          /* Arrays are in registers only where loops over them are unrolled. */
                                          "-mllvm", "-unroll-threshold=3000", NULL};

static bool compile(MslCompilation *c, MslUnit *unit, const char *option) {
  MslArguments a = {0};
  bool ok = mslAddSource(c, unit, &a, ".ptx");
  mslAddAll(&a, codeOptions);
  if (unit->shader.isOwn) mslAdd(&a, "-DMETAL_WHOLE_SIMD_GROUPS=1");
  if (option) mslAdd(&a, option);
  ok = ok && mslRunClang(c, unit, &a, NULL);
  mslArgumentsFree(&a);
  return ok;
}

static bool readOutput(MslUnit *unit, MslText *text) {
  char *path = mslFormat("%s.ptx", unit->path), *message = NULL;
  const bool ok = path && mslReadFile(path, (size_t)1 << 30, text, &message) && text->bytes;
  if (message) mslTextPuts(&unit->messages, message);
  free(message);
  free(path);
  return ok;
}

void mslCompileForCuda(MslCompilation *c, MslUnit *unit) {
  MslText text = {0};
  unit->failed = !compile(c, unit, NULL) || !readOutput(unit, &text);
  /* Copies of constants that did not end up in registers would be read as if they were in device memory: entry.h. It is the
   * only place where an address is turned into one of device memory. */
  if (!unit->failed && strstr(text.bytes, "cvta.to.global")) {
    mslTextFree(&unit->messages);
    unit->failed = !compile(c, unit, "-DMETAL_CONSTANTS_IN_MEMORY=1");
  }
  mslTextFree(&text);
}

static bool putArguments(MslUnit *unit, const MslKernel *kernel, const CudaKernelInfo *info, const char *hostName,
                         MslText *out) {
  cudaSliceNumber(out, kernel->argumentCount);
  uint32_t used[2] = {0, 0};
  for (uint32_t i = 0; i < kernel->argumentCount; i++) {
    const CudaArgument *argument = &info->arguments[i];
    char *name = mslWord(&unit->shader, kernel->arguments[i].name);
    const bool isBound = argument->kind == CudaArgumentBuffer || argument->kind == CudaArgumentThreadgroup;
    bool ok = name != NULL;
    if (ok && isBound && (argument->index >= CudaBufferCount || (used[argument->kind] >> argument->index & 1))) {
      mslTextPrint(&unit->messages, "Kernel '%s' in '%s': argument '%s' has index %u, which is %s\n", hostName,
                   unit->input->name, name, argument->index, argument->index >= CudaBufferCount ? "above 30" : "taken");
      ok = false;
    }
    if (ok) cudaSliceText(out, name, strlen(name));
    if (ok) mslTextAppend(out, (const char *)argument, sizeof *argument);
    if (ok && isBound) used[argument->kind] |= 1u << argument->index;
    free(name);
    if (!ok) return false;
  }
  return true;
}

/** An entry with a limit of threads gets it as a directive, in front of its body. */
static void putPiece(const PtxModule *module, const PtxPiece *piece, uint32_t maxThreads, CudaSlice *slice) {
  const char *text = module->text.bytes + piece->start;
  const char *body = piece->isEntry && maxThreads ? memchr(text, '{', piece->length) : NULL;
  char limit[64];
  const int length = body ? snprintf(limit, sizeof limit, ".maxntid %u, 1, 1\n", maxThreads < 1024 ? maxThreads : 1024) : 0;
  cudaSliceNumber(&slice->pieces, (uint32_t)(piece->length + (size_t)length));
  mslTextAppend(&slice->pieces, text, body ? (size_t)(body - text) : piece->length);
  if (!body) return;
  mslTextAppend(&slice->pieces, limit, (size_t)length);
  mslTextAppend(&slice->pieces, body, piece->length - (size_t)(body - text));
}

static bool putKernel(MslUnit *unit, uint32_t n, const PtxModule *module, uint32_t *numbers, CudaSlice *slice) {
  const MslEntry *entry = &unit->shader.entries[n];
  const MslKernel *kernel = &unit->shader.kernels[entry->kernel];
  char *name = mslEntryName(n, entry->hostName), *infoName = mslFormat("bm_info_%u", n);
  bool *needed = calloc((size_t)module->count + 1, sizeof *needed);
  CudaKernelInfo info;
  bool ok = name && infoName && needed;
  const uint32_t piece = ok ? ptxFind(module, name) : UINT32_MAX, table = ok ? ptxFind(module, infoName) : UINT32_MAX;
  if (ok && (piece == UINT32_MAX || table == UINT32_MAX || !ptxBytes(module, table, &info, sizeof info))) {
    mslTextPrint(&unit->messages, "%s:1: error: the compiler left out kernel '%s'\n", unit->input->name,
                 entry->hostName);
    ok = false;
  }
  uint32_t count = 0;
  if (ok) {
    ptxMark(module, piece, needed);
    cudaSliceText(&slice->kernels, entry->hostName, strlen(entry->hostName));
    cudaSliceText(&slice->kernels, name, strlen(name));
    cudaSliceNumber(&slice->kernels, info.maxThreads);
    cudaSliceNumber(&slice->kernels, info.staticMemory);
    cudaSliceNumber(&slice->kernels, unit->shader.isOwn ? CudaKernelIsOwn : 0);
    ok = putArguments(unit, kernel, &info, entry->hostName, &slice->kernels);
  }
  for (uint32_t p = 0; ok && p < module->count; p++) {
    if (!needed[p]) continue;
    count++;
    if (module->pieces[p].isDeclaration) {
      char *called = mslFormat("%.*s", (int)module->pieces[p].nameLength, module->pieces[p].name);
      const uint32_t definition = called ? ptxFind(module, called) : UINT32_MAX;
      if (called && module->pieces[definition].isDeclaration) {
        mslTextPrint(&unit->messages, "%s:1: error: kernel '%s' needs the function '%s', which CUDA devices lack\n",
                     unit->input->name, entry->hostName, called);
        ok = false;
      }
      free(called);
    }
    if (ok && !numbers[p]) {
      numbers[p] = ++slice->pieceCount;
      putPiece(module, &module->pieces[p], info.maxThreads, slice);
    }
  }
  if (ok) cudaSliceNumber(&slice->kernels, count);
  for (uint32_t p = 0; ok && p < module->count; p++)
    if (needed[p]) cudaSliceNumber(&slice->kernels, numbers[p] - 1);
  if (ok) slice->kernelCount++;
  free(name);
  free(infoName);
  free(needed);
  return ok;
}

static bool putUnit(MslUnit *unit, CudaSlice *slice) {
  MslText text = {0};
  PtxModule module = {0};
  bool ok = readOutput(unit, &text);
  char *message = ok ? ptxRead(&module, text.bytes, text.length) : NULL;
  if (message) {
    mslTextPuts(&unit->messages, message);
    ok = false;
  }
  free(message);
  uint32_t *numbers = ok ? calloc((size_t)module.count + 1, sizeof *numbers) : NULL;
  ok = ok && numbers;
  for (uint32_t n = 0; ok && n < unit->shader.entryCount; n++) ok = putKernel(unit, n, &module, numbers, slice);
  free(numbers);
  ptxFree(&module);
  mslTextFree(&text);
  return ok;
}

bool mslLinkForCuda(MslCompilation *c, MslText *out, MslText *messages) {
  CudaSlice slice = {0};
  bool ok = true;
  for (uint32_t i = 0; ok && i < c->count; i++) {
    ok = putUnit(&c->units[i], &slice);
    if (!ok && c->units[i].messages.bytes) mslTextPuts(messages, c->units[i].messages.bytes);
  }
  ok = ok && !slice.pieces.failed && !slice.kernels.failed;
  if (ok && slice.pieces.length + slice.kernels.length > CudaSliceMostBytes - 4096) {
    mslTextPrint(messages, "error: the kernels have more than %d bytes\n", CudaSliceMostBytes);
    ok = false;
  }
  ok = ok && cudaSliceWrite(out, CUDA_MODULE_START, &slice);
  cudaSliceFree(&slice);
  return ok && !out->failed;
}

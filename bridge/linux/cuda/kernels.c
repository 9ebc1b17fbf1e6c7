/* kernels.c: see kernels.h. Slices are as hostile as any file: all numbers are checked. */
#include "kernels.h"
#include "../msl/compile.h"
#include "../msl/image.h"
#include "compression.h"
#include "metal/library/abi.h"
#include "registers.h"
#include "slice.h"

#include <stdlib.h>
#include <string.h>

/** A piece of text in the slice. */
typedef struct Text {
  const char *bytes;
  size_t length;
} Text;

typedef struct Kernel {
  char *entry;
  uint32_t *pieces;
  uint32_t pieceCount;
  uint32_t bits; /* slice.h */
  uint32_t constantOffsets[CudaBufferCount];
} Kernel;

typedef struct Kernels {
  CudaKernels base;
  MslText slice;
  Text start;
  Text *pieces;
  uint32_t pieceCount;
  Kernel *kernels;
} Kernels;

/** A reader of a slice. */
typedef struct Cursor {
  const char *at;
  size_t left;
  bool failed;
} Cursor;

static uint32_t readNumber(Cursor *c) {
  uint32_t number = 0;
  if (c->left < sizeof number) {
    c->failed = true;
    return 0;
  }
  memcpy(&number, c->at, sizeof number);
  c->at += sizeof number;
  c->left -= sizeof number;
  return number;
}
static Text readText(Cursor *c) {
  const size_t length = readNumber(c);
  if (c->failed || length > c->left) {
    c->failed = true;
    return (Text){"", 0};
  }
  const Text text = {c->at, length};
  c->at += length;
  c->left -= length;
  return text;
}
/** A NUL-terminated copy of a text without NUL; NULL otherwise. */
static char *readString(Cursor *c) {
  const Text text = readText(c);
  if (c->failed || memchr(text.bytes, 0, text.length)) {
    c->failed = true;
    return NULL;
  }
  char *copy = strndup(text.bytes, text.length);
  if (!copy) c->failed = true;
  return copy;
}
/** Reads how many things follow, each of at least `bytes` bytes. */
static uint32_t readCount(Cursor *c, size_t bytes) {
  const uint32_t count = readNumber(c);
  if (!c->failed && count <= c->left / bytes) return count;
  c->failed = true;
  return 0;
}

static void readArguments(Cursor *c, DriverFunction *f, Kernel *kernel) {
  const uint32_t count = readCount(c, sizeof(uint32_t) + sizeof(CudaArgument));
  DriverArgument *arguments = calloc((size_t)count + 1, sizeof *arguments);
  f->arguments = arguments;
  if (!arguments) c->failed = true;
  uint32_t used[2] = {0, 0};
  for (uint32_t i = 0; i < CudaBufferCount; i++) kernel->constantOffsets[i] = CudaNoOffset;
  for (uint32_t i = 0; i < count && !c->failed; i++) {
    char *name = readString(c);
    CudaArgument a = {.kind = CudaArgumentValue};
    if (c->left < sizeof a) c->failed = true;
    if (!c->failed) {
      memcpy(&a, c->at, sizeof a);
      c->at += sizeof a;
      c->left -= sizeof a;
    }
    if (c->failed || (a.kind != CudaArgumentBuffer && a.kind != CudaArgumentThreadgroup)) {
      free(name);
      continue;
    }
    if (a.index >= CudaBufferCount || (used[a.kind] >> a.index & 1)) c->failed = true;
    if (a.constantOffset != CudaNoOffset) {
      const bool fits = a.constantOffset <= CudaConstantBytes && a.dataSize <= CudaConstantBytes - a.constantOffset;
      if (!fits || a.kind != CudaArgumentBuffer) c->failed = true;
    }
    if (c->failed) {
      free(name);
      break;
    }
    used[a.kind] |= 1u << a.index;
    if (a.kind == CudaArgumentBuffer) kernel->constantOffsets[a.index] = a.constantOffset;
    arguments[f->argumentCount++] = (DriverArgument){
        .name = name,
        .kind = a.kind == CudaArgumentBuffer ? DriverArgumentBuffer : DriverArgumentThreadgroupMemory,
        .index = a.index,
        .writable = a.writable != 0,
        .constantSpace = a.constantSpace != 0,
        .reference = a.reference != 0,
        .dataSize = a.dataSize,
        .alignment = a.alignment};
  }
}

enum { MostThreads = 1024 };

static void readKernel(Cursor *c, Kernels *kernels, uint32_t index) {
  DriverFunction *f = &kernels->base.functions[index];
  Kernel *kernel = &kernels->kernels[index];
  f->name = readString(c);
  kernel->entry = readString(c);
  const uint32_t maxThreads = readNumber(c), staticMemory = readNumber(c);
  kernel->bits = readNumber(c);
  f->maxTotalThreadsPerThreadgroup = maxThreads && maxThreads < MostThreads ? maxThreads : MostThreads;
  f->staticThreadgroupMemoryLength = staticMemory > UINT32_MAX - 15 ? UINT32_MAX : (staticMemory + 15) / 16 * 16;
  if (!c->failed) readArguments(c, f, kernel);
  const uint32_t count = c->failed ? 0 : readCount(c, sizeof(uint32_t));
  kernel->pieces = calloc((size_t)count + 1, sizeof *kernel->pieces);
  if (!kernel->pieces) c->failed = true;
  for (uint32_t i = 0; i < count && !c->failed; i++) {
    const uint32_t piece = readNumber(c);
    if (piece >= kernels->pieceCount)
      c->failed = true;
    else
      kernel->pieces[kernel->pieceCount++] = piece;
  }
}

static bool readSlice(Kernels *kernels, const char *bytes, size_t length) {
  Cursor c = {0};
  if (length < CudaSliceMagicBytes || memcmp(bytes, CUDA_SLICE_MAGIC, CudaSliceMagicBytes) != 0) return false;
  size_t relatedLength;
  char *related =
      cudaDecompress(bytes + CudaSliceMagicBytes, length - CudaSliceMagicBytes, CudaSliceMostBytes, &relatedLength);
  if (!related) return false;
  const bool ok = ptxRestoreRegisters(&kernels->slice, related, relatedLength, CudaSliceMostBytes);
  free(related);
  if (!ok) return false;
  c.at = kernels->slice.bytes;
  c.left = kernels->slice.length;
  kernels->start = readText(&c);
  const uint32_t pieceCount = readCount(&c, sizeof(uint32_t));
  kernels->pieces = calloc((size_t)pieceCount + 1, sizeof *kernels->pieces);
  if (!kernels->pieces) return false;
  for (; kernels->pieceCount < pieceCount && !c.failed; kernels->pieceCount++)
    kernels->pieces[kernels->pieceCount] = readText(&c);
  const uint32_t count = c.failed ? 0 : readCount(&c, 7 * sizeof(uint32_t));
  kernels->base.functions = calloc((size_t)count + 1, sizeof *kernels->base.functions);
  kernels->kernels = calloc((size_t)count + 1, sizeof *kernels->kernels);
  if (!kernels->base.functions || !kernels->kernels) return false;
  for (uint32_t i = 0; i < count && !c.failed; i++) {
    kernels->base.functionCount = i + 1;
    readKernel(&c, kernels, i);
  }
  return !c.failed && c.left == 0;
}

static int rank(const MslTarget *target) { return strcmp(target->name, CUDA_TARGET) == 0; }

static CudaKernels *load(const MslSlice *slice, const char *name, char **message) {
  Kernels *kernels = calloc(1, sizeof *kernels);
  if (!kernels) {
    *message = mslFormat("Cannot load '%s': out of memory", name);
    return NULL;
  }
  kernels->base.identity = slice->hash;
  if (readSlice(kernels, slice->bytes, slice->length)) return &kernels->base;
  *message = mslFormat("'%s' is damaged: its slice for CUDA devices cannot be read", name);
  cudaKernelsFree(&kernels->base);
  return NULL;
}

CudaKernels *cudaKernelsLoadBytes(const char *bytes, size_t length, const char *name, char **message) {
  MslImage image;
  *message = mslImageRead(bytes, length, name, &image);
  const MslSlice *slice = *message ? NULL : mslImageChoose(&image, name, "a CUDA device", rank, message);
  return slice ? load(slice, name, message) : NULL;
}

CudaKernels *cudaKernelsLoadSlice(const char *bytes, size_t length, const char *name, char **message) {
  const MslSlice slice = {.bytes = bytes, .length = length, .hash = mslImageHash(bytes, length)};
  return load(&slice, name, message);
}

CudaKernels *cudaKernelsLoadFile(const char *path, char **message) {
  MslText bytes = {0};
  CudaKernels *kernels = NULL;
  if (mslImageLoadFile(path, &bytes, message))
    kernels = cudaKernelsLoadBytes(bytes.bytes, bytes.length, path, message);
  mslTextFree(&bytes);
  return kernels;
}

CudaKernels *cudaKernelsCompile(const char *source, size_t length, const char *name, char **message) {
  static const char *const targets[] = {CUDA_TARGET};
  const MslOptions options = {.targets = targets, .targetCount = 1};
  const MslInput input = {.name = name && *name ? name : "source", .text = source ? source : "", .length = length};
  MslText image = {0}, messages = {0};
  CudaKernels *kernels = NULL;
  *message = NULL;
  if (mslCompile(&input, 1, &options, &image, &messages)) {
    kernels = cudaKernelsLoadBytes(image.bytes, image.length, input.name, message);
    if (kernels) kernels->identity = mslImageHash(input.text, input.length);
    if (kernels && messages.length) *message = mslTextTake(&messages);
  } else {
    *message = mslTextTake(&messages);
  }
  mslTextFree(&image);
  mslTextFree(&messages);
  return kernels;
}

void cudaKernelsFree(CudaKernels *base) {
  Kernels *kernels = (Kernels *)base;
  if (!kernels) return;
  for (uint32_t i = 0; kernels->kernels && i < base->functionCount; i++) {
    DriverFunction *f = &base->functions[i];
    for (uint32_t k = 0; k < f->argumentCount; k++) free((char *)f->arguments[k].name);
    free((DriverArgument *)f->arguments);
    free((char *)f->name);
    free(kernels->kernels[i].entry);
    free(kernels->kernels[i].pieces);
  }
  free(kernels->kernels);
  free(base->functions);
  free(kernels->pieces);
  mslTextFree(&kernels->slice);
  free(kernels);
}

char *cudaKernelsText(const CudaKernels *base, uint32_t function) {
  const Kernels *kernels = (const Kernels *)base;
  const Kernel *kernel = &kernels->kernels[function];
  MslText text = {0};
  mslTextAppend(&text, kernels->start.bytes, kernels->start.length);
  for (uint32_t i = 0; i < kernel->pieceCount; i++) {
    const Text *piece = &kernels->pieces[kernel->pieces[i]];
    mslTextAppend(&text, piece->bytes, piece->length);
  }
  return mslTextTake(&text);
}

void cudaKernelsEnable(char *text, uint32_t capability) {
  static const char pragma[] = ".pragma \"", target[] = ".target sm_80";
  char *found = capability >= 90 ? strstr(text, ".pragma \"griddepcontrol.") : NULL;
  if (!found) return;
  for (; found; found = strstr(found, ".pragma \"griddepcontrol.")) {
    memset(found, ' ', sizeof pragma - 1);
    char *end = strchr(found, '"');
    if (end) *end = ' ';
  }
  char *at = strstr(text, target);
  if (at) memcpy(at + sizeof target - 3, "90", 2);
}

const char *cudaKernelsEntry(const CudaKernels *base, uint32_t function) {
  return ((const Kernels *)base)->kernels[function].entry;
}

bool cudaKernelsIsOwn(const CudaKernels *base, uint32_t function) {
  return (((const Kernels *)base)->kernels[function].bits & CudaKernelIsOwn) != 0;
}

uint32_t cudaKernelsConstantOffset(const CudaKernels *base, uint32_t function, uint32_t index) {
  return index < CudaBufferCount ? ((const Kernels *)base)->kernels[function].constantOffsets[index] : CudaNoOffset;
}

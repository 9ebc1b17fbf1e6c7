/* arguments.c: see arguments.h. */
#include "arguments.h"
#include "library.h"
#include "memory.h"

#include <stdlib.h>
#include <string.h>

enum { MirrorAlignment = 256, SpanGap = 16 /* bytes between two constants of a span, at most */ };

/* Whether the argument's bytes go with the launch; *contents is where they are. */
static bool canInline(const DriverCommand *command, const DriverArgument *argument, uint32_t changing,
                      const unsigned char **contents) {
  const CudaFunction *f = command->dispatch.function->implementation;
  if (!driverIsShared(command, argument) || argument->writable || changing >> argument->index & 1) return false;
  if (f->constantOffsets[argument->index] == CudaNoOffset || argument->dataSize > CudaConstantLargest) return false;
  *contents = cudaSharedContents((uintptr_t)command->dispatch.buffers[argument->index]);
  return *contents != NULL;
}

/* ---- mirrors ------------------------------------------------------------------------------------------------------- */

/* Collects the shared ranges that commands read, for all of which there is room. Returns how many they are. */
static uint32_t collect(const DriverCommand *commands, uint32_t count, const uint32_t *changing, CudaRange *read) {
  uint32_t readCount = 0;
  for (uint32_t i = 0; i < count; i++) {
    const DriverCommand *command = &commands[i];
    if (command->kind != DriverCommandDispatch) continue;
    const DriverFunction *function = command->dispatch.function;
    for (uint32_t k = 0; k < function->argumentCount; k++) {
      const DriverArgument *argument = &function->arguments[k];
      const unsigned char *contents;
      if (!driverIsShared(command, argument) || argument->writable) continue;
      const CudaRange range = cudaRangeOf(command, argument);
      if (range.to - range.from <= CudaMirrorBytes && !canInline(command, argument, changing[i], &contents))
        read[readCount++] = range;
    }
  }
  return readCount;
}

static bool allocateMirrors(CudaDevice *device, CudaArguments *arguments, char **message) {
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < arguments->mirrorCount; i++) {
    arguments->mirrors[i].copy = bytes;
    bytes += (arguments->mirrors[i].length + MirrorAlignment - 1) / MirrorAlignment * MirrorAlignment;
  }
  if (bytes == 0) return true;
  const CudaResult result = cudaApi()->MemAlloc(&arguments->memory, bytes);
  if (result != CudaSuccess) {
    arguments->memory = 0;
    *message = cudaFailure(device, result, "Cannot allocate %llu bytes for what kernels read", (unsigned long long)bytes);
    return false;
  }
  for (uint32_t i = 0; i < arguments->mirrorCount; i++) arguments->mirrors[i].copy += arguments->memory;
  return true;
}

bool cudaArgumentsPlan(CudaDevice *device, CudaArguments *arguments, const DriverCommand *commands, uint32_t count,
                       const uint32_t *changing, const CudaWrites *written, char **message) {
  *arguments = (CudaArguments){0};
  for (uint32_t i = 0; i < count; i++)
    if (commands[i].kind == DriverCommandDispatch) cudaDispatchNoteWrites(&commands[i]);
  CudaRange *read = malloc(((size_t)count * DriverMaxBuffers + 1) * sizeof *read);
  if (!read) {
    *message = strdup("Out of memory");
    return false;
  }
  const uint32_t readCount = cudaRangesMerge(read, collect(commands, count, changing, read));
  for (uint32_t i = 0; i < readCount && arguments->mirrorCount < CudaMostMirrors; i++) {
    const uint64_t length = read[i].to - read[i].from;
    if (length <= CudaMirrorBytes && !cudaWritesOverlap(written, read[i]))
      arguments->mirrors[arguments->mirrorCount++] = (CudaMirror){.from = read[i].from, .length = length};
  }
  free(read);
  arguments->writes = cudaSharedWrites();
  return allocateMirrors(device, arguments, message);
}

void cudaArgumentsFree(CudaArguments *arguments) {
  if (arguments->memory) cudaApi()->MemFree(arguments->memory);
  free(arguments->inlined);
  free(arguments->spans);
  free(arguments->copies);
  *arguments = (CudaArguments){0};
}

/* ---- placing ------------------------------------------------------------------------------------------------------- */

static bool noteInlined(CudaArguments *arguments, const CudaInlined *inlined) {
  if (arguments->inlinedCount == arguments->inlinedCapacity) {
    const uint32_t capacity = arguments->inlinedCapacity ? arguments->inlinedCapacity * 2 : 64;
    CudaInlined *grown = realloc(arguments->inlined, capacity * sizeof *grown);
    if (!grown) return false;
    arguments->inlined = grown;
    arguments->inlinedCapacity = capacity;
  }
  arguments->inlined[arguments->inlinedCount++] = *inlined;
  return true;
}

static void forgetInlined(CudaArguments *arguments, uint32_t command) {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < arguments->inlinedCount; i++) {
    if (arguments->inlined[i].command == command) continue;
    if (kept < i) arguments->inlined[kept] = arguments->inlined[i];
    kept++;
  }
  arguments->inlinedCount = kept;
}

/* The mirror that has all of a range, or with `any` a part of it. */
static const CudaMirror *mirrorOf(const CudaArguments *arguments, CudaRange range, bool any) {
  for (uint32_t i = 0; i < arguments->mirrorCount; i++) {
    const CudaMirror *mirror = &arguments->mirrors[i];
    const CudaRange has = {mirror->from, mirror->from + mirror->length};
    if (any ? cudaRangesOverlap(has, range) : has.from <= range.from && range.to <= has.to) return mirror;
  }
  return NULL;
}

bool cudaArgumentsPlace(CudaArguments *arguments, const DriverCommand *command, uint32_t index, uint32_t changing,
                        CudaDispatch *dispatch) {
  const DriverFunction *function = command->dispatch.function;
  forgetInlined(arguments, index);
  arguments->spanCount = 0;
  for (uint32_t i = 0; command->dispatch.shared != 0 && i < function->argumentCount; i++) {
    const DriverArgument *argument = &function->arguments[i];
    if (!driverIsShared(command, argument)) continue;
    const CudaRange range = cudaRangeOf(command, argument);
    CudaInlined inlined = {
        .address = range.from, .command = index, .index = argument->index, .length = argument->dataSize};
    if (canInline(command, argument, changing, &inlined.contents)) {
      memcpy(inlined.bytes, inlined.contents, inlined.length);
      if (!noteInlined(arguments, &inlined)) return false;
      cudaDispatchInline(dispatch, function, argument, inlined.bytes);
      continue;
    }
    const CudaMirror *mirror = mirrorOf(arguments, range, argument->writable);
    if (!mirror) continue;
    if (argument->writable) return false;
    dispatch->launch.buffers[argument->index] = mirror->copy + (range.from - mirror->from);
    dispatch->mirrored |= 1u << argument->index;
  }
  return true;
}

/* ---- looking again ------------------------------------------------------------------------------------------------- */

static int compareContents(const void *left, const void *right) {
  const CudaInlined *a = *(const CudaInlined *const *)left, *b = *(const CudaInlined *const *)right;
  return a->contents < b->contents ? -1 : a->contents > b->contents;
}

/* Joins sorted constants into spans. Returns how many bytes they have. */
static size_t joinSpans(CudaArguments *arguments, const CudaInlined **sorted) {
  CudaSpan *last = NULL;
  size_t bytes = 0;
  for (uint32_t i = 0; i < arguments->inlinedCount; i++) {
    const unsigned char *from = sorted[i]->contents, *to = from + sorted[i]->length;
    if (!last || from > last->contents + last->length + SpanGap) {
      last = &arguments->spans[arguments->spanCount++];
      *last = (CudaSpan){.contents = from, .copy = bytes};
    }
    const size_t length = (size_t)(to - last->contents);
    if (length <= last->length) continue;
    bytes += length - last->length;
    last->length = length;
  }
  return bytes;
}

/* The bytes of spans: what the launches have of it, and what is in the gaps, of which no page can be without memory. */
static void copySpans(CudaArguments *arguments, const CudaInlined **sorted) {
  uint32_t next = 0;
  for (uint32_t i = 0; i < arguments->spanCount; i++) {
    const CudaSpan *span = &arguments->spans[i];
    unsigned char *copy = arguments->copies + span->copy;
    memcpy(copy, span->contents, span->length);
    for (; next < arguments->inlinedCount && sorted[next]->contents < span->contents + span->length; next++)
      memcpy(copy + (sorted[next]->contents - span->contents), sorted[next]->bytes, sorted[next]->length);
  }
}

/* Makes few comparisons of hundreds. Without memory for it there are the hundreds. */
static void makeSpans(CudaArguments *arguments) {
  free(arguments->spans);
  free(arguments->copies);
  arguments->copies = NULL;
  arguments->spanCount = 0;
  arguments->spans = calloc(arguments->inlinedCount, sizeof *arguments->spans);
  const CudaInlined **sorted = malloc(arguments->inlinedCount * sizeof *sorted);
  if (arguments->spans && sorted) {
    for (uint32_t i = 0; i < arguments->inlinedCount; i++) sorted[i] = &arguments->inlined[i];
    qsort(sorted, arguments->inlinedCount, sizeof *sorted, compareContents);
    arguments->copies = malloc(joinSpans(arguments, sorted));
    if (arguments->copies) copySpans(arguments, sorted);
    else arguments->spanCount = 0;
  }
  free(sorted);
}

bool cudaArgumentsAreUnchanged(CudaArguments *arguments) {
  if (arguments->spanCount == 0 || cudaSharedWrites() != arguments->writes) return false;
  for (uint32_t i = 0; i < arguments->spanCount; i++) {
    const CudaSpan *span = &arguments->spans[i];
    if (memcmp(span->contents, arguments->copies + span->copy, span->length) != 0) return false;
  }
  return true;
}

bool cudaArgumentsAreCurrent(CudaArguments *arguments, uint32_t *changing) {
  const uint64_t writes = cudaSharedWrites();
  const bool mayBeWritten = writes != arguments->writes;
  bool areCurrent = true;
  for (uint32_t i = 0; i < arguments->inlinedCount; i++) {
    const CudaInlined *inlined = &arguments->inlined[i];
    const bool isSame = memcmp(inlined->contents, inlined->bytes, inlined->length) == 0;
    if (isSame && !mayBeWritten) continue;
    if (isSame && cudaSharedContents(inlined->address)) continue;
    changing[inlined->command] |= 1u << inlined->index;
    areCurrent = false;
  }
  arguments->writes = writes;
  if (areCurrent) makeSpans(arguments);
  return areCurrent;
}

#include "unwind.h"

#include <stdlib.h>
#include <string.h>

#include "compact_unwind.h"
#include "failure.h"
#include "frame_writer.h"

/* libgcc. */
extern void __register_frame(void *start);

typedef struct Registration {
  const Image *image;
  FrameWriter frames;
  uint32_t functions;
} Registration;

/* The personality's address, from the pointer that the image keeps to it. */
static bool readPersonality(const Image *image, uint32_t pointerOffset, uint64_t *personality) {
  *personality = 0;
  if (pointerOffset == 0) return true;
  const uint64_t *pointer = imageAt(image, image->address + pointerOffset, sizeof *pointer);
  if (!pointer || *pointer == 0) return loaderFail("A personality function lies outside of the image");
  *personality = *pointer;
  return true;
}

/* The registers that an entry names, in the order in which compact unwind numbers them, as DWARF numbers. */
static const uint8_t dwarfRegisters[] = {0, 3 /* rbx */, 12, 13, 14, 15, 6 /* rbp */};

/* rbp is the frame; up to five registers lie together below it. */
static bool writeFrameOfPointer(FrameWriter *frames, uint32_t encoding) {
  uint32_t offset = encoding >> 16 & 0xFF, registers = encoding & 0x7FFF;
  frameDefineCanonical(frames, 6 /* rbp */, 16);
  frameSaved(frames, 6, 2);
  for (uint32_t i = 0; i < 5; i++, registers >>= 3) {
    uint32_t number = registers & 7;
    if (number > 5) return false;
    // Words below the canonical address, which is two words above rbp.
    if (number != 0) frameSaved(frames, dwarfRegisters[number], 2 + offset - i);
  }
  return true;
}

/* Bytes of a frame that is too large for its field: the operand of the function's `sub rsp`, plus what was pushed. */
static uint32_t largeStackSize(const uint8_t *function, uint32_t encoding) {
  uint32_t size;
  memcpy(&size, function + (encoding >> 16 & 0xFF), sizeof size);
  return size + (encoding >> 13 & 7) * 8;
}

/* No frame pointer; the stack has a fixed size and the saved registers are at its top, in an order that one number of
 * ten bits tells: in a mixed base, which of the registers not yet named comes next. */
static bool writeFrameOfStack(FrameWriter *frames, uint32_t encoding, uint32_t size) {
  uint32_t count = encoding >> 10 & 7, permutation = encoding & 0x3FF;
  if (count > 6) return false;
  frameDefineCanonical(frames, 7 /* rsp */, size);
  bool isUsed[7] = {false};
  uint32_t divisors[6] = {0}, product = 1;
  for (uint32_t i = count; i-- > 0;) {
    // Position i chooses among the 6 - i registers that the ones before it left over; the last of six has no choice.
    divisors[i] = product;
    product *= 6 - i;
  }
  for (uint32_t i = 0; i < count; i++) {
    uint32_t choice = permutation / divisors[i];
    permutation %= divisors[i];
    uint32_t number = 1;
    for (; number <= 6; number++)
      if (!isUsed[number] && choice-- == 0) break;
    if (number > 6) return false;
    isUsed[number] = true;
    frameSaved(frames, dwarfRegisters[number], 1 + count - i);
  }
  return true;
}

static bool writeFrame(FrameWriter *frames, const CompactFunction *function, uint64_t start) {
  switch (function->encoding & CompactModeMask) {
    case CompactModeFramePointer: return writeFrameOfPointer(frames, function->encoding);
    case CompactModeStack: return writeFrameOfStack(frames, function->encoding, (function->encoding >> 16 & 0xFF) * 8);
    case CompactModeLargeStack:
      return function->size >= (function->encoding >> 16 & 0xFF) + sizeof(uint32_t) &&
             writeFrameOfStack(frames, function->encoding, largeStackSize((const uint8_t *)start, function->encoding));
    default: return false;
  }
}

static bool addFunction(void *context, const CompactFunction *function) {
  Registration *registration = context;
  const Image *image = registration->image;
  FrameWriter *frames = &registration->frames;
  uint64_t start = (uint64_t)image->base + function->start, personality;
  uint64_t table = function->tableOffset ? (uint64_t)image->base + function->tableOffset : 0;
  if (!imageHolds(image, (const void *)start, function->size) ||
      (table && !imageHolds(image, (const void *)table, 1)) ||
      !readPersonality(image, function->personalityOffset, &personality))
    return loaderFail("The unwind information of the function at \"0x%x\" is malformed", function->start);
  if ((function->encoding & CompactModeMask) == 0) return true; // nothing throws through it
  registration->functions++;
  if ((function->encoding & CompactModeMask) == CompactModeDwarf)
    return frameCopyDwarf(frames, image, function->encoding & 0xFFFFFF) ||
           loaderFail("The entry in __eh_frame of the function at \"0x%x\" is malformed", function->start);
  frameBegin(frames, start, function->size, personality, table);
  bool isKnown = writeFrame(frames, function, start);
  frameEnd(frames);
  return isKnown || loaderFail("The function at \"0x%x\" has unwind encoding \"0x%08x\", which is not known",
                               function->start, function->encoding);
}

bool unwindRegister(const Image *image, uint32_t *functions) {
  Registration registration = {.image = image};
  *functions = 0;
  if (!compactVisit(image, addFunction, &registration)) return false;
  *functions = registration.functions;
  void *start = frameFinish(&registration.frames);
  if (!start) return loaderFail("There is no memory left for unwind information");
  __register_frame(start);
  return true;
}

/* compact_frames_x86_64.c: what a word of compact unwind means on x86_64. */
#if defined(__x86_64__)

#include <string.h>

#include "compact_frames.h"

/* From <mach-o/compact_unwind_encoding.h>. */
enum { ModeFramePointer = 0x01000000, ModeStack = 0x02000000, ModeLargeStack = 0x03000000 };

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

bool compactWriteFrame(FrameWriter *frames, const CompactFunction *function, const uint8_t *start) {
  switch (function->encoding & CompactModeMask) {
    case ModeFramePointer: return writeFrameOfPointer(frames, function->encoding);
    case ModeStack: return writeFrameOfStack(frames, function->encoding, (function->encoding >> 16 & 0xFF) * 8);
    case ModeLargeStack:
      return function->size >= (function->encoding >> 16 & 0xFF) + sizeof(uint32_t) &&
             writeFrameOfStack(frames, function->encoding, largeStackSize(start, function->encoding));
    default: return false;
  }
}

#endif

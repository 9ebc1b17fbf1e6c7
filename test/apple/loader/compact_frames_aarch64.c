/* compact_frames_aarch64.c: what a word of compact unwind means on arm64. */
#if defined(__aarch64__)

#include "compact_frames.h"

/* From <mach-o/compact_unwind_encoding.h>. */
enum { ModeFrameless = 0x02000000, ModeFrame = 0x04000000 };

/* Pairs of registers that a function may have saved, in the order in which they lie below its frame: DWARF numbers of
 * the first of each, from x19 to x27 and from d8 to d14. */
static const struct {
  uint32_t flag;
  uint8_t first;
} pairs[] = {{0x1, 19},         {0x2, 21},         {0x4, 23},         {0x8, 25},        {0x10, 27},
             {0x100, 64 + 8},   {0x200, 64 + 10},  {0x400, 64 + 12},  {0x800, 64 + 14}};

static void writePairs(FrameWriter *frames, uint32_t encoding, uint32_t words) {
  for (unsigned i = 0; i < sizeof pairs / sizeof *pairs; i++) {
    if (!(encoding & pairs[i].flag)) continue;
    frameSaved(frames, pairs[i].first, ++words);
    frameSaved(frames, pairs[i].first + 1, ++words);
  }
}

bool compactWriteFrame(FrameWriter *frames, const CompactFunction *function, const uint8_t *start) {
  (void)start;
  switch (function->encoding & CompactModeMask) {
    case ModeFrame:
      frameDefineCanonical(frames, 29 /* x29 */, 16);
      frameSaved(frames, 30, 1); // the return address
      frameSaved(frames, 29, 2);
      writePairs(frames, function->encoding, 2);
      return true;
    case ModeFrameless:
      // The return address is still in its register, and the pairs are at the top of the stack.
      frameDefineCanonical(frames, 31 /* sp */, (function->encoding >> 12 & 0xFFF) * 16);
      writePairs(frames, function->encoding, 0);
      return true;
    default: return false;
  }
}

#endif

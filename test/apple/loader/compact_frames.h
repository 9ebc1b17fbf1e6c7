/* compact_frames.h: from a word of compact unwind to the rules of .eh_frame, for the architecture of this process. */
#ifndef LOADER_COMPACT_FRAMES_H
#define LOADER_COMPACT_FRAMES_H

#include "compact_unwind.h"
#include "frame_writer.h"

/** The mode of functions that have an entry in __eh_frame instead; its place is in the lower 24 bits. */
#if defined(__x86_64__)
enum { CompactModeDwarf = 0x04000000 };
#else
enum { CompactModeDwarf = 0x03000000 };
#endif

/** Writes the rules of a function, whose code is at `start`. False for a word that is not known. */
bool compactWriteFrame(FrameWriter *frames, const CompactFunction *function, const uint8_t *start);

#endif

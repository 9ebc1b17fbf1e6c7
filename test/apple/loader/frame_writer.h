/* frame_writer.h: writes entries of .eh_frame, with absolute addresses. */
#ifndef LOADER_FRAME_WRITER_H
#define LOADER_FRAME_WRITER_H

#include "image.h"

/** The column of the return address. */
#if defined(__x86_64__)
enum { FrameReturnAddress = 16 };
#else
enum { FrameReturnAddress = 30 };
#endif

typedef struct FrameWriter {
  uint8_t *bytes; /* NULL once memory ran out */
  uint64_t size, capacity;
  bool isOutOfMemory;
  uint64_t entryStart;
} FrameWriter;

/** Begins the entry of a function. The personality and its table may be 0. */
void frameBegin(FrameWriter *frames, uint64_t start, uint64_t size, uint64_t personality, uint64_t table);

/** The canonical frame address is `offset` bytes above that register (a DWARF number). */
void frameDefineCanonical(FrameWriter *frames, uint8_t number, uint32_t offset);

/** That register was saved `words` words below the canonical frame address. */
void frameSaved(FrameWriter *frames, uint8_t number, uint32_t words);

/** Appends instructions as they are. */
void frameInstructions(FrameWriter *frames, Bytes instructions);

void frameEnd(FrameWriter *frames);

/** Copies the entry at `offset` of the image's __eh_frame, with its addresses made absolute; in frame_reader.c. False
 *  where it is malformed. */
bool frameCopyDwarf(FrameWriter *frames, const Image *image, uint32_t offset);

/** Ends the list and returns it, for __register_frame; never freed. NULL where memory ran out. */
void *frameFinish(FrameWriter *frames);

#endif

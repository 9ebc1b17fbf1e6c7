#include "frame_writer.h"

#include <stdlib.h>
#include <string.h>

/* DWARF's call frame instructions. */
enum { DW_CFA_nop = 0, DW_CFA_offset_extended = 0x05, DW_CFA_def_cfa = 0x0C, DW_CFA_offset = 0x80 };
/* Where a function begins: on x86_64 the return address is on the stack then. */
#if defined(__x86_64__)
enum { StackPointer = 7, StackAtEntry = 8 };
#else
enum { StackPointer = 31, StackAtEntry = 0 };
#endif

static void put(FrameWriter *frames, const void *bytes, uint64_t size) {
  if (frames->size + size > frames->capacity) {
    uint64_t capacity = (frames->size + size) * 2;
    uint8_t *grown = realloc(frames->bytes, capacity);
    frames->isOutOfMemory |= !grown;
    if (!grown) return;
    frames->bytes = grown;
    frames->capacity = capacity;
  }
  memcpy(frames->bytes + frames->size, bytes, size);
  frames->size += size;
}

static void putByte(FrameWriter *frames, uint8_t value) {
  put(frames, &value, 1);
}

static void putLong(FrameWriter *frames, uint64_t value) {
  put(frames, &value, sizeof value);
}

static void putNumber(FrameWriter *frames, uint64_t value) {
  for (; value >= 0x80; value >>= 7) putByte(frames, (uint8_t)(value | 0x80));
  putByte(frames, (uint8_t)value);
}

static void putBytes(FrameWriter *frames, uint8_t value, uint64_t count) {
  for (uint64_t i = 0; i < count; i++) putByte(frames, value);
}

/* An entry begins with its length, which is not known before its end. */
static void beginRecord(FrameWriter *frames) {
  frames->entryStart = frames->size;
  put(frames, &(uint32_t){0}, sizeof(uint32_t));
}

static void endRecord(FrameWriter *frames) {
  putBytes(frames, DW_CFA_nop, (8 - (frames->size - frames->entryStart + 4) % 8) % 8);
  uint32_t length = (uint32_t)(frames->size - frames->entryStart - sizeof length);
  if (!frames->isOutOfMemory) memcpy(frames->bytes + frames->entryStart, &length, sizeof length);
}

/* Each function has a common entry of its own: it costs 40 bytes and saves keeping them apart by personality. */
void frameBegin(FrameWriter *frames, uint64_t start, uint64_t size, uint64_t personality, uint64_t table) {
  uint64_t common = frames->size;
  beginRecord(frames);
  put(frames, &(uint32_t){0}, sizeof(uint32_t)); // this is a common entry
  putByte(frames, 1);                            // version
  const char *augmentation = personality ? "zPLR" : "zR";
  put(frames, augmentation, strlen(augmentation) + 1);
  putNumber(frames, 1);  // code addresses advance by 1 byte
  putByte(frames, 0x78); // saved registers lie at multiples of -8 (signed LEB128)
  putNumber(frames, FrameReturnAddress);
  putNumber(frames, personality ? 11 : 1);
  if (personality) {
    putByte(frames, 0); // the personality is an absolute pointer
    putLong(frames, personality);
    putByte(frames, 0); // so is the table's address
  }
  putByte(frames, 0); // and the function's
  frameDefineCanonical(frames, StackPointer, StackAtEntry);
  if (StackAtEntry > 0) frameSaved(frames, FrameReturnAddress, 1);
  endRecord(frames);

  beginRecord(frames);
  uint32_t distance = (uint32_t)(frames->size - common);
  put(frames, &distance, sizeof distance);
  putLong(frames, start);
  putLong(frames, size);
  putNumber(frames, personality ? 8 : 0);
  if (personality) putLong(frames, table);
}

void frameDefineCanonical(FrameWriter *frames, uint8_t number, uint32_t offset) {
  putByte(frames, DW_CFA_def_cfa);
  putNumber(frames, number);
  putNumber(frames, offset);
}

void frameSaved(FrameWriter *frames, uint8_t number, uint32_t words) {
  if (number < 64) {
    putByte(frames, DW_CFA_offset | number);
  } else {
    putByte(frames, DW_CFA_offset_extended);
    putNumber(frames, number);
  }
  putNumber(frames, words);
}

void frameInstructions(FrameWriter *frames, Bytes instructions) {
  put(frames, instructions.start, instructions.size);
}

void frameEnd(FrameWriter *frames) {
  endRecord(frames);
}

void *frameFinish(FrameWriter *frames) {
  put(frames, &(uint32_t){0}, sizeof(uint32_t));
  return frames->isOutOfMemory ? NULL : frames->bytes;
}

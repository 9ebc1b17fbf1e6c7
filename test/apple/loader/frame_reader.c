/*
 * frame_reader.c: entries of the image's own __eh_frame, for functions that compact unwind cannot describe.
 */
#include <string.h>

#include "frame_writer.h"

/* What Apple's toolchains write there. */
enum { EncodingPcRelative = 0x10, EncodingPcRelativeIndirect32 = 0x9B };

typedef struct Reader {
  const Image *image;
  const uint8_t *at, *end;
  bool isCut;
} Reader;

static uint64_t readBytes(Reader *reader, uint64_t size) {
  uint64_t value = 0;
  if ((uint64_t)(reader->end - reader->at) < size) {
    reader->isCut = true;
    return 0;
  }
  memcpy(&value, reader->at, size);
  reader->at += size;
  return value;
}

static uint64_t readNumber(Reader *reader) {
  uint64_t value = 0;
  for (uint32_t shift = 0; shift < 64 && !reader->isCut; shift += 7) {
    uint64_t byte = readBytes(reader, 1);
    value |= (byte & 0x7F) << shift;
    if (!(byte & 0x80)) break;
  }
  return value;
}

/* A pointer of 8 bytes relative to itself. */
static uint64_t readRelative(Reader *reader) {
  uint64_t place = (uint64_t)reader->at, distance = readBytes(reader, 8);
  return distance ? place + distance : 0;
}

/* A pointer of 4 bytes, relative to itself, to the pointer that is meant. */
static uint64_t readIndirect(Reader *reader) {
  const uint8_t *place = reader->at;
  const uint64_t *pointer = (const void *)(place + (int32_t)readBytes(reader, 4));
  if (imageHolds(reader->image, pointer, sizeof *pointer)) return *pointer;
  reader->isCut = true;
  return 0;
}

/* A reader of the entry at `at`, past its length. */
static Reader readEntry(const Image *image, Bytes section, const uint8_t *at) {
  Reader reader = {image, at, section.start + section.size, false};
  if (at < section.start || at > reader.end) reader.isCut = true;
  uint64_t length = reader.isCut ? 0 : readBytes(&reader, 4);
  if (length > (uint64_t)(reader.end - reader.at)) reader.isCut = true;
  if (!reader.isCut) reader.end = reader.at + length;
  return reader;
}

/* The common entry: its personality, and the instructions that all of its functions begin with. */
static bool readCommon(Reader *reader, uint64_t *personality, bool *hasTable, Bytes *instructions) {
  char augmentation[8] = "";
  bool isCommon = readBytes(reader, 4) == 0 && readBytes(reader, 1) == 1;
  for (size_t i = 0; i < sizeof augmentation - 1; i++)
    if (!(augmentation[i] = (char)readBytes(reader, 1))) break;
  bool isAligned = readNumber(reader) == 1 && readNumber(reader) == 0x78 && readNumber(reader) == FrameReturnAddress;
  if (!isCommon || !isAligned || augmentation[0] != 'z') return false;
  uint64_t size = readNumber(reader);
  const uint8_t *end = reader->at + size;
  for (const char *each = augmentation + 1; *each; each++) {
    uint64_t encoding = readBytes(reader, 1);
    if (*each == 'P' && encoding == EncodingPcRelativeIndirect32) *personality = readIndirect(reader);
    else if (*each == 'L' && encoding == EncodingPcRelative) *hasTable = true;
    else if (*each != 'R' || encoding != EncodingPcRelative) return false;
  }
  if (reader->isCut || end != reader->at) return false;
  *instructions = (Bytes){reader->at, (uint64_t)(reader->end - reader->at)};
  return true;
}

bool frameCopyDwarf(FrameWriter *frames, const Image *image, uint32_t offset) {
  Bytes section = imageSectionBytes(image, "__eh_frame");
  if (offset >= section.size) return false;
  Reader entry = readEntry(image, section, section.start + offset);
  const uint8_t *place = entry.at;
  uint64_t distance = readBytes(&entry, 4);
  if (entry.isCut || distance == 0 || distance > (uint64_t)(place - section.start)) return false;
  Reader common = readEntry(image, section, place - distance);
  uint64_t personality = 0, table = 0;
  bool hasTable = false;
  Bytes before;
  if (common.isCut || !readCommon(&common, &personality, &hasTable, &before)) return false;
  uint64_t start = readRelative(&entry), size = readBytes(&entry, 8), extra = readNumber(&entry);
  const uint8_t *end = entry.at + extra;
  if (hasTable && extra >= 8) table = readRelative(&entry);
  bool isSound = !entry.isCut && entry.at == end && end <= entry.end && imageHolds(image, (const void *)start, size) &&
                 (table == 0 || imageHolds(image, (const void *)table, 1));
  if (!isSound) return false;
  frameBegin(frames, start, size, personality, table);
  frameInstructions(frames, before);
  frameInstructions(frames, (Bytes){entry.at, (uint64_t)(entry.end - entry.at)});
  frameEnd(frames);
  return true;
}

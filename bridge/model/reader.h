/* reader.h: reads a section of a plan file without ever leaving it. */
#ifndef MODEL_READER_H
#define MODEL_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Reader {
  const uint8_t *bytes; /* at a multiple of 16 */
  uint64_t position, length;
  bool isShort; /* something was read past the end, as 0 or NULL */
} Reader;

static inline uint64_t readerLeft(const Reader *reader) {
  return reader->length - reader->position;
}

/** The next `count` bytes; NULL, and `isShort`, where there are fewer. */
static inline const uint8_t *readBytes(Reader *reader, uint64_t count) {
  if (reader->isShort || count > readerLeft(reader)) {
    reader->isShort = true;
    return NULL;
  }
  const uint8_t *bytes = reader->bytes + reader->position;
  reader->position += count;
  return bytes;
}

/** The next `count` words: the position is a multiple of 4, as all that comes before bytes is whole words. */
static inline const uint32_t *readWords(Reader *reader, uint64_t count) {
  if (reader->position % 4 != 0 || count > readerLeft(reader) / 4) {
    reader->isShort = true;
    return NULL;
  }
  return (const uint32_t *)(const void *)readBytes(reader, count * 4);
}

static inline uint32_t readWord(Reader *reader) {
  const uint32_t *word = readWords(reader, 1);
  return word ? *word : 0;
}

/** Two words, the lower one first. */
static inline uint64_t readLong(Reader *reader) {
  uint64_t low = readWord(reader);
  return low | (uint64_t)readWord(reader) << 32;
}

#endif

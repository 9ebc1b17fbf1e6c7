#include "text_stream.h"

#include "utf8.h"

#include <stdlib.h>
#include <string.h>

size_t bridgeUtf8FirstFault(const uint8_t *text, size_t length) {
  for (size_t at = 0; at < length;) {
    uint8_t first = text[at];
    if (first < 0x80) {
      at++;
      continue;
    }
    if (first < 0xC2 || first > 0xF4) return at;
    size_t bytes = utf8Length(first);
    uint8_t least, greatest;
    utf8SecondByte(first, &least, &greatest);
    if (bytes > length - at || text[at + 1] < least || text[at + 1] > greatest) return at;
    for (size_t i = 2; i < bytes; i++)
      if ((text[at + i] & 0xC0) != 0x80) return at;
    at += bytes;
  }
  return length;
}

static bool append(TextStream *stream, const uint8_t *bytes, size_t length) {
  if (stream->start == stream->length) stream->start = stream->length = 0;
  if (length > stream->capacity - stream->length) {
    size_t capacity = 2 * (stream->length + length) + 64;
    uint8_t *larger = realloc(stream->text, capacity);
    if (!larger) return false;
    stream->text = larger;
    stream->capacity = capacity;
  }
  memcpy(stream->text + stream->length, bytes, length);
  stream->length += length;
  return true;
}

static bool appendReplacement(TextStream *stream) {
  stream->held = stream->needed = 0;
  static const uint8_t replacement[] = {0xEF, 0xBF, 0xBD};
  return append(stream, replacement, sizeof replacement);
}

/* The first byte of a character. */
static bool begin(TextStream *stream, uint8_t byte) {
  if (byte < 0x80) return append(stream, &byte, 1);
  if (byte < 0xC2 || byte > 0xF4) return appendReplacement(stream);
  stream->partial[0] = byte;
  stream->held = 1;
  stream->needed = (uint8_t)utf8Length(byte);
  return true;
}

static bool addByte(TextStream *stream, uint8_t byte) {
  if (stream->needed == 0) return begin(stream, byte);
  uint8_t least = 0x80, greatest = 0xBF;
  if (stream->held == 1) utf8SecondByte(stream->partial[0], &least, &greatest);
  // What cannot continue the character ends it, and may begin the next.
  if (byte < least || byte > greatest) return appendReplacement(stream) && begin(stream, byte);
  stream->partial[stream->held++] = byte;
  if (stream->held < stream->needed) return true;
  uint8_t length = stream->needed;
  stream->held = stream->needed = 0;
  return append(stream, stream->partial, length);
}

bool bridgeTextStreamAdd(TextStream *stream, const uint8_t *bytes, size_t length) {
  for (size_t i = 0; i < length; i++)
    if (!addByte(stream, bytes[i])) return false;
  return true;
}

bool bridgeTextStreamEnd(TextStream *stream) {
  return stream->needed == 0 || appendReplacement(stream);
}

bool bridgeTextStreamHasText(const TextStream *stream) {
  return stream->start < stream->length;
}

uint32_t bridgeTextStreamTake(TextStream *stream, char *out, uint32_t capacity) {
  size_t taken = stream->length - stream->start;
  if (taken > capacity) {
    taken = capacity;
    // Back to where a character begins.
    while (taken > 0 && (stream->text[stream->start + taken] & 0xC0) == 0x80) taken--;
  }
  if (taken > 0) memcpy(out, stream->text + stream->start, taken);
  stream->start += taken;
  return (uint32_t)taken;
}

void bridgeTextStreamReset(TextStream *stream) {
  stream->start = stream->length = 0;
  stream->held = stream->needed = 0;
}

void bridgeTextStreamFree(TextStream *stream) {
  free(stream->text);
  *stream = (TextStream){0};
}

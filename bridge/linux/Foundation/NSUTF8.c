#include "NSUTF8.h"

/** Bytes of the sequence that starts with `first`; 0 for a byte that starts none. */
static size_t sequenceLength(uint8_t first) {
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return 2;
  if (first >= 0xE0 && first <= 0xEF) return 3;
  if (first >= 0xF0 && first <= 0xF4) return 4;
  return 0;
}

bool NSUTF8IsValid(const char *text, size_t length) {
  const uint8_t *bytes = (const uint8_t *)text;
  for (size_t i = 0; i < length;) {
    size_t size = sequenceLength(bytes[i]);
    if (size == 0 || size > length - i) return false;
    for (size_t k = 1; k < size; k++) {
      if ((bytes[i + k] & 0xC0) != 0x80) return false;
    }
    // The second byte's range rules out overlong forms, surrogates and what is above U+10FFFF (RFC 3629, section 4).
    if (bytes[i] == 0xE0 && bytes[i + 1] < 0xA0) return false;
    if (bytes[i] == 0xED && bytes[i + 1] > 0x9F) return false;
    if (bytes[i] == 0xF0 && bytes[i + 1] < 0x90) return false;
    if (bytes[i] == 0xF4 && bytes[i + 1] > 0x8F) return false;
    i += size;
  }
  return true;
}

uint32_t NSUTF8Next(const char *text, size_t length, size_t *offset) {
  const uint8_t *bytes = (const uint8_t *)text + *offset;
  size_t size = sequenceLength(bytes[0]);
  if (size == 0 || size > length - *offset) size = 1;
  *offset += size;
  switch (size) {
    case 2: return (bytes[0] & 0x1Fu) << 6 | (bytes[1] & 0x3Fu);
    case 3: return (bytes[0] & 0x0Fu) << 12 | (bytes[1] & 0x3Fu) << 6 | (bytes[2] & 0x3Fu);
    case 4:
      return (bytes[0] & 0x07u) << 18 | (bytes[1] & 0x3Fu) << 12 | (bytes[2] & 0x3Fu) << 6 | (bytes[3] & 0x3Fu);
    default: return bytes[0];
  }
}

size_t NSUTF8LengthInUTF16(const char *bytes, size_t length) {
  size_t units = 0;
  for (size_t i = 0; i < length;) units += NSUTF8Next(bytes, length, &i) > 0xFFFF ? 2 : 1;
  return units;
}

/* utf8.h: characters of text. */
#ifndef MODEL_UTF8_H
#define MODEL_UTF8_H

#include <stddef.h>
#include <stdint.h>

/** Bytes of the character that begins with this byte of well-formed UTF-8. */
static inline size_t utf8Length(uint8_t first) {
  return first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}

/** The character that begins at `text`, which is well-formed UTF-8. */
static inline uint32_t utf8Character(const uint8_t *text) {
  switch (utf8Length(*text)) {
    case 1: return text[0];
    case 2: return (text[0] & 0x1Fu) << 6 | (text[1] & 0x3Fu);
    case 3: return (text[0] & 0x0Fu) << 12 | (text[1] & 0x3Fu) << 6 | (text[2] & 0x3Fu);
    default: return (text[0] & 0x07u) << 18 | (text[1] & 0x3Fu) << 12 | (text[2] & 0x3Fu) << 6 | (text[3] & 0x3Fu);
  }
}

/** The least and the greatest byte that may follow the first byte of a character (Unicode 15, table 3-7). */
static inline void utf8SecondByte(uint8_t first, uint8_t *least, uint8_t *greatest) {
  *least = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
  *greatest = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
}

/** Offset of the first byte that is not well-formed UTF-8; `length` where all of it is. */
size_t bridgeUtf8FirstFault(const uint8_t *text, size_t length);

#endif

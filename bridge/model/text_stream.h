/*
 * text_stream.h: the bytes of tokens as they arrive, given out as whole characters. What is no UTF-8 becomes U+FFFD, as
 * in the decoders of browsers (https://encoding.spec.whatwg.org/#utf-8-decoder), and so in src/text/stream.ts.
 */
#ifndef MODEL_TEXT_STREAM_H
#define MODEL_TEXT_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct TextStream {
  uint8_t partial[4];   /* the character that is not complete yet */
  uint8_t held, needed; /* bytes of it: there, and in all; 0 and 0 for none */
  uint8_t *text;        /* complete characters that nobody has taken yet */
  size_t start, length, capacity;
} TextStream;

/** Adds bytes. False where there is no memory. */
bool bridgeTextStreamAdd(TextStream *stream, const uint8_t *bytes, size_t length);

/** Ends the text: a character that is not complete becomes U+FFFD. False where there is no memory. */
bool bridgeTextStreamEnd(TextStream *stream);

/** Whether there is text to take. */
bool bridgeTextStreamHasText(const TextStream *stream);

/** Moves whole characters into `out`, at most `capacity` bytes. Returns how many bytes. */
uint32_t bridgeTextStreamTake(TextStream *stream, char *out, uint32_t capacity);

/** Forgets all text. */
void bridgeTextStreamReset(TextStream *stream);
void bridgeTextStreamFree(TextStream *stream);

#endif

/* registers.c: see registers.h. */
#include "registers.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { MostKinds = 16, LongestKind = 8, MostDigits = 9 };

/** The last number of each kind of register. */
typedef struct Kinds {
  uint64_t names[MostKinds]; /* bytes, one after the other */
  int64_t last[MostKinds];
  uint32_t count;
} Kinds;

/** The length of the kind's name behind a % at text[i], and where its last number is; 0 without either. */
static size_t readKind(Kinds *kinds, const char *text, size_t i, size_t length, int64_t **last) {
  size_t n = 0;
  uint64_t name = 0;
  for (; i + 1 + n < length && n <= LongestKind && text[i + 1 + n] >= 'a' && text[i + 1 + n] <= 'z'; n++)
    name = name << 8 | (unsigned char)text[i + 1 + n];
  if (n == 0 || n > LongestKind) return 0;
  uint32_t k = 0;
  while (k < kinds->count && kinds->names[k] != name) k++;
  if (k == MostKinds) return 0;
  if (k == kinds->count) kinds->names[kinds->count++] = name;
  *last = &kinds->last[k];
  return n;
}

/** A number of at most MostDigits digits at text[i]; returns the digits, 0 where there is none. */
static size_t readNumber(const char *text, size_t i, size_t length, int64_t *number) {
  size_t n = 0;
  for (*number = 0; i + n < length && n <= MostDigits && text[i + n] >= '0' && text[i + n] <= '9'; n++)
    *number = *number * 10 + (text[i + n] - '0');
  return n <= MostDigits ? n : 0;
}

enum { DigitsRoom = 24 };

/** Puts the digits of a number at the end of that room. Returns where they begin, behind room for a sign. */
static size_t putDigits(char digits[DigitsRoom], uint64_t number) {
  size_t at = DigitsRoom;
  do digits[--at] = (char)('0' + number % 10);
  while ((number /= 10) > 0);
  return at;
}

static void putNumber(MslText *out, int64_t number) {
  char digits[DigitsRoom];
  size_t at = putDigits(digits, (uint64_t)(number < 0 ? -number : number));
  if (number < 0) digits[--at] = '-';
  mslTextAppend(out, digits + at, sizeof digits - at);
}

void ptxRelateRegisters(MslText *out, const char *text, size_t length) {
  Kinds kinds = {0};
  size_t from = 0;
  for (size_t i = 0; i < length; i++) {
    int64_t *last, number;
    const size_t name = text[i] == '%' ? readKind(&kinds, text, i, length, &last) : 0;
    const size_t digits = name ? readNumber(text, i + 1 + name, length, &number) : 0;
    if (!digits) continue;
    mslTextAppend(out, text + from, i + 1 + name - from);
    putNumber(out, number - *last);
    *last = number;
    from = i + 1 + name + digits;
    i = from - 1;
  }
  mslTextAppend(out, text + from, length - from);
}

enum { MostPut = 32 /* bytes, of one number */ };

/* Bytes that are written where there is room for them. */
typedef struct Output {
  char *bytes, *at, *end;
} Output;

static bool grow(Output *out, size_t more) {
  if ((size_t)(out->end - out->at) >= more) return true;
  const size_t used = (size_t)(out->at - out->bytes), capacity = used + more + more / 4 + 4096;
  char *bytes = realloc(out->bytes, capacity);
  if (!bytes) return false;
  *out = (Output){bytes, bytes + used, bytes + capacity};
  return true;
}

static void writeNumber(Output *out, uint64_t number) {
  char digits[DigitsRoom];
  for (size_t at = putDigits(digits, number); at < sizeof digits; at++) *out->at++ = digits[at];
}

/* It is run over megabytes whenever a library is opened. */
static bool restore(Output *out, const char *text, size_t length, size_t limit) {
  Kinds kinds = {0};
  if (!grow(out, length + MostPut)) return false;
  for (size_t i = 0; i < length; i++) {
    int64_t *last, number;
    *out->at++ = text[i];
    if (text[i] != '%') continue;
    const size_t name = readKind(&kinds, text, i, length, &last);
    const size_t sign = name && i + 1 + name < length && text[i + 1 + name] == '-' ? 1 : 0;
    const size_t digits = name ? readNumber(text, i + 1 + name + sign, length, &number) : 0;
    if (!digits) continue;
    *last += sign ? -number : number;
    if (*last < 0 || *last > UINT32_MAX) return false;
    for (size_t k = 1; k <= name; k++) *out->at++ = text[i + k];
    writeNumber(out, (uint64_t)*last);
    i += name + sign + digits;
    /* A number may be longer than the difference that it was. */
    if ((size_t)(out->at - out->bytes) > limit || !grow(out, length - i + MostPut)) return false;
  }
  return (size_t)(out->at - out->bytes) <= limit;
}

bool ptxRestoreRegisters(MslText *out, const char *text, size_t length, size_t limit) {
  Output restored = {0};
  const bool ok = restore(&restored, text, length, limit) && grow(&restored, 1);
  if (ok) {
    *restored.at = 0;
    mslTextFree(out);
    *out = (MslText){.bytes = restored.bytes,
                     .length = (size_t)(restored.at - restored.bytes),
                     .capacity = (size_t)(restored.end - restored.bytes)};
  } else {
    free(restored.bytes);
  }
  return ok;
}

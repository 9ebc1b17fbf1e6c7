/* registers.c: see registers.h. */
#include "registers.h"

#include <stdint.h>
#include <string.h>

enum { MostKinds = 16, LongestKind = 8, MostDigits = 9 };

/** The last number of each kind of register. */
typedef struct Kinds {
  char names[MostKinds][LongestKind];
  int64_t last[MostKinds];
  uint32_t count;
} Kinds;

/** The length of the kind's name behind a % at text[i], and where its last number is; 0 without either. */
static size_t readKind(Kinds *kinds, const char *text, size_t i, size_t length, int64_t **last) {
  size_t n = 0;
  while (i + 1 + n < length && n <= LongestKind && text[i + 1 + n] >= 'a' && text[i + 1 + n] <= 'z') n++;
  if (n == 0 || n > LongestKind) return 0;
  char name[LongestKind] = {0};
  memcpy(name, text + i + 1, n);
  uint32_t k = 0;
  while (k < kinds->count && memcmp(kinds->names[k], name, LongestKind) != 0) k++;
  if (k == MostKinds) return 0;
  if (k == kinds->count) memcpy(kinds->names[kinds->count++], name, LongestKind);
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

static void putNumber(MslText *out, int64_t number) {
  char digits[24];
  size_t at = sizeof digits;
  for (uint64_t rest = (uint64_t)(number < 0 ? -number : number); at == sizeof digits || rest > 0; rest /= 10)
    digits[--at] = (char)('0' + rest % 10);
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

bool ptxRestoreRegisters(MslText *out, const char *text, size_t length, size_t limit) {
  Kinds kinds = {0};
  size_t from = 0;
  for (size_t i = 0; i < length && out->length <= limit; i++) {
    int64_t *last, number;
    const size_t name = text[i] == '%' ? readKind(&kinds, text, i, length, &last) : 0;
    const size_t sign = name && i + 1 + name < length && text[i + 1 + name] == '-' ? 1 : 0;
    const size_t digits = name ? readNumber(text, i + 1 + name + sign, length, &number) : 0;
    if (!digits) continue;
    *last += sign ? -number : number;
    if (*last < 0 || *last > UINT32_MAX) return false;
    mslTextAppend(out, text + from, i + 1 + name - from);
    putNumber(out, *last);
    from = i + 1 + name + sign + digits;
    i = from - 1;
  }
  mslTextAppend(out, text + from, length - from);
  return out->length <= limit && !out->failed;
}

/*
 * compression.c: see compression.h.
 *
 * The form is the length, then three parts, each behind its length: the bytes that are copied as they stand, in order; the
 * steps, each a number of such bytes and a number of bytes to repeat; and for each step the distance from which it repeats.
 * Numbers have 7 bits in a byte, the lowest first. Apart from each other the parts are alike in themselves, which whatever
 * packs a file of this once more makes use of.
 */
#include "compression.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { HashBits = 18, ShortestMatch = 5, MostCandidates = 64 };

static void putNumber(MslText *out, size_t number) {
  for (; number >= 128; number >>= 7) mslTextAppend(out, &(char){(char)((number & 127) | 128)}, 1);
  mslTextAppend(out, &(char){(char)number}, 1);
}

static uint32_t hashAt(const char *bytes) {
  uint32_t word;
  memcpy(&word, bytes, sizeof word);
  word ^= (uint32_t)(unsigned char)bytes[4] << 13;
  return word * 2654435761u >> (32 - HashBits);
}

static size_t matching(const char *a, const char *b, const char *end) {
  const char *start = b;
  while (b < end && *a == *b) {
    a++;
    b++;
  }
  return (size_t)(b - start);
}

void cudaCompress(MslText *out, const char *bytes, size_t length) {
  /* Chains of places with the same hash, the latest first; places count from 1. */
  uint32_t *heads = calloc((size_t)1 << HashBits, sizeof *heads);
  uint32_t *before = malloc((length + 1) * sizeof *before);
  MslText literals = {0}, steps = {0}, distances = {0};
  if (!heads || !before) out->failed = true;
  size_t at = 0, copied = 0;
  while (!out->failed && at + ShortestMatch <= length) {
    const uint32_t hash = hashAt(bytes + at);
    size_t best = 0, distance = 0;
    uint32_t candidate = heads[hash];
    for (int i = 0; candidate && i < MostCandidates; i++, candidate = before[candidate - 1]) {
      const size_t found = matching(bytes + candidate - 1, bytes + at, bytes + length);
      if (found > best) {
        best = found;
        distance = at - (candidate - 1);
      }
    }
    const size_t step = best >= ShortestMatch ? best : 1;
    if (step > 1) {
      putNumber(&steps, at - copied);
      putNumber(&steps, best - ShortestMatch);
      putNumber(&distances, distance);
      mslTextAppend(&literals, bytes + copied, at - copied);
    }
    for (size_t i = at; i < at + step && i + ShortestMatch <= length; i++) {
      const uint32_t h = hashAt(bytes + i);
      before[i] = heads[h];
      heads[h] = (uint32_t)i + 1;
    }
    at += step;
    if (step > 1) copied = at;
  }
  mslTextAppend(&literals, bytes + copied, length - copied);
  putNumber(out, length);
  const MslText *const parts[] = {&literals, &steps, &distances};
  for (int i = 0; i < 3; i++) {
    putNumber(out, parts[i]->length);
    mslTextAppend(out, parts[i]->bytes ? parts[i]->bytes : "", parts[i]->length);
    if (parts[i]->failed) out->failed = true;
  }
  mslTextFree(&literals);
  mslTextFree(&steps);
  mslTextFree(&distances);
  free(heads);
  free(before);
}

typedef struct Part {
  const char *at;
  size_t left;
} Part;

static bool takeNumber(Part *part, size_t *number) {
  *number = 0;
  for (int shift = 0; part->left > 0 && shift <= 28; shift += 7) {
    const unsigned char byte = (unsigned char)*part->at++;
    part->left--;
    *number |= (size_t)(byte & 127) << shift;
    if (byte < 128) return true;
  }
  return false;
}

char *cudaDecompress(const char *bytes, size_t length, size_t limit, size_t *outLength) {
  Part whole = {bytes, length}, parts[3];
  size_t total;
  if (!takeNumber(&whole, &total) || total > limit) return NULL;
  for (int i = 0; i < 3; i++) {
    if (!takeNumber(&whole, &parts[i].left) || parts[i].left > whole.left) return NULL;
    parts[i].at = whole.at;
    whole.at += parts[i].left;
    whole.left -= parts[i].left;
  }
  Part *literals = &parts[0], *steps = &parts[1], *distances = &parts[2];
  char *out = whole.left == 0 ? malloc(total ? total : 1) : NULL;
  bool ok = out != NULL;
  size_t at = 0, count, repeated, distance;
  while (ok && steps->left > 0) {
    ok = takeNumber(steps, &count) && takeNumber(steps, &repeated) && takeNumber(distances, &distance) &&
         count <= literals->left && count <= total - at;
    if (!ok) break;
    memcpy(out + at, literals->at, count);
    literals->at += count;
    literals->left -= count;
    at += count;
    repeated += ShortestMatch;
    ok = distance >= 1 && distance <= at && repeated <= total - at;
    if (ok && distance >= repeated) {
      memcpy(out + at, out + at - distance, repeated);
      at += repeated;
      continue;
    }
    for (; ok && repeated > 0; repeated--, at++) out[at] = out[at - distance];
  }
  ok = ok && literals->left == total - at && distances->left == 0;
  if (ok) memcpy(out + at, literals->at, literals->left);
  if (!ok) free(out);
  *outLength = total;
  return ok ? out : NULL;
}

/* image.c: see image.h. */
#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The slices stand one after the other from the first byte on, then as many places, then the end. */
typedef struct Place {
  char target[24];
  uint64_t length;
  uint64_t hash;
  uint32_t abi;
  uint32_t padding;
} Place;

typedef struct End {
  uint32_t count;
  uint32_t padding;
  uint64_t hash; /* of the places */
  char magic[16];
} End;

static const char magic[16] = "bun-metal shader";

enum { SliceAlignment = 16 };

uint64_t mslImageHash(const char *bytes, size_t length) {
  uint64_t hash = 14695981039346656037ull ^ length;
  for (size_t i = 0; i < length; i += 8) {
    uint64_t word = 0;
    memcpy(&word, bytes + i, length - i < 8 ? length - i : 8);
    hash = (hash ^ word) * 1099511628211ull;
    hash ^= hash >> 29;
  }
  return hash;
}

static size_t aligned(size_t length) { return (length + SliceAlignment - 1) / SliceAlignment * SliceAlignment; }

void mslImageWrite(MslText *out, const MslSlice *slices, uint32_t count) {
  static const char zeros[SliceAlignment];
  Place places[MslMaxTargets] = {0};
  if (count > MslMaxTargets) count = MslMaxTargets;
  for (uint32_t i = 0; i < count; i++) {
    const MslSlice *slice = &slices[i];
    places[i] = (Place){.length = slice->length,
                        .hash = mslImageHash(slice->bytes, slice->length),
                        .abi = slice->target->abi};
    snprintf(places[i].target, sizeof places[i].target, "%s", slice->target->name);
    mslTextAppend(out, slice->bytes, slice->length);
    mslTextAppend(out, zeros, aligned(slice->length) - slice->length);
  }
  const size_t bytes = count * sizeof *places;
  End end = {.count = count, .hash = mslImageHash((const char *)places, bytes)};
  memcpy(end.magic, magic, sizeof magic);
  mslTextAppend(out, (const char *)places, bytes);
  mslTextAppend(out, (const char *)&end, sizeof end);
}

char *mslImageRead(const char *bytes, size_t length, const char *name, MslImage *image) {
  End end;
  Place places[MslMaxTargets];
  *image = (MslImage){0};
  if (length <= sizeof end)
    return mslFormat("'%s' is not a shader library: it has %zu bytes; make one with mslc", name, length);
  memcpy(&end, bytes + length - sizeof end, sizeof end);
  if (memcmp(end.magic, magic, sizeof magic) != 0) {
    if (memcmp(bytes, "MTLB", 4) == 0)
      return mslFormat(
          "'%s' is a library of Apple's Metal compiler, which only Apple's devices can read: compile the "
          "shaders with mslc",
          name);
    return mslFormat("'%s' is not a shader library, or only a part of one; make one with mslc", name);
  }
  const size_t placesBytes = (size_t)end.count * sizeof *places;
  bool ok = end.count >= 1 && end.count <= MslMaxTargets && placesBytes <= length - sizeof end;
  size_t left = ok ? length - sizeof end - placesBytes : 0;
  if (ok) memcpy(places, bytes + left, placesBytes);
  ok = ok && mslImageHash((const char *)places, placesBytes) == end.hash;
  for (uint32_t i = 0; ok && i < end.count; i++) {
    Place *place = &places[i];
    place->target[sizeof place->target - 1] = 0;
    ok = place->length <= left && aligned(place->length) <= left && mslImageHash(bytes, place->length) == place->hash;
    if (!ok) break;
    MslSlice *slice = &image->slices[image->count++];
    const MslTarget *target = mslTargetNamed(place->target);
    *slice = (MslSlice){.target = target && target->abi == place->abi ? target : NULL,
                        .abi = place->abi,
                        .bytes = bytes,
                        .length = place->length,
                        .hash = place->hash};
    memcpy(slice->name, place->target, sizeof slice->name);
    bytes += aligned(place->length);
    left -= aligned(place->length);
  }
  return ok && left == 0 ? NULL : mslFormat("'%s' is damaged: compile it again with mslc", name);
}

const MslSlice *mslImageChoose(const MslImage *image, const char *name, const char *device,
                               int (*rank)(const MslTarget *target), char **message) {
  const MslSlice *best = NULL;
  for (uint32_t i = 0; i < image->count; i++) {
    const MslSlice *slice = &image->slices[i];
    if (slice->target && rank(slice->target) > (best ? rank(best->target) : 0)) best = slice;
  }
  if (best) return best;
  MslText names = {0};
  for (uint32_t i = 0; i < image->count; i++) {
    const MslSlice *slice = &image->slices[i];
    const MslTarget *target = mslTargetNamed(slice->name);
    mslTextPrint(&names, "%s%s", i ? ", " : "", slice->name);
    if (target && target->abi != slice->abi)
      mslTextPrint(&names, " (version %u of this layer, which is version %u)", slice->abi, target->abi);
  }
  *message = mslFormat("'%s' was compiled for %s, which %s lacks: compile it again with mslc, whose option --target "
                       "names what to compile for", name, names.bytes ? names.bytes : "", device);
  mslTextFree(&names);
  return NULL;
}

/* Reads a file of `size` bytes, or what has become of it meanwhile. NULL, or what is wrong. */
static const char *readBytes(int fd, size_t size, MslText *out) {
  *out = (MslText){.bytes = malloc(size + 1), .capacity = size + 1};
  if (!out->bytes) return "out of memory";
  ssize_t n = 1;
  while (out->length < size && n != 0) {
    n = read(fd, out->bytes + out->length, size - out->length);
    if (n < 0 && errno != EINTR) return strerror(errno);
    if (n > 0) out->length += (size_t)n;
  }
  out->bytes[out->length] = 0;
  return NULL;
}

bool mslImageLoadFile(const char *path, MslText *out, char **message) {
  *message = NULL;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  struct stat info;
  if (fd < 0 || fstat(fd, &info) != 0) {
    *message = mslFormat("Cannot read the shader library '%s': %s", path, strerror(errno));
    if (fd >= 0) close(fd);
    return false;
  }
  if (!S_ISREG(info.st_mode)) {
    *message = mslFormat("Cannot read the shader library '%s': it is not a file", path);
  } else if (info.st_size > (off_t)1 << 30) {
    *message = mslFormat("'%s' is not a shader library: it has %lld bytes", path, (long long)info.st_size);
  } else {
    const char *problem = readBytes(fd, (size_t)info.st_size, out);
    if (problem) *message = mslFormat("Cannot read the shader library '%s': %s", path, problem);
  }
  close(fd);
  if (*message) mslTextFree(out);
  return !*message;
}

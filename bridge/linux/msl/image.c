/* image.c: see image.h. */
#include "image.h"
#include "../cpu/metal/library/abi.h"
#include "toolchain.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef struct Signature {
  char level[16];
  uint64_t objectLength;
  uint64_t hash;
  uint32_t abi;
  char magic[12];
} Signature;

static const char magic[12] = "bun-metalcpu";

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

void mslImageSign(MslText *image, const char *level) {
  Signature s = {.objectLength = image->length, .hash = mslImageHash(image->bytes, image->length), .abi = CPU_ABI_VERSION};
  snprintf(s.level, sizeof s.level, "%s", level);
  memcpy(s.magic, magic, sizeof magic);
  mslTextAppend(image, (const char *)&s, sizeof s);
}

char *mslImageCheck(const char *bytes, size_t length, const char *name, size_t *objectLength) {
  Signature s;
  if (length <= sizeof s)
    return mslFormat("'%s' is not a shader library: it has %zu bytes; make one with mslc", name, length);
  memcpy(&s, bytes + length - sizeof s, sizeof s);
  if (memcmp(s.magic, magic, sizeof magic) != 0) {
    if (memcmp(bytes, "MTLB", 4) == 0)
      return mslFormat(
          "'%s' is a library of Apple's Metal compiler, which only Apple's devices can read: compile the "
          "shaders with mslc",
          name);
    return mslFormat("'%s' is not a shader library, or only a part of one; make one with mslc", name);
  }
  s.level[sizeof s.level - 1] = 0;
  if (s.abi != CPU_ABI_VERSION)
    return mslFormat(
        "'%s' was compiled for version %u of this layer, which is version %u: compile it again with mslc", name,
        s.abi, (unsigned)CPU_ABI_VERSION);
  if (s.objectLength != length - sizeof s || s.hash != mslImageHash(bytes, length - sizeof s))
    return mslFormat("'%s' is damaged: compile it again with mslc", name);
  if (!cpuHasLevel(s.level))
    return mslFormat(
        "'%s' was compiled for %s, which this machine lacks: compile it again here, or with "
        "BUN_METAL_CPU_LEVEL set to a lower level",
        name, s.level);
  *objectLength = s.objectLength;
  return NULL;
}

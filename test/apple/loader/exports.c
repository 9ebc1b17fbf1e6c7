#include "exports.h"

#include <string.h>

#include "failure.h"
#include "macho.h"

enum { LongestName = 512, MostNodes = 1 << 16 };

typedef struct Walk {
  const Image *image;
  ExportVisitor visit;
  void *context;
  char name[LongestName];
  uint32_t nodes; /* visited so far: a trie with a cycle ends too */
} Walk;

/* Reads an unsigned LEB128 number; false past the end and for more than 64 bits. */
static bool readNumber(Bytes bytes, uint64_t *at, uint64_t *value) {
  *value = 0;
  for (uint32_t shift = 0; *at < bytes.size && shift < 64; shift += 7) {
    uint8_t byte = bytes.start[(*at)++];
    *value |= (uint64_t)(byte & 0x7F) << shift;
    if (!(byte & 0x80)) return true;
  }
  return false;
}

static bool visitTerminal(Walk *walk, uint64_t at) {
  uint64_t flags, offset;
  if (!readNumber(walk->image->exports, &at, &flags) || !readNumber(walk->image->exports, &at, &offset))
    return loaderFail("Export \"%s\" is cut", walk->name);
  if ((flags & ~(uint64_t)EXPORT_SYMBOL_FLAGS_WEAK_DEFINITION) != EXPORT_SYMBOL_FLAGS_KIND_REGULAR)
    return loaderFail("Export \"%s\" has flags \"0x%lx\", which this loader does not know", walk->name, flags);
  void *address = imageAt(walk->image, walk->image->address + offset, 1);
  if (!address) return loaderFail("Export \"%s\" lies outside of the image, at \"0x%lx\"", walk->name, offset);
  return walk->visit(walk->context, walk->name, address);
}

/* A node: the size of its terminal information, that, the number of children, and for each its edge and its offset. */
static bool visitNode(Walk *walk, uint64_t at, size_t nameLength) {
  Bytes bytes = walk->image->exports;
  uint64_t terminalSize;
  if (++walk->nodes > MostNodes || !readNumber(bytes, &at, &terminalSize) || terminalSize >= bytes.size - at)
    return loaderFail("The exports trie is malformed behind \"%s\"", walk->name);
  if (terminalSize > 0 && !visitTerminal(walk, at)) return false;
  at += terminalSize;
  uint32_t children = bytes.start[at++];
  for (uint32_t i = 0; i < children; i++) {
    size_t length = strnlen((const char *)bytes.start + at, bytes.size - at);
    if (length >= bytes.size - at || nameLength + length >= LongestName)
      return loaderFail("The exports trie has a name without an end behind \"%s\"", walk->name);
    memcpy(walk->name + nameLength, bytes.start + at, length + 1);
    at += length + 1;
    uint64_t child;
    if (!readNumber(bytes, &at, &child) || child >= bytes.size)
      return loaderFail("The exports trie points outside of itself at \"%s\"", walk->name);
    if (!visitNode(walk, child, nameLength + length)) return false;
    walk->name[nameLength] = 0;
  }
  return true;
}

bool imageVisitExports(const Image *image, ExportVisitor visit, void *context) {
  Walk walk = {.image = image, .visit = visit, .context = context};
  return image->exports.size == 0 || visitNode(&walk, 0, 0);
}

typedef struct Search {
  const char *name;
  void *address;
} Search;

static bool compareName(void *context, const char *name, void *address) {
  Search *search = context;
  if (strcmp(name, search->name) == 0) search->address = address;
  return search->address == NULL;
}

void *imageExport(const Image *image, const char *name) {
  Search search = {.name = name};
  imageVisitExports(image, compareName, &search);
  return search.address;
}

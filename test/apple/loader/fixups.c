#include "fixups.h"

#include <string.h>

#include "exports.h"
#include "failure.h"
#include "library.h"
#include "macho.h"

/* Chains count in words of 4 bytes. */
enum { ChainStride = 4, MostImports = 4096 };

typedef struct Fixups {
  const Image *image;
  const dyld_chained_import *imports;
  const char *names;
  uint64_t namesSize;
  uint32_t importCount;
  void *addresses[MostImports];
} Fixups;

/* Where a bind of ordinal 0 and of a coalesced weak definition may find the symbol: in the image itself. */
static bool bindToSelf(const Fixups *fixups, const char *name, bool isWeak, void **address) {
  *address = imageExport(fixups->image, name);
  if (*address || isWeak) return true;
  return loaderFail("Symbol \"%s\" is to be in the image itself, which does not export it", name);
}

static bool resolveImport(Fixups *fixups, uint32_t index) {
  const dyld_chained_import *import = &fixups->imports[index];
  const char *name = fixups->names + import->name_offset;
  if (import->name_offset >= fixups->namesSize ||
      !memchr(name, 0, fixups->namesSize - import->name_offset))
    return loaderFail("The name of import \"%u\" lies outside of the fixups", index);
  int32_t ordinal = import->lib_ordinal;
  void **address = &fixups->addresses[index];
  if (ordinal == BIND_SPECIAL_DYLIB_SELF || ordinal == BIND_SPECIAL_DYLIB_WEAK_LOOKUP)
    return bindToSelf(fixups, name, import->weak_import, address);
  if (ordinal < 0)
    return loaderFail("Symbol \"%s\" is asked from no library (ordinal \"%d\"): link with two-level namespaces", name,
                      ordinal);
  if ((uint32_t)ordinal > fixups->image->libraryCount)
    return loaderFail("Symbol \"%s\" is asked from library \"%d\" of \"%u\"", name, ordinal,
                      fixups->image->libraryCount);
  return libraryResolve(fixups->image, (uint32_t)ordinal - 1, name, import->weak_import, address);
}

static bool resolveImports(Fixups *fixups, const dyld_chained_fixups_header *header) {
  Bytes bytes = fixups->image->fixups;
  uint64_t importsSize = (uint64_t)header->imports_count * sizeof *fixups->imports;
  if (header->imports_format != DYLD_CHAINED_IMPORT || header->symbols_format != 0 ||
      header->imports_count > MostImports)
    return loaderFail("The fixups have \"%u\" imports of format \"%u\", which this loader does not know",
                      header->imports_count, header->imports_format);
  if (header->imports_offset > bytes.size || importsSize > bytes.size - header->imports_offset ||
      header->symbols_offset >= bytes.size)
    return loaderFail("The imports reach beyond the fixups");
  fixups->imports = (const dyld_chained_import *)(const void *)(bytes.start + header->imports_offset);
  fixups->names = (const char *)bytes.start + header->symbols_offset;
  fixups->namesSize = bytes.size - header->symbols_offset;
  fixups->importCount = header->imports_count;
  for (uint32_t i = 0; i < header->imports_count; i++)
    if (!resolveImport(fixups, i)) return false;
  return true;
}

/* The value of one pointer. */
static bool fixPointer(const Fixups *fixups, uint16_t format, uint64_t raw, uint64_t *value) {
  dyld_chained_ptr_64_bind bind;
  memcpy(&bind, &raw, sizeof raw);
  if (bind.bind) {
    if (bind.ordinal >= fixups->importCount)
      return loaderFail("A pointer is bound to import \"%u\" of \"%u\"", (uint32_t)bind.ordinal, fixups->importCount);
    *value = (uint64_t)fixups->addresses[bind.ordinal] + bind.addend;
    return true;
  }
  dyld_chained_ptr_64_rebase rebase;
  memcpy(&rebase, &raw, sizeof raw);
  const Image *image = fixups->image;
  uint64_t address = rebase.target + (format == DYLD_CHAINED_PTR_64_OFFSET ? image->address : 0);
  void *target = imageAt(image, address, 0);
  if (!target) return loaderFail("A pointer leads to \"0x%lx\", outside of the image", address);
  *value = (uint64_t)target | (uint64_t)rebase.high8 << 56;
  return true;
}

/* Follows the chain of one page. */
static bool fixChain(const Fixups *fixups, const Segment *segment, uint16_t format, uint64_t offset) {
  for (;;) {
    uint8_t *place = imageAt(fixups->image, segment->address + offset, sizeof(uint64_t));
    if (!place) return loaderFail("A chain of fixups leaves segment \"%s\"", segment->name);
    uint64_t raw, value;
    memcpy(&raw, place, sizeof raw);
    if (!fixPointer(fixups, format, raw, &value)) return false;
    memcpy(place, &value, sizeof value);
    dyld_chained_ptr_64_bind link;
    memcpy(&link, &raw, sizeof raw);
    if (link.next == 0) return true;
    offset += (uint64_t)link.next * ChainStride;
  }
}

static bool fixSegment(const Fixups *fixups, const Segment *segment, Bytes starts) {
  dyld_chained_starts_in_segment header;
  if (starts.size < sizeof header) return loaderFail("The fixups of segment \"%s\" are cut", segment->name);
  memcpy(&header, starts.start, sizeof header);
  if (header.pointer_format != DYLD_CHAINED_PTR_64 && header.pointer_format != DYLD_CHAINED_PTR_64_OFFSET)
    return loaderFail("Segment \"%s\" has pointers of format \"%u\", which x86_64 does not have", segment->name,
                      header.pointer_format);
  if (header.page_count > (starts.size - sizeof header) / sizeof(uint16_t) || header.page_size == 0)
    return loaderFail("The fixups of segment \"%s\" list more pages than they hold", segment->name);
  for (uint32_t page = 0; page < header.page_count; page++) {
    uint16_t start;
    memcpy(&start, starts.start + sizeof header + page * sizeof start, sizeof start);
    if (start == DYLD_CHAINED_PTR_START_NONE) continue;
    if (!fixChain(fixups, segment, header.pointer_format, (uint64_t)page * header.page_size + start)) return false;
  }
  return true;
}

/* `starts` is a count of segments and, for each, where its pages are listed: 0 where it has no fixups. */
static bool fixSegments(const Fixups *fixups, uint64_t startsOffset) {
  Bytes bytes = fixups->image->fixups;
  if (startsOffset > bytes.size || bytes.size - startsOffset < sizeof(uint32_t))
    return loaderFail("The list of fixups reaches beyond them");
  Bytes list = {bytes.start + startsOffset, bytes.size - startsOffset};
  uint32_t count;
  memcpy(&count, list.start, sizeof count);
  if (count > fixups->image->segmentCount || count > (list.size - sizeof count) / sizeof count)
    return loaderFail("The fixups are for \"%u\" segments of \"%u\"", count, fixups->image->segmentCount);
  for (uint32_t i = 0; i < count; i++) {
    uint32_t offset;
    memcpy(&offset, list.start + (i + 1) * sizeof offset, sizeof offset);
    if (offset == 0) continue;
    if (offset > list.size) return loaderFail("The fixups of segment \"%u\" reach beyond the list", i);
    Bytes starts = {list.start + offset, list.size - offset};
    if (!fixSegment(fixups, &fixups->image->segments[i], starts)) return false;
  }
  return true;
}

bool imageFixUp(const Image *image) {
  dyld_chained_fixups_header header;
  if (image->fixups.size < sizeof header) return loaderFail("\"%s\" has no chained fixups", image->path);
  memcpy(&header, image->fixups.start, sizeof header);
  if (header.fixups_version != 0)
    return loaderFail("The fixups are of version \"%u\", which this loader does not know", header.fixups_version);
  static Fixups fixups; // large, and one image is loaded at a time
  memset(&fixups, 0, sizeof fixups);
  fixups.image = image;
  return resolveImports(&fixups, &header) && fixSegments(&fixups, header.starts_offset);
}

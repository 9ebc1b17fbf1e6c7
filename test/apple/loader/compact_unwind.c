#include "compact_unwind.h"

#include <string.h>

#include "failure.h"

enum { HasTable = 0x40000000, PersonalityShift = 28, RegularPage = 2, CompressedPage = 3 };

typedef struct Header {
  uint32_t version, commonOffset, commonCount, personalityOffset, personalityCount, indexOffset, indexCount;
} Header;

typedef struct IndexEntry {
  uint32_t functionOffset, pageOffset, tablesOffset;
} IndexEntry;

typedef struct TableEntry {
  uint32_t functionOffset, tableOffset;
} TableEntry;

typedef struct RegularEntry {
  uint32_t functionOffset, encoding;
} RegularEntry;

/* A page of either kind; the last two are of compressed pages only. */
typedef struct PageHeader {
  uint32_t kind;
  uint16_t entryOffset, entryCount, encodingOffset, encodingCount;
} PageHeader;

typedef struct Visit {
  Bytes bytes;
  Header header;
  CompactVisitor visitor;
  void *context;
  CompactFunction pending; /* its size is known once the next one's start is */
  bool hasPending;
} Visit;

/* `count` items of `size` bytes at `offset` of the section; NULL where they reach beyond it. */
static const void *itemsAt(const Visit *visit, uint64_t offset, uint64_t count, uint64_t size) {
  bool isInside = offset <= visit->bytes.size && count <= (visit->bytes.size - offset) / size;
  return isInside ? visit->bytes.start + offset : NULL;
}

static bool fail(void) {
  return loaderFail("The section __unwind_info is malformed");
}

/* Hands on the entry before, which ends where this one starts. */
static bool finishPending(Visit *visit, uint32_t end) {
  if (!visit->hasPending) return true;
  if (end < visit->pending.start) return fail();
  visit->pending.size = end - visit->pending.start;
  visit->hasPending = false;
  return visit->pending.size == 0 || visit->visitor(visit->context, &visit->pending);
}

static bool findTable(const Visit *visit, const IndexEntry *index, uint32_t functionOffset, uint32_t *tableOffset) {
  if (index[1].tablesOffset < index->tablesOffset) return fail();
  uint32_t count = (index[1].tablesOffset - index->tablesOffset) / sizeof(TableEntry);
  const TableEntry *tables = itemsAt(visit, index->tablesOffset, count, sizeof *tables);
  for (uint32_t i = 0; tables && i < count; i++) {
    if (tables[i].functionOffset != functionOffset) continue;
    *tableOffset = tables[i].tableOffset;
    return true;
  }
  return loaderFail("The function at \"0x%x\" has no language-specific data, though it is to have", functionOffset);
}

static bool visitEntry(Visit *visit, const IndexEntry *index, uint32_t functionOffset, uint32_t encoding) {
  if (!finishPending(visit, functionOffset)) return false;
  visit->pending = (CompactFunction){.start = functionOffset, .encoding = encoding};
  uint32_t personality = encoding >> PersonalityShift & 3;
  if (personality > 0) {
    const uint32_t *offsets =
        itemsAt(visit, visit->header.personalityOffset, visit->header.personalityCount, sizeof *offsets);
    if (!offsets || personality > visit->header.personalityCount) return fail();
    visit->pending.personalityOffset = offsets[personality - 1];
  }
  visit->hasPending = true;
  return !(encoding & HasTable) || findTable(visit, index, functionOffset, &visit->pending.tableOffset);
}

static bool visitRegularPage(Visit *visit, const IndexEntry *index, const PageHeader *page) {
  const RegularEntry *entries =
      itemsAt(visit, (uint64_t)index->pageOffset + page->entryOffset, page->entryCount, sizeof *entries);
  if (!entries) return fail();
  for (uint32_t i = 0; i < page->entryCount; i++)
    if (!visitEntry(visit, index, entries[i].functionOffset, entries[i].encoding)) return false;
  return true;
}

/* An entry is 24 bits of distance from the page's first function and 8 bits of index into the common encodings and,
 * behind them, the page's own. */
static bool visitCompressedPage(Visit *visit, const IndexEntry *index, const PageHeader *page) {
  const uint32_t *entries =
      itemsAt(visit, (uint64_t)index->pageOffset + page->entryOffset, page->entryCount, sizeof *entries);
  const uint32_t *own =
      itemsAt(visit, (uint64_t)index->pageOffset + page->encodingOffset, page->encodingCount, sizeof *own);
  const uint32_t *common = itemsAt(visit, visit->header.commonOffset, visit->header.commonCount, sizeof *common);
  if (!entries || !own || !common) return fail();
  for (uint32_t i = 0; i < page->entryCount; i++) {
    uint32_t which = entries[i] >> 24, commonCount = visit->header.commonCount;
    if (which >= commonCount + page->encodingCount) return fail();
    uint32_t encoding = which < commonCount ? common[which] : own[which - commonCount];
    if (!visitEntry(visit, index, index->functionOffset + (entries[i] & 0xFFFFFF), encoding)) return false;
  }
  return true;
}

static bool visitPage(Visit *visit, const IndexEntry *index) {
  const PageHeader *page = itemsAt(visit, index->pageOffset, 1, sizeof *page);
  if (!page) return fail();
  if (page->kind == RegularPage) return visitRegularPage(visit, index, page);
  return page->kind == CompressedPage ? visitCompressedPage(visit, index, page) : fail();
}

bool compactVisit(const Image *image, CompactVisitor visitor, void *context) {
  Visit visit = {.bytes = imageSectionBytes(image, "__unwind_info"), .visitor = visitor, .context = context};
  const Header *header = itemsAt(&visit, 0, 1, sizeof *header);
  if (!header || header->version != 1) return loaderFail("The image has no section __unwind_info of version 1");
  visit.header = *header;
  const IndexEntry *index = itemsAt(&visit, header->indexOffset, header->indexCount, sizeof *index);
  if (!index || header->indexCount == 0) return fail();
  // The last entry only says where the one before it ends.
  for (uint32_t i = 0; i + 1 < header->indexCount; i++)
    if (index[i].pageOffset != 0 && !visitPage(&visit, &index[i])) return false;
  return finishPending(&visit, index[header->indexCount - 1].functionOffset);
}

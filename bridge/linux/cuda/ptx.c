/* ptx.c: see ptx.h. */
#include "ptx.h"
#include "../msl/image.h"

#include <stdlib.h>
#include <string.h>

static bool startsName(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$';
}
static bool isInName(char c) { return startsName(c) || (c >= '0' && c <= '9'); }

/** The source without comments, indentation and empty lines. */
static void clean(MslText *out, const char *source, size_t length) {
  for (size_t i = 0; i < length;) {
    const char *end = memchr(source + i, '\n', length - i);
    const size_t next = end ? (size_t)(end - source) + 1 : length;
    size_t from = i, to = next;
    for (size_t k = from; k + 1 < to; k++)
      if (source[k] == '/' && source[k + 1] == '/') to = k;
    while (from < to && (source[from] == ' ' || source[from] == '\t')) from++;
    while (to > from && (source[to - 1] == ' ' || source[to - 1] == '\t' || source[to - 1] == '\n')) to--;
    if (to > from) {
      mslTextAppend(out, source + from, to - from);
      mslTextAppend(out, "\n", 1);
    }
    i = next;
  }
}

/** The byte behind the bracket that closes the one at `i`. */
static size_t behindBracket(const MslText *t, size_t i) {
  size_t depth = 0;
  for (; i < t->length; i++) {
    const char c = t->bytes[i];
    if (c == '(' || c == '{' || c == '[') depth++;
    if ((c == ')' || c == '}' || c == ']') && --depth == 0) return i + 1;
  }
  return t->length;
}

static bool isDirective(const MslText *t, size_t i, size_t end, const char *name) {
  const size_t length = strlen(name);
  return end - i == length && memcmp(t->bytes + i, name, length) == 0;
}

/** Reads the piece that starts at `i`. Returns the byte behind it; 0 if it is not understood. */
static size_t readPiece(const MslText *t, size_t i, PtxPiece *piece, bool *isPiece) {
  *piece = (PtxPiece){.start = i};
  *isPiece = false;
  bool isFunction = false, isVariable = false, hasBody = false;
  while (i < t->length) {
    const char c = t->bytes[i];
    if (c == ';' || c == '\n') {
      i++;
      /* A line ends what is neither function nor variable: .version 7.8 */
      if (c == ';' || !(isFunction || isVariable)) break;
    } else if (c == '.') {
      size_t end = i + 1;
      while (end < t->length && isInName(t->bytes[end])) end++;
      if (isDirective(t, i, end, ".entry")) piece->isEntry = isFunction = true;
      if (isDirective(t, i, end, ".func")) isFunction = true;
      if (isDirective(t, i, end, ".global") || isDirective(t, i, end, ".const") || isDirective(t, i, end, ".shared"))
        isVariable = true;
      i = end;
    } else if (startsName(c)) {
      size_t end = i;
      while (end < t->length && isInName(t->bytes[end])) end++;
      if ((isFunction || isVariable) && !piece->name) {
        piece->name = t->bytes + i;
        piece->nameLength = end - i;
      }
      i = end;
    } else if (c == '(' || c == '[' || c == '{') {
      i = behindBracket(t, i);
      if (c == '{' && isFunction) {
        hasBody = true;
        if (i < t->length && t->bytes[i] == '\n') i++;
        break;
      }
    } else {
      i++;
    }
  }
  piece->length = i - piece->start;
  piece->isDeclaration = isFunction && !hasBody;
  *isPiece = isFunction || isVariable;
  return *isPiece && !piece->name ? 0 : i;
}

static bool hasName(const PtxPiece *piece, const char *name, size_t length) {
  return piece->nameLength == length && memcmp(piece->name, name, length) == 0;
}

/** Pieces by name, each name once: definitions go before declarations. */
typedef struct Table {
  uint32_t *slots; /* piece + 1 */
  size_t mask;
} Table;

static uint32_t *slotOf(const Table *table, const PtxModule *module, const char *name, size_t length) {
  size_t slot = mslImageHash(name, length) & table->mask;
  while (table->slots[slot] && !hasName(&module->pieces[table->slots[slot] - 1], name, length))
    slot = (slot + 1) & table->mask;
  return &table->slots[slot];
}

/** Finds the pieces that each piece names. False when out of memory. */
static bool findUses(PtxModule *module) {
  size_t size = 16;
  while (size < (size_t)module->count * 2) size *= 2;
  Table table = {.slots = calloc(size, sizeof *table.slots), .mask = size - 1};
  uint32_t *found = calloc((size_t)module->count + 1, sizeof *found);
  uint32_t *seenIn = calloc((size_t)module->count + 1, sizeof *seenIn); /* piece + 1 */
  bool ok = table.slots && found && seenIn;
  for (uint32_t p = 0; ok && p < module->count; p++) {
    uint32_t *slot = slotOf(&table, module, module->pieces[p].name, module->pieces[p].nameLength);
    if (!*slot || module->pieces[*slot - 1].isDeclaration) *slot = p + 1;
  }
  for (uint32_t p = 0; ok && p < module->count; p++) {
    PtxPiece *piece = &module->pieces[p];
    const char *text = module->text.bytes + piece->start;
    uint32_t count = 0;
    for (size_t i = 0; i < piece->length;) {
      if (!startsName(text[i])) {
        /* Registers, directives and numbers are no names of pieces. */
        const bool skips = text[i] == '%' || text[i] == '.' || (text[i] >= '0' && text[i] <= '9');
        for (i++; skips && i < piece->length && isInName(text[i]); i++) continue;
        continue;
      }
      size_t end = i;
      while (end < piece->length && isInName(text[end])) end++;
      const uint32_t used = *slotOf(&table, module, text + i, end - i);
      if (used && used - 1 != p && seenIn[used - 1] != p + 1) {
        seenIn[used - 1] = p + 1;
        found[count++] = used - 1;
      }
      i = end;
    }
    piece->uses = malloc((count ? count : 1) * sizeof *piece->uses);
    ok = piece->uses != NULL;
    if (ok) memcpy(piece->uses, found, count * sizeof *found);
    piece->useCount = ok ? count : 0;
  }
  free(table.slots);
  free(found);
  free(seenIn);
  return ok;
}

char *ptxRead(PtxModule *module, const char *source, size_t length) {
  *module = (PtxModule){0};
  clean(&module->text, source, length);
  uint32_t capacity = 0;
  for (size_t i = 0; i < module->text.length && !module->text.failed;) {
    if (module->count == capacity) {
      capacity = capacity ? capacity * 2 : 64;
      PtxPiece *grown = realloc(module->pieces, capacity * sizeof *grown);
      if (!grown) return mslFormat("error: out of memory\n");
      module->pieces = grown;
    }
    bool isPiece;
    const size_t next = readPiece(&module->text, i, &module->pieces[module->count], &isPiece);
    if (next == 0) return mslFormat("error: the compiler wrote PTX that is not understood\n");
    if (isPiece) module->count++;
    i = next;
  }
  if (module->text.failed || !findUses(module)) return mslFormat("error: out of memory\n");
  return NULL;
}

void ptxFree(PtxModule *module) {
  for (uint32_t i = 0; i < module->count; i++) free(module->pieces[i].uses);
  free(module->pieces);
  mslTextFree(&module->text);
  *module = (PtxModule){0};
}

uint32_t ptxFind(const PtxModule *module, const char *name) {
  uint32_t found = UINT32_MAX;
  for (uint32_t i = 0; i < module->count; i++)
    if (hasName(&module->pieces[i], name, strlen(name)) && (found == UINT32_MAX || !module->pieces[i].isDeclaration))
      found = i;
  return found;
}

void ptxMark(const PtxModule *module, uint32_t piece, bool *needed) {
  needed[piece] = true;
  for (bool changed = true; changed;) {
    changed = false;
    for (uint32_t p = 0; p < module->count; p++) {
      const PtxPiece *piece = &module->pieces[p];
      for (uint32_t u = 0; u < piece->useCount; u++) {
        const uint32_t used = piece->uses[u];
        if (needed[p] && !needed[used]) changed = needed[used] = true;
        /* A definition may stand behind what uses it: its declaration comes along. */
        if (!needed[p] && needed[used] && piece->isDeclaration) changed = needed[p] = true;
      }
    }
  }
}

bool ptxBytes(const PtxModule *module, uint32_t piece, void *bytes, size_t length) {
  const PtxPiece *p = &module->pieces[piece];
  const char *text = module->text.bytes + p->start, *end = text + p->length;
  const char *open = memchr(p->name, '[', (size_t)(end - p->name));
  if (!open || strtoul(open + 1, NULL, 10) != length) return false;
  memset(bytes, 0, length);
  const char *at = memchr(p->name, '{', (size_t)(end - p->name));
  for (size_t i = 0; at && i < length; i++) {
    char *behind;
    const unsigned long value = strtoul(at + 1, &behind, 10);
    if (behind == at + 1 || value > 255) return false;
    ((unsigned char *)bytes)[i] = (unsigned char)value;
    while (*behind == ' ' || *behind == '\n') behind++;
    if (*behind == '}') return true;
    if (*behind != ',') return false;
    at = behind;
  }
  return !at;
}

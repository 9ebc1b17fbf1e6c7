#include "tables.h"

#include <stdlib.h>
#include <string.h>

/* Slots for `count` entries: a power of two, at most half full; 0 where that is too many. */
static uint32_t slotsFor(uint32_t count) {
  uint64_t slots = 16;
  while (slots < 2 * (uint64_t)count) slots *= 2;
  return slots <= UINT32_MAX ? (uint32_t)slots : 0;
}

/* FNV-1a */
static uint32_t hashOf(const uint8_t *key, size_t length) {
  uint32_t hash = 2166136261u;
  for (size_t i = 0; i < length; i++) hash = (hash ^ key[i]) * 16777619u;
  return hash ^ hash >> 15;
}

static uint32_t keySlot(const KeyTable *table, const uint8_t *key, size_t length) {
  uint32_t slot = hashOf(key, length) & table->mask;
  for (; table->slots[slot]; slot = (slot + 1) & table->mask) {
    uint32_t token = table->slots[slot] - 1, start = table->offsets[token];
    if (table->offsets[token + 1] - start == length && memcmp(table->pool + start, key, length) == 0) break;
  }
  return slot;
}

bool bridgeKeyTableMake(KeyTable *table, const uint8_t *pool, const uint32_t *offsets, uint32_t count) {
  uint32_t slots = slotsFor(count);
  *table = (KeyTable){.pool = pool, .offsets = offsets, .mask = slots - 1};
  table->slots = slots ? calloc(slots, sizeof *table->slots) : NULL;
  if (!table->slots) return false;
  for (uint32_t token = 0; token < count; token++) {
    uint32_t length = offsets[token + 1] - offsets[token];
    if (length == 0) continue;
    if (length > table->longest) table->longest = length;
    uint32_t slot = keySlot(table, pool + offsets[token], length);
    if (!table->slots[slot]) table->slots[slot] = token + 1;
  }
  return true;
}

int32_t bridgeKeyTableFind(const KeyTable *table, const uint8_t *key, size_t length) {
  if (length == 0 || length > table->longest) return NoToken;
  return (int32_t)table->slots[keySlot(table, key, length)] - 1;
}

static uint32_t pairSlot(const PairTable *table, uint32_t left, uint32_t right) {
  // Odd multipliers near 2^32 / golden ratio and 2^32 / sqrt(2); the shift brings the well-mixed high bits down.
  uint32_t hash = left * 0x9e3779b1u ^ right * 0xb504f335u;
  uint32_t slot = (hash ^ hash >> 15) & table->mask;
  for (; table->slots[slot]; slot = (slot + 1) & table->mask) {
    const uint32_t *merge = &table->merges[3 * (uint64_t)(table->slots[slot] - 1)];
    if (merge[0] == left && merge[1] == right) break;
  }
  return slot;
}

bool bridgePairTableMake(PairTable *table, const uint32_t *merges, uint32_t count) {
  uint32_t slots = slotsFor(count);
  *table = (PairTable){.merges = merges, .mask = slots - 1};
  table->slots = slots ? calloc(slots, sizeof *table->slots) : NULL;
  if (!table->slots) return false;
  for (uint32_t rank = 0; rank < count; rank++) {
    uint32_t slot = pairSlot(table, merges[3 * (uint64_t)rank], merges[3 * (uint64_t)rank + 1]);
    if (!table->slots[slot]) table->slots[slot] = rank + 1;
  }
  return true;
}

int32_t bridgePairTableFind(const PairTable *table, uint32_t left, uint32_t right) {
  return (int32_t)table->slots[pairSlot(table, left, right)] - 1;
}

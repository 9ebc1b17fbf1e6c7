/* tables.h: the tokenizer's two hash tables, with open addressing: bytes to a token, and a pair to a merge. */
#ifndef MODEL_TABLES_H
#define MODEL_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NoToken = -1, NoSlot = -1 };

/** Tokens by their keys, which stay where they are. */
typedef struct KeyTable {
  const uint8_t *pool;
  const uint32_t *offsets; /* of token i: pool[offsets[i]] to pool[offsets[i + 1]] */
  uint32_t *slots;         /* token + 1; 0 in free ones */
  uint32_t mask;
  uint32_t longest; /* bytes */
} KeyTable;

/** Indexes all keys that are not empty; of equal ones the first. False where there is no memory. */
bool bridgeKeyTableMake(KeyTable *table, const uint8_t *pool, const uint32_t *offsets, uint32_t count);

/** The token of a key, or NoToken. */
int32_t bridgeKeyTableFind(const KeyTable *table, const uint8_t *key, size_t length);

/** Ranks of merges by their two symbols. */
typedef struct PairTable {
  const uint32_t *merges; /* left, right, merged; by rank */
  uint32_t *slots;        /* rank + 1; 0 in free ones */
  uint32_t mask;
} PairTable;

/** Indexes `count` merges; of equal pairs the first. False where there is no memory. */
bool bridgePairTableMake(PairTable *table, const uint32_t *merges, uint32_t count);

/** The rank of a pair's merge, or NoSlot. */
int32_t bridgePairTableFind(const PairTable *table, uint32_t left, uint32_t right);

#endif

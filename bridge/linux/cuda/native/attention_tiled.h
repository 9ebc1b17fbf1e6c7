/*
 * attention_tiled.h: what the plan and the kernels of attention of many rows have in common.
 *
 * A kernel is made for heads of up to `width` dimensions; a shorter head is as one with zeros behind it.
 */
#ifndef BUN_METAL_CUDA_NATIVE_ATTENTION_TILED_H
#define BUN_METAL_CUDA_NATIVE_ATTENTION_TILED_H

#include <stdint.h>

typedef struct AttentionTiledParameters {
  uint64_t q, keys, values, positions, sequences, blockTables, out, rowCount; /* addresses, as in shaders/attention_tiled.metal */
  uint32_t heads, kvHeads, headDim, blockSize, blocksPerSequence;             /* struct AttentionArgs */
  float scale, softCap;
  uint32_t window;
  uint32_t tiles;  /* of queries, of each key head: as many as the most rows have */
  uint32_t readsEarly; /* nothing before this launch writes row counts, positions, sequences and block tables */
  uint32_t splits;     /* blocks that may share out the keys of a tile */
  uint64_t counters; /* u32 [tiles, kvHeads], 0 before and after: blocks that are done */
  uint64_t partials; /* f32 [tiles, kvHeads, splits, queries, width + 2]: sums, the maximum and the total of each */
} AttentionTiledParameters;

/** Types of caches. */
enum { AttentionTiled_f32, AttentionTiled_f16, AttentionTiled_q8_0 };

enum {
  AttentionTiledPad = 8,      /* halves behind each key of a tile, so that eight keys' 16 bytes lie in different banks */
  AttentionTiledFragment = 16, /* queries of an operand of mma */
  AttentionTiledMaxSplits = 32, /* as many as a warp has lanes */
  AttentionTiledRegisters = 128 /* dimensions of a warp's queries, times fragments, for which there are registers */
};

/**
 * All kernels: LINE(width, type of caches, queries, warps, fragments, keys, blocks), the narrow ones first, and of these those with
 * few queries. A block has tiles of `keys` keys, and of `queries`, which are warps x fragments x 16. With more fragments a warp
 * uses what it reads of a key for more queries, and takes registers for what it sums. So many blocks have their registers on one
 * multiprocessor. Tiles of more queries save making halves of what is stored; where that has not to be made, and with heads of 64,
 * they save nothing (measured on an H200).
 */
#define ATTENTION_TILED_KERNELS(LINE) \
  LINE(64, f32, 64, 4, 1, 64, 3)      \
  LINE(64, f16, 64, 4, 1, 64, 3)      \
  LINE(64, q8_0, 64, 4, 1, 64, 3)     \
  LINE(64, f32, 128, 8, 1, 64, 2)     \
  LINE(64, q8_0, 128, 4, 2, 64, 2)    \
  LINE(96, f32, 64, 4, 1, 64, 2)      \
  LINE(96, f16, 64, 4, 1, 64, 2)      \
  LINE(96, q8_0, 64, 4, 1, 64, 2)     \
  LINE(128, f32, 64, 4, 1, 64, 2)     \
  LINE(128, f16, 64, 4, 1, 64, 2)     \
  LINE(128, q8_0, 64, 4, 1, 64, 2)    \
  LINE(128, f32, 128, 8, 1, 64, 1)    \
  LINE(128, f16, 128, 8, 1, 64, 1)    \
  LINE(128, q8_0, 128, 8, 1, 64, 1)   \
  LINE(256, f32, 64, 4, 1, 32, 2)     \
  LINE(256, f16, 64, 4, 1, 32, 2)     \
  LINE(256, q8_0, 64, 4, 1, 32, 2)

#ifdef __cplusplus
#define ATTENTION_TILED_CONSTANT constexpr
#else
#define ATTENTION_TILED_CONSTANT static inline
#endif

/** Where things lie in a block's shared memory. */
typedef struct AttentionTiledShared {
  uint32_t tile;    /* bytes of a tile of keys, or of values, in half precision */
  uint32_t stages;  /* tiles of keys and values: two, or one where they are made of `raw` */
  uint32_t rawHead; /* bytes of a head as the caches have it; of Q8_0 whole words, which begin up to two bytes before it */
  uint32_t raw;     /* [2, keys, rawHead] */
  uint32_t queries; /* [warps, fragments, width / 16, lane] of 16 bytes, where registers have no room for them */
  uint32_t slots;   /* [2, keys] */
  uint32_t rows;    /* [2, rows]: positions and sequences */
  uint32_t rowsMax;
  uint32_t flags; /* [2, warps] */
  uint32_t bytes;
} AttentionTiledShared;

ATTENTION_TILED_CONSTANT AttentionTiledShared attentionTiledShared(uint32_t type, uint32_t width, uint32_t warps,
                                                                   uint32_t fragments, uint32_t keys) {
  AttentionTiledShared shared = {};
  shared.tile = keys * (width + AttentionTiledPad) * 2;
  shared.stages = type == AttentionTiled_f16 ? 2 : 1;
  shared.rawHead = type == AttentionTiled_f32 ? width * 4 : type == AttentionTiled_q8_0 ? (width / 32 * 34 + 2 + 3) / 4 * 4 : 0;
  shared.raw = 2 * shared.stages * shared.tile;
  shared.queries = shared.raw + (2 * keys * shared.rawHead + 15) / 16 * 16;
  shared.slots = shared.queries + (width * fragments > AttentionTiledRegisters ? warps * fragments * width / 16 * 32 * 16 : 0);
  shared.rows = shared.slots + 2 * keys * 4;
  shared.rowsMax = warps * fragments * AttentionTiledFragment + 1; /* where heads share keys, a tile may begin within a row */
  shared.flags = shared.rows + (2 * shared.rowsMax * 4 + 15) / 16 * 16;
  shared.bytes = shared.flags + 2 * warps * 4;
  return shared;
}

#endif

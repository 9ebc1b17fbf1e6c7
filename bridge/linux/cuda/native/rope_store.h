/* rope_store.h: what the plan and the kernels that turn queries and keys, and store keys and values, have in common. */
#ifndef BUN_METAL_CUDA_NATIVE_ROPE_STORE_H
#define BUN_METAL_CUDA_NATIVE_ROPE_STORE_H

#include <stdint.h>

typedef struct RopeStoreParameters {
  uint64_t query, turnedQuery, key, turnedKey, value;  /* addresses of f32 [rows, heads or kvHeads, headDim] */
  uint64_t positions, frequencies, slots;              /* u32 [rows], f32 [headDim / 2], u32 [rows] */
  uint64_t keyCache, valueCache;                       /* [slots, kvHeads, headDim] */
  uint32_t heads, kvHeads, headDim;
  float magnitude;
  uint32_t readsEarly; /* nothing before this launch writes positions, frequencies and slots */
} RopeStoreParameters;

enum { RopeStoreThreads = 256, RopeStoreMaxHeadDim = 256 };

/** Types of caches. */
enum { RopeStore_f32, RopeStore_f16, RopeStore_q8_0 };

/** All kernels: LINE(layout of pairs, type of caches). */
#define ROPE_STORE_KERNELS(LINE) \
  LINE(interleaved, f32)         \
  LINE(interleaved, f16)         \
  LINE(interleaved, q8_0)        \
  LINE(half, f32)                \
  LINE(half, f16)                \
  LINE(half, q8_0)

#endif

/*
 * attention.h: what the attention kernels share.
 */
#ifndef BUN_METAL_ATTENTION_H
#define BUN_METAL_ATTENTION_H

#include "common.h"

/** What a masked score is: so low that its exponential is 0, but finite, since fast math may not honour infinities. */
#define MASKED_SCORE (-3.0e38f)

/** Keys that each split of a range takes: whole tiles, so that of a short range some splits are empty and cost nothing. */
inline uint keys_per_split(uint keys, uint splits) {
  const uint tiles = (keys + AttentionTile - 1) / AttentionTile;
  return (tiles + splits - 1) / splits * AttentionTile;
}

#endif

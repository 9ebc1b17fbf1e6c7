/*
 * merge_queue.h: candidate merges of neighbouring symbols: the lowest order first, of equals the leftmost. A binary
 * heap, as src/text/merge_queue.ts.
 */
#ifndef MODEL_MERGE_QUEUE_H
#define MODEL_MERGE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Merge {
  double order;
  uint32_t left; /* the left symbol */
  uint32_t tag;  /* lets the caller see, when it comes out, whether the symbols are still what they were */
} Merge;

typedef struct MergeQueue {
  Merge *heap;
  size_t count, capacity;
} MergeQueue;

/** False where there is no memory. */
bool bridgeMergeQueuePush(MergeQueue *queue, Merge merge);

/** Takes the first candidate out; false where there is none. */
bool bridgeMergeQueuePop(MergeQueue *queue, Merge *merge);

void bridgeMergeQueueFree(MergeQueue *queue);

#endif

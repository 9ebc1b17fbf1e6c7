#include "merge_queue.h"

#include <stdlib.h>

static bool isBefore(const Merge *a, const Merge *b) {
  return a->order < b->order || (a->order == b->order && a->left < b->left);
}

bool bridgeMergeQueuePush(MergeQueue *queue, Merge merge) {
  if (queue->count == queue->capacity) {
    size_t capacity = queue->capacity ? 2 * queue->capacity : 64;
    Merge *larger = realloc(queue->heap, capacity * sizeof *larger);
    if (!larger) return false;
    queue->heap = larger;
    queue->capacity = capacity;
  }
  size_t at = queue->count++;
  for (; at > 0 && isBefore(&merge, &queue->heap[(at - 1) / 2]); at = (at - 1) / 2)
    queue->heap[at] = queue->heap[(at - 1) / 2];
  queue->heap[at] = merge;
  return true;
}

bool bridgeMergeQueuePop(MergeQueue *queue, Merge *merge) {
  if (queue->count == 0) return false;
  *merge = queue->heap[0];
  Merge last = queue->heap[--queue->count];
  size_t at = 0;
  for (size_t child = 1; child < queue->count; child = 2 * at + 1) {
    if (child + 1 < queue->count && isBefore(&queue->heap[child + 1], &queue->heap[child])) child++;
    if (isBefore(&last, &queue->heap[child])) break;
    queue->heap[at] = queue->heap[child];
    at = child;
  }
  queue->heap[at] = last;
  return true;
}

void bridgeMergeQueueFree(MergeQueue *queue) {
  free(queue->heap);
  *queue = (MergeQueue){0};
}

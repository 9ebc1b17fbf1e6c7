#include "CommandList.h"

#include <stdlib.h>
#include <string.h>

enum { ChunkCapacity = 64 * 1024 };

struct ArenaChunk {
  ArenaChunk *next;
  size_t used;
  _Alignas(16) uint8_t bytes[ChunkCapacity];
};

CommandList *commandListMake(void) {
  return calloc(1, sizeof(CommandList));
}

void commandListFree(CommandList *list) {
  if (!list) return;
  while (list->chunks) {
    ArenaChunk *next = list->chunks->next;
    free(list->chunks);
    list->chunks = next;
  }
  free(list->commands);
  free(list->grids);
  free(list->references);
  free(list);
}

void commandListReset(CommandList *list) {
  list->count = list->gridCount = list->referenceCount = 0;
  list->chunk = list->chunks;
  if (list->chunk) list->chunk->used = 0;
}

/** Makes room for one element more in a growing array. */
static bool grow(void **elements, uint32_t count, uint32_t *capacity, size_t size) {
  if (count < *capacity) return true;
  uint32_t grown = *capacity ? *capacity * 2 : 16;
  void *moved = grown > *capacity ? realloc(*elements, grown * size) : NULL;
  if (!moved) return false;
  *elements = moved;
  *capacity = grown;
  return true;
}

DriverCommand *commandListAppend(CommandList *list, DriverCommandKind kind) {
  if (!grow((void **)&list->commands, list->count, &list->capacity, sizeof *list->commands)) return NULL;
  DriverCommand *command = &list->commands[list->count++];
  memset(command, 0, sizeof *command);
  command->kind = kind;
  return command;
}

bool commandListBarrier(CommandList *list) {
  if (list->count == 0 || list->commands[list->count - 1].kind == DriverCommandBarrier) return true;
  return commandListAppend(list, DriverCommandBarrier) != NULL;
}

bool commandListSetIndirect(CommandList *list, const void *threadgroups) {
  if (!grow((void **)&list->grids, list->gridCount, &list->gridCapacity, sizeof *list->grids)) return false;
  list->grids[list->gridCount++] = (IndirectGrid){list->count - 1, threadgroups};
  return true;
}

bool commandListAddReference(CommandList *list, void *object) {
  if (!grow((void **)&list->references, list->referenceCount, &list->referenceCapacity, sizeof(void *))) return false;
  list->references[list->referenceCount++] = object;
  return true;
}

void *commandListStore(CommandList *list, const void *bytes, size_t length) {
  size_t taken = (length + 15) & ~(size_t)15;
  if (taken > ChunkCapacity) return NULL;
  if (!list->chunk || taken > ChunkCapacity - list->chunk->used) {
    ArenaChunk *next = list->chunk ? list->chunk->next : NULL;
    if (!next) {
      next = malloc(sizeof *next);
      if (!next) return NULL;
      next->next = NULL;
      if (list->chunk) list->chunk->next = next;
      else list->chunks = next;
    }
    next->used = 0;
    list->chunk = next;
  }
  void *stored = list->chunk->bytes + list->chunk->used;
  list->chunk->used += taken;
  memcpy(stored, bytes, length);
  return stored;
}

/** Reads an indirect grid with a copy by the driver: the buffer may be memory that the CPU does not see. */
static bool readThreadgroups(const IndirectGrid *grid, const Driver *driver, uint32_t device, uint32_t out[3],
                             char **message) {
  DriverCommand copy = {.kind = DriverCommandCopy};
  copy.copy.source = grid->threadgroups;
  copy.copy.destination = out;
  copy.copy.length = 3 * sizeof(uint32_t);
  return driver->execute(device, &copy, 1, message);
}

bool commandListRun(CommandList *list, const Driver *driver, uint32_t device, char **message) {
  uint32_t start = 0;
  for (uint32_t i = 0; i < list->gridCount; i++) {
    // What comes before may write the grid, so it runs first.
    uint32_t index = list->grids[i].command;
    if (index > start && !driver->execute(device, list->commands + start, index - start, message)) return false;
    uint32_t threadgroups[3];
    if (!readThreadgroups(&list->grids[i], driver, device, threadgroups, message)) return false;
    DriverCommand *command = &list->commands[index];
    bool isEmpty = false;
    for (int k = 0; k < 3; k++) {
      command->dispatch.threads[k] = (uint64_t)threadgroups[k] * command->dispatch.threadsPerThreadgroup[k];
      if (command->dispatch.threads[k] > UINT32_MAX) {
        *message = strdup("an indirect dispatch has 2^32 threads or more in a dimension");
        return false;
      }
      isEmpty |= threadgroups[k] == 0;
    }
    start = isEmpty ? index + 1 : index;
  }
  return start == list->count || driver->execute(device, list->commands + start, list->count - start, message);
}

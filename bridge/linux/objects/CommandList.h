/*
 * CommandList.h: what a command buffer encodes into: driver commands, the bytes that they refer to, and the objects that
 * must outlive them. Plain C arrays that are reused, so that encoding allocates nothing once a queue is warm.
 */
#ifndef BUN_METAL_LINUX_COMMANDLIST_H
#define BUN_METAL_LINUX_COMMANDLIST_H

#include "driver.h"

/** A dispatch whose grid is read when it is reached. */
typedef struct IndirectGrid {
  uint32_t command;         /* its index among the commands */
  const void *threadgroups; /* three uint32_t, in a buffer */
} IndirectGrid;

typedef struct ArenaChunk ArenaChunk;

typedef struct CommandList {
  DriverCommand *commands;
  uint32_t count;
  uint32_t capacity;
  IndirectGrid *grids;
  uint32_t gridCount;
  uint32_t gridCapacity;
  void **references; /* retained objects; LinuxCommandBuffer owns their counts */
  uint32_t referenceCount;
  uint32_t referenceCapacity;
  ArenaChunk *chunks; /* all of them, and the one that is being filled */
  ArenaChunk *chunk;
} CommandList;

/** An empty list, or NULL when memory is out. */
extern CommandList *commandListMake(void);
extern void commandListFree(CommandList *list);
/** Empties it, and keeps its memory. */
extern void commandListReset(CommandList *list);

/* The next four return NULL or false when memory is out; the list is then as before. */

/** A zeroed command at the end, valid until the next call. */
extern DriverCommand *commandListAppend(CommandList *list, DriverCommandKind kind);
/** Orders what follows after all that is in the list. */
extern bool commandListBarrier(CommandList *list);
/** Makes the newest command take its grid from a buffer. */
extern bool commandListSetIndirect(CommandList *list, const void *threadgroups);
/** A copy of the bytes that stays where it is until the list is reset; aligned to 16. */
extern void *commandListStore(CommandList *list, const void *bytes, size_t length);
extern bool commandListAddReference(CommandList *list, void *object);

/** Runs all commands in order and returns when they are done; as Driver.execute on failure. */
extern bool commandListRun(CommandList *list, const Driver *driver, uint32_t device, char **message);

#endif

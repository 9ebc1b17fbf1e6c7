/*
 * process.h: runs the compiler: no shell, bounded time and memory, its output captured.
 */
#ifndef BUN_METAL_MSL_PROCESS_H
#define BUN_METAL_MSL_PROCESS_H

#include "text.h"

typedef struct MslProcess {
  int status;     /* exit status; 128 + signal when killed; -1 when it could not be started */
  bool truncated; /* wrote more than we are willing to read, and was killed */
  MslText out;    /* standard output */
  MslText errors; /* standard error */
} MslProcess;

/** Runs argv[0], a path, to its end. `limit` bytes of standard output are accepted. Free with mslProcessFree. */
void mslProcessRun(MslProcess *process, char *const argv[], size_t limit);
void mslProcessFree(MslProcess *process);

#endif

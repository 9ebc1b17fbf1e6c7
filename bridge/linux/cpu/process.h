/*
 * process.h: runs the compiler: no shell, bounded time and memory, its output captured.
 */
#ifndef BUN_METAL_CPU_PROCESS_H
#define BUN_METAL_CPU_PROCESS_H

#include "text.h"

typedef struct CpuProcess {
  int status;     /* exit status; 128 + signal when killed; -1 when it could not be started */
  bool truncated; /* wrote more than we are willing to read, and was killed */
  CpuText out;    /* standard output */
  CpuText errors; /* standard error */
} CpuProcess;

/** Runs argv[0], a path, to its end. `limit` bytes of standard output are accepted. Free with cpuProcessFree. */
void cpuProcessRun(CpuProcess *process, char *const argv[], size_t limit);
void cpuProcessFree(CpuProcess *process);

#endif

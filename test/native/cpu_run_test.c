/*
 * cpu_run: runs one kernel of a library on the CPU device, without Metal objects above it.
 *
 *   cpu_run LIBRARY KERNEL GX GY GZ TX TY TZ [--times N] [ARGUMENT]...
 *
 * G is the grid in threads, T the threads per threadgroup. Arguments: N=FILE binds a buffer with the file's bytes at
 * index N (written back afterwards), N:BYTES gives threadgroup memory of that size. --times N runs it that often, as
 * one
 * submission with barriers, and prints the nanoseconds of one. LIBRARY may end in .metal: then it is compiled first.
 */
#include "driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static char *allocate(uint64_t length) {
  DriverMemory memory;
  char *message;
  return cpuDriver.allocate(0, length, DriverStorageShared, true, &memory, &message) ? memory.contents : NULL;
}

static char *readFile(const char *path, uint64_t *length, bool page) {
  FILE *file = fopen(path, "rb");
  if (!file) return NULL;
  fseek(file, 0, SEEK_END);
  *length = (uint64_t)ftell(file);
  rewind(file);
  char *bytes = page ? allocate(*length ? *length : 1) : malloc(*length + 1);
  if (bytes && fread(bytes, 1, *length, file) != *length) bytes = NULL;
  fclose(file);
  return bytes;
}

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int fail(const char *what, char *message) {
  fprintf(stderr, "%s%s%s\n", what, message ? ": " : "", message ? message : "");
  return 1;
}

int main(int argc, char **argv) {
  if (argc < 9) return fail("cpu_run LIBRARY KERNEL GX GY GZ TX TY TZ [--times N] [N=FILE] [N:BYTES]", NULL);
  char *message = NULL;
  const size_t end = strlen(argv[1]);
  DriverLibrary *library;
  if (end > 6 && strcmp(argv[1] + end - 6, ".metal") == 0) {
    uint64_t length = 0;
    char *source = readFile(argv[1], &length, false);
    library = source ? cpuDriver.compile(0, source, length, argv[1], &message) : NULL;
  } else {
    library = cpuDriver.load(0, argv[1], &message);
  }
  if (!library) return fail("no library", message);
  DriverCommand dispatch = {.kind = DriverCommandDispatch};
  for (uint32_t i = 0; i < library->functionCount; i++)
    if (strcmp(library->functions[i].name, argv[2]) == 0) dispatch.dispatch.function = &library->functions[i];
  if (!dispatch.dispatch.function) return fail("no such kernel", argv[2]);
  for (int k = 0; k < 3; k++) {
    dispatch.dispatch.threads[k] = strtoull(argv[3 + k], NULL, 10);
    dispatch.dispatch.threadsPerThreadgroup[k] = (uint32_t)strtoul(argv[6 + k], NULL, 10);
  }
  uint32_t times = 0;
  const char *paths[DriverMaxBuffers] = {0};
  for (int i = 9; i < argc; i++) {
    char *at;
    if (strcmp(argv[i], "--times") == 0 && i + 1 < argc) {
      times = (uint32_t)strtoul(argv[++i], NULL, 10);
      continue;
    }
    const unsigned long index = strtoul(argv[i], &at, 10);
    if (index >= DriverMaxBuffers || (*at != '=' && *at != ':')) return fail("bad argument", argv[i]);
    if (*at == ':') {
      dispatch.dispatch.threadgroupLengths[index] = (uint32_t)strtoul(at + 1, NULL, 10);
      continue;
    }
    paths[index] = at + 1;
    dispatch.dispatch.buffers[index] = readFile(at + 1, &dispatch.dispatch.bufferLengths[index], true);
    if (!dispatch.dispatch.buffers[index]) return fail("cannot read", argv[i]);
  }
  const uint32_t count = times ? times : 1;
  DriverCommand *commands = calloc(2 * (size_t)count, sizeof *commands);
  if (!commands) return 1;
  for (uint32_t i = 0; i < count; i++) {
    commands[2 * i] = dispatch;
    commands[2 * i + 1].kind = DriverCommandBarrier;
  }
  const double start = seconds();
  if (!cpuDriver.execute(0, commands, 2 * count, &message)) return fail("execution failed", message);
  if (times) printf("%.1f\n", (seconds() - start) * 1e9 / times);
  for (int i = 0; i < DriverMaxBuffers; i++) {
    if (!paths[i]) continue;
    FILE *file = fopen(paths[i], "wb");
    if (!file || fwrite(dispatch.dispatch.buffers[i], 1, dispatch.dispatch.bufferLengths[i], file) !=
                     dispatch.dispatch.bufferLengths[i])
      return fail("cannot write", (char *)paths[i]);
    fclose(file);
    const DriverMemory memory = {.address = dispatch.dispatch.buffers[i], .length = dispatch.dispatch.bufferLengths[i]};
    cpuDriver.deallocate(0, &memory);
  }
  cpuDriver.unload(library);
  free(commands);
  return 0;
}

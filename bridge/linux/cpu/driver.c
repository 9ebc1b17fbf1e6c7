/*
 * driver.c: the CPU as a device of this layer.
 */
#include "../driver.h"
#include "check.h"
#include "../msl/compile.h"
#include "group.h"
#include "../msl/image.h"
#include "library.h"
#include "native/native.h"
#include "pool.h"
#include "profile.h"
#include "../msl/target.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *problem(void) {
  const char *ofProfile = cpuProfileProblem();
  return ofProfile ? ofProfile : nativeProblem();
}

static uint32_t deviceCount(void) { return mslTargetOfMachine(NULL) ? 1 : 0; }

static char deviceName[128] = "CPU";
static char architecture[48]; /* "cpu-", the level of shaders, and behind a "+" that of native kernels */
static uint64_t memoryBytes;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void readMachine(void) {
  FILE *file = fopen("/proc/cpuinfo", "re");
  char line[512];
  while (file && fgets(line, sizeof line, file)) {
    char *colon = strchr(line, ':');
    if (!colon || (strncmp(line, "model name", 10) != 0 && strncmp(line, "Model", 5) != 0)) continue;
    char *name = colon + 1 + strspn(colon + 1, " \t");
    name[strcspn(name, "\n")] = 0;
    if (*name) snprintf(deviceName, sizeof deviceName, "%s", name);
    break;
  }
  if (file) fclose(file);
  const MslTarget *level = mslTargetOfMachine(NULL);
  const char *native = nativeLevelName();
  snprintf(architecture, sizeof architecture, "cpu-%s%s%s", level ? level->name : "unknown", native ? "+" : "",
           native ? native : "");
  const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  memoryBytes = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : (uint64_t)1 << 32;
}

static void properties(uint32_t device, DriverProperties *out) {
  (void)device;
  pthread_once(&once, readMachine);
  *out = (DriverProperties){.name = deviceName,
                            .architecture = architecture,
                            .registryID = 0x637075, /* "cpu" */
                            .unifiedMemory = true,
                            .maxBufferLength = memoryBytes,
                            .recommendedMaxWorkingSetSize = memoryBytes / 4 * 3,
                            .maxThreadgroupMemoryLength = 32768,
                            .maxThreadsPerThreadgroup = {1024, 1024, 1024},
                            .maxTotalThreadsPerThreadgroup = 1024,
                            .threadExecutionWidth = 32};
  cpuProfileApply(out);
}

static size_t wholePages(uint64_t length) {
  const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
  return (size_t)((length + page - 1) / page * page);
}

/** Small buffers come from the C library, whose reuse of memory costs no system call; large ones are mappings. */
enum { MappingBytes = 256 << 10 };

static bool allocate(uint32_t device, uint64_t length, DriverStorage storage, bool zeroed, DriverMemory *out,
                     char **message) {
  (void)device;
  *message = NULL;
  if (length == 0 || length > (uint64_t)1 << 46) return false;
  const size_t size = wholePages(length);
  const bool poison = !zeroed && (cpuChecks() & CpuCheckPoison);
  void *memory;
  if (size >= MappingBytes) {
    memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return false;
  } else {
    memory = aligned_alloc((size_t)sysconf(_SC_PAGESIZE), size);
    if (!memory) return false;
    if (zeroed) memset(memory, 0, size);
  }
  if (poison) memset(memory, 0xff, size);
  *out = (DriverMemory){.address = memory,
                        .contents = storage == DriverStorageShared ? memory : NULL,
                        .length = length,
                        .storage = storage};
  return true;
}

static void deallocate(uint32_t device, const DriverMemory *memory) {
  (void)device;
  if (memory->isWrapped) return;
  const size_t size = wholePages(memory->length);
  if (size >= MappingBytes)
    munmap(memory->address, size);
  else
    free(memory->address);
}

/** The same library, which may be NULL. */
static DriverLibrary *withNativeKernels(DriverLibrary *library) {
  if (library) cpuLibraryUseNative(library, nativeFind);
  return library;
}

static DriverLibrary *compile(uint32_t device, const char *source, size_t length, const char *name, char **message) {
  (void)device;
  MslText image = {0}, messages = {0};
  const MslInput input = {.name = name && *name ? name : "source", .text = source ? source : "", .length = length};
  DriverLibrary *library = NULL;
  *message = NULL;
  if (mslCompile(&input, 1, NULL, &image, &messages)) {
    library = cpuLibraryLoadBytes(image.bytes, image.length, input.name, message);
    if (library) library->identity = mslImageHash(input.text, input.length);
    withNativeKernels(library);
    if (library && messages.length) *message = mslTextTake(&messages);
  } else {
    *message = mslTextTake(&messages);
  }
  mslTextFree(&image);
  mslTextFree(&messages);
  return library;
}

static DriverLibrary *load(uint32_t device, const char *path, char **message) {
  (void)device;
  return withNativeKernels(cpuLibraryLoadFile(path, message));
}

static DriverLibrary *loadBytes(uint32_t device, const void *bytes, size_t length, char **message) {
  (void)device;
  return withNativeKernels(cpuLibraryLoadBytes(bytes, length, "library in memory", message));
}

static bool run(const DriverCommand *commands, uint32_t count, char **message);

static bool runExecute(const DriverCommand *command, char **message) {
  const uint32_t count = command->execute.count, *range = command->execute.range;
  const DriverCommandList *list = command->execute.list;
  const DriverCommand *commands = list ? list->commands + command->execute.first : command->execute.commands;
  if (!range) return run(commands, count, message);
  if (range[0] > count || range[1] > count - range[0]) {
    *message = mslFormat("%u indirect commands from %u on are outside of %u", range[1], range[0], count);
    return false;
  }
  return run(commands + range[0], range[1], message);
}

static bool runCommand(const DriverCommand *command, char **message) {
  switch (command->kind) {
    case DriverCommandNone: return true;
    case DriverCommandDispatch: return cpuGroupRun(command, 1, message);
    case DriverCommandExecute: return runExecute(command, message);
    case DriverCommandCopy:
      memmove(command->copy.destination, command->copy.source, command->copy.length);
      return true;
    case DriverCommandFill: memset(command->fill.destination, command->fill.value, command->fill.length); return true;
    case DriverCommandBarrier: return true;
    case DriverCommandResetList:
    case DriverCommandCopyList: driverListRun(command); return true;
  }
  return true;
}

/** Commands between two barriers may run in any order: in the checking mode they do. */
static bool runShuffled(const DriverCommand *commands, uint32_t count, char **message) {
  uint32_t *order = malloc((size_t)count * sizeof *order);
  bool ok = order != NULL;
  if (!ok) *message = strdup("Out of memory");
  for (uint32_t from = 0; ok && from < count;) {
    uint32_t to = from;
    while (to < count && commands[to].kind != DriverCommandBarrier && !(to > from && commands[to].waits)) to++;
    cpuCheckShuffled(order, to - from);
    for (uint32_t i = 0; ok && i < to - from; i++) ok = runCommand(&commands[from + order[i]], message);
    from = to < count && commands[to].kind == DriverCommandBarrier ? to + 1 : to;
  }
  free(order);
  return ok;
}

static bool run(const DriverCommand *commands, uint32_t count, char **message) {
  if (cpuChecks() & CpuCheckShuffle) return runShuffled(commands, count, message);
  bool ok = true;
  for (uint32_t i = 0; ok && i < count;) {
    uint32_t dispatches = commands[i].kind == DriverCommandDispatch ? 1 : 0;
    while (dispatches && i + dispatches < count && commands[i + dispatches].kind == DriverCommandDispatch &&
           !commands[i + dispatches].waits)
      dispatches++;
    ok = dispatches ? cpuGroupRun(&commands[i], dispatches, message) : runCommand(&commands[i], message);
    i += dispatches ? dispatches : 1;
  }
  return ok;
}

/** Dispatches, those of indirect command buffers counted. */
static uint32_t dispatchesOf(const DriverCommand *commands, uint32_t count) {
  uint32_t dispatches = 0;
  for (uint32_t i = 0; i < count; i++) {
    if (commands[i].kind == DriverCommandDispatch) dispatches++;
    if (commands[i].kind == DriverCommandExecute) dispatches += commands[i].execute.count;
  }
  return dispatches;
}

enum { DispatchesWorthWaking = 16 };

static bool execute(uint32_t device, const DriverCommand *commands, uint32_t count, char **message) {
  (void)device;
  *message = NULL;
  if (count == 0) return true;
  /* Threads of a kernel have small stacks, which a signal handler could overflow. */
  sigset_t all, before;
  sigfillset(&all);
  sigdelset(&all, SIGSEGV);
  sigdelset(&all, SIGBUS);
  sigdelset(&all, SIGFPE);
  sigdelset(&all, SIGILL);
  sigdelset(&all, SIGABRT);
  sigdelset(&all, SIGTRAP);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  if (dispatchesOf(commands, count) >= DispatchesWorthWaking) cpuPoolWake();
  const bool ok = run(commands, count, message);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return ok;
}

const Driver cpuDriver = {
    .name = "cpu",
    .problem = problem,
    .deviceCount = deviceCount,
    .properties = properties,
    .allocate = allocate,
    .deallocate = deallocate,
    .compile = compile,
    .load = load,
    .loadBytes = loadBytes,
    .unload = cpuLibraryUnload,
    .execute = execute,
};

/*
 * driver.h: what a device has to do for the Metal objects of this layer.
 *
 * The Objective-C classes in objects/ own all of Metal's rules: validation, reference counts, command buffers, queue
 * threads, completion handlers. A driver is below them: plain C, no objects, no pools, everything already checked. There
 * is one directory per driver (cpu/, cuda/), with the same file names in each.
 */
#ifndef BUN_METAL_LINUX_DRIVER_H
#define BUN_METAL_LINUX_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { DriverMaxBuffers = 31, DriverMaxThreadgroupMemories = 31 };

/** Limits and names of a device; texts live as long as the process. */
typedef struct DriverProperties {
  const char *name;         /* "Intel(R) Xeon(R) ..." */
  const char *architecture; /* "cpu-x86-64-v4+avx512vnni", "cuda-sm_90" */
  uint64_t registryID;
  bool unifiedMemory;
  uint64_t maxBufferLength;
  uint64_t recommendedMaxWorkingSetSize;
  uint32_t maxThreadgroupMemoryLength;
  uint32_t maxThreadsPerThreadgroup[3];
  uint32_t maxTotalThreadsPerThreadgroup;
  uint32_t threadExecutionWidth;
  const uint16_t *families;       /* MTLGPUFamily values, 0 at the end */
  uint32_t constantAlignment;     /* of an offset that is bound to a `constant` argument */
  uint32_t maxConstantBuffers;    /* of one kernel */
  bool nonuniformThreadgroups;
  bool indirectCommands;          /* indirect command buffers, and indirect dispatch */
  const char *const *missing;     /* selectors that the profile's system lacks, NULL at the end */
  bool hasDeviceList;             /* MTLCopyAllDevices is there */
  uint32_t refused;               /* DriverRefuse bits: creation fails, so that tests see the fallbacks */
} DriverProperties;

enum {
  DriverRefuseNoCopy = 1,
  DriverRefuseIndirectCommands = 2,
  DriverRefuseResidencySets = 4,
  DriverRefuseBinaryArchives = 8
};

typedef enum DriverArgumentKind {
  DriverArgumentBuffer = 0,            /* MTLBindingTypeBuffer */
  DriverArgumentThreadgroupMemory = 1  /* MTLBindingTypeThreadgroupMemory, length set at run time */
} DriverArgumentKind;

typedef enum DriverStorage {
  DriverStorageShared, /* the CPU sees it */
  DriverStoragePrivate /* the device's own */
} DriverStorage;

/** Memory that a device works on. */
typedef struct DriverMemory {
  void *address;  /* as the device has it, and as commands name it */
  void *contents; /* as the CPU has it; NULL where it has not */
  uint64_t length;
  DriverStorage storage;
  bool isWrapped; /* it is the caller's */
} DriverMemory;

/** One argument of a kernel, as reflection found it. */
typedef struct DriverArgument {
  const char *name;
  DriverArgumentKind kind;
  uint32_t index;
  bool writable;      /* a `device` argument that is not const */
  bool constantSpace; /* declared `constant` */
  bool reference;     /* T &: at least dataSize bytes must be bound */
  uint32_t dataSize;  /* sizeof the pointee */
  uint32_t alignment; /* alignof the pointee */
} DriverArgument;

/** One kernel of a library. Owned by the library. */
typedef struct DriverFunction {
  const char *name; /* the host name */
  const DriverArgument *arguments;
  uint32_t argumentCount;
  uint32_t maxTotalThreadsPerThreadgroup;
  uint32_t staticThreadgroupMemoryLength;
  const void *implementation; /* the driver's own */
} DriverFunction;

typedef struct DriverLibrary {
  const DriverFunction *functions;
  uint32_t functionCount;
  uint64_t identity;    /* of the source, or of the compiled code: equal for equal ones */
  void *implementation; /* the driver's own */
} DriverLibrary;

typedef enum DriverCommandKind {
  DriverCommandNone, /* does nothing: zeroed memory is this */
  DriverCommandDispatch,
  DriverCommandCopy,
  DriverCommandFill,
  DriverCommandBarrier,
  DriverCommandExecute,
  DriverCommandResetList,
  DriverCommandCopyList
} DriverCommandKind;

struct DriverCommandList;

/** A command of a command buffer. Commands between two barriers may run in any order or at once. */
typedef struct DriverCommand {
  DriverCommandKind kind;
  bool waits;        /* for all commands before it, as behind a barrier */
  uint64_t revision; /* of its list's, when it changed last */
  union {
    struct {
      const DriverFunction *function;
      void *buffers[DriverMaxBuffers];         /* address + offset, or bytes; NULL where unbound */
      uint64_t bufferLengths[DriverMaxBuffers];/* bytes from there to the buffer's end */
      uint32_t bytes;                          /* bit i: buffers[i] is the CPU's, read-only, and lasts until completion */
      uint32_t shared;                         /* bit i: buffers[i] is in shared memory */
      uint32_t threadgroupLengths[DriverMaxThreadgroupMemories];
      uint64_t threads[3];                     /* the whole grid in threads; edge threadgroups may be smaller */
      uint32_t threadsPerThreadgroup[3];
      const uint32_t *indirectGroups;          /* NULL, or 3 counts of threadgroups to be read when it runs: an address */
    } dispatch;
    struct { const void *source; void *destination; uint64_t length; } copy;
    struct { void *destination; uint64_t length; uint8_t value; } fill;
    /* `count` commands of a list, which do not change while it runs. Where there is no list, `commands` are this
     * command's own. With `range` the part of them to run, location and length, is read when it runs: an address. */
    struct {
      struct DriverCommandList *list;
      const struct DriverCommand *commands;
      uint32_t first, count;
      const uint32_t *range;
    } execute;
    struct { struct DriverCommandList *list; uint32_t first, count; } reset;
    struct {
      const struct DriverCommandList *source;
      struct DriverCommandList *destination;
      uint32_t sourceFirst, destinationFirst, count;
    } copyList;
  };
} DriverCommand;

/** Whether what a dispatch has bound to an argument is bytes of the CPU's. */
static inline bool driverIsBytes(const DriverCommand *command, const DriverArgument *argument) {
  return argument->kind == DriverArgumentBuffer && (command->dispatch.bytes >> argument->index & 1) != 0;
}

/** Whether it is in shared memory. */
static inline bool driverIsShared(const DriverCommand *command, const DriverArgument *argument) {
  return argument->kind == DriverArgumentBuffer && (command->dispatch.shared >> argument->index & 1) != 0;
}

/** Commands that are run again and again: dispatches, and none. What a driver makes of them is kept with them. */
typedef struct DriverCommandList {
  DriverCommand *commands;
  uint32_t count;
  uint64_t revision;    /* rises with each change of a command */
  uint32_t device;      /* of the driver that has the implementation */
  void *implementation; /* the driver's own; NULL at first */
} DriverCommandList;

/** Whoever changes a command says so. */
static inline void driverListChanged(DriverCommandList *list, uint32_t index) {
  list->commands[index].revision = ++list->revision;
}

static inline void driverListReset(DriverCommandList *list, uint32_t first, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    memset(&list->commands[first + i], 0, sizeof *list->commands);
    driverListChanged(list, first + i);
  }
}

static inline void driverListCopy(const DriverCommandList *source, uint32_t sourceFirst, DriverCommandList *destination,
                                  uint32_t destinationFirst, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    destination->commands[destinationFirst + i] = source->commands[sourceFirst + i];
    driverListChanged(destination, destinationFirst + i);
  }
}

/** Does what a command says of a list: a reset, or a copy. */
static inline void driverListRun(const DriverCommand *command) {
  if (command->kind == DriverCommandResetList)
    driverListReset(command->reset.list, command->reset.first, command->reset.count);
  else
    driverListCopy(command->copyList.source, command->copyList.sourceFirst, command->copyList.destination,
                   command->copyList.destinationFirst, command->copyList.count);
}

/**
 * What a driver can do. It runs commands either at once (`execute`), or beside the CPU, on queues (`newQueue` and what
 * follows): one of the two is there. What is marked as optional may be NULL.
 */
typedef struct Driver {
  const char *name; /* "cpu" */

  /** NULL, or why there are no devices: settings that cannot be meant. The text lives as long as the process. */
  const char *(*problem)(void);
  uint32_t (*deviceCount)(void);
  void (*properties)(uint32_t device, DriverProperties *out);

  /** Memory of `length` bytes, page-aligned; zeroed if `zeroed`. False when there is none, with a malloc'ed *message or
   *  NULL. */
  bool (*allocate)(uint32_t device, uint64_t length, DriverStorage storage, bool zeroed, DriverMemory *out,
                   char **message);
  /** Memory of the caller's, whole pages, for the device to work on. False when it cannot, with a malloc'ed *message.
   *  Optional: it is then used as it is. */
  bool (*wrap)(uint32_t device, void *memory, uint64_t length, DriverMemory *out, char **message);
  void (*deallocate)(uint32_t device, const DriverMemory *memory);
  /** Bytes that the device has for private memory, those that are left now and all; NaN for what cannot be told. Optional. */
  void (*memory)(uint32_t device, double *available, double *total);

  /** Compiles MSL. NULL on failure; *message is malloc'ed text, the caller frees it (also warnings on success, or
   *  NULL). */
  DriverLibrary *(*compile)(uint32_t device, const char *source, size_t length, const char *name, char **message);
  /** Loads a compiled library from a file, or from memory, which it copies. */
  DriverLibrary *(*load)(uint32_t device, const char *path, char **message);
  DriverLibrary *(*loadBytes)(uint32_t device, const void *bytes, size_t length, char **message);
  void (*unload)(DriverLibrary *library);
  /** Makes a function ready to be dispatched, and tells how many threads a threadgroup of it can have. False with a
   *  malloc'ed *message. Optional. */
  bool (*prepare)(uint32_t device, const DriverFunction *function, uint32_t *mostThreads, char **message);

  /** Runs commands and returns when all are done; called from queue threads, from several at once. On failure false
   *  with a malloc'ed *message. */
  bool (*execute)(uint32_t device, const DriverCommand *commands, uint32_t count, char **message);

  /** A queue: what is started on it runs in order. NULL on failure, with a malloc'ed *message. */
  void *(*newQueue)(uint32_t device, char **message);
  void (*freeQueue)(void *queue);
  /** Starts commands and returns before they are done; one thread at a time for each queue. What they refer to stays
   *  until `finish` has returned, but bytes, which are copied. NULL on failure, with a malloc'ed *message. */
  void *(*start)(void *queue, const DriverCommand *commands, uint32_t count, char **message);
  /** Waits for what `start` returned, in order. *seconds is how long the device took. On failure false with a
   *  malloc'ed *message. */
  bool (*finish)(void *queue, void *work, double *seconds, char **message);
  /** Drops the implementation of a list, which nothing runs any more. */
  void (*freeList)(DriverCommandList *list);
} Driver;

extern const Driver cpuDriver;
extern const Driver cudaDriver;

#endif

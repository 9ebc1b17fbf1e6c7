/*
 * driver.h: what a device has to do for the Metal objects of this layer.
 *
 * The Objective-C classes in objects/ own all of Metal's rules: validation, reference counts, command buffers, queue
 * threads, completion handlers. A driver is below them: plain C, no objects, no pools, everything already checked. There
 * is one directory per driver (cpu/, later cuda/), with the same file names in each.
 */
#ifndef BUN_METAL_LINUX_DRIVER_H
#define BUN_METAL_LINUX_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
  DriverCommandExecute
} DriverCommandKind;

/** A command of a command buffer. Commands between two barriers may run in any order or at once. */
typedef struct DriverCommand {
  DriverCommandKind kind;
  bool waits; /* for all commands before it, as behind a barrier */
  union {
    struct {
      const DriverFunction *function;
      void *buffers[DriverMaxBuffers];         /* contents + offset; setBytes data too; NULL where unbound */
      uint64_t bufferLengths[DriverMaxBuffers];/* bytes from there to the buffer's end */
      uint32_t threadgroupLengths[DriverMaxThreadgroupMemories];
      uint64_t threads[3];                     /* the whole grid in threads; edge threadgroups may be smaller */
      uint32_t threadsPerThreadgroup[3];
      const uint32_t *indirectGroups;          /* NULL, or 3 counts of threadgroups to be read when it runs */
    } dispatch;
    struct { const void *source; void *destination; uint64_t length; } copy;
    struct { void *destination; uint64_t length; uint8_t value; } fill;
    /* Other commands, which do not change while it runs; none of this kind among them. With `range` the part of them to
     * run, location and length, is read when it runs. */
    struct { const struct DriverCommand *commands; uint32_t count; const uint32_t *range; } execute;
  };
} DriverCommand;

typedef struct Driver {
  const char *name; /* "cpu" */

  /** NULL, or why there are no devices: settings that cannot be meant. The text lives as long as the process. */
  const char *(*problem)(void);
  uint32_t (*deviceCount)(void);
  void (*properties)(uint32_t device, DriverProperties *out);

  /** Memory of at least `length` bytes, page-aligned; zeroed if `zeroed`. NULL when there is none. */
  void *(*allocate)(uint32_t device, uint64_t length, bool zeroed);
  void (*deallocate)(uint32_t device, void *memory, uint64_t length);

  /** Compiles MSL. NULL on failure; *message is malloc'ed text, the caller frees it (also warnings on success, or
   *  NULL). */
  DriverLibrary *(*compile)(uint32_t device, const char *source, size_t length, const char *name, char **message);
  /** Loads a compiled library from a file, or from memory, which it copies. */
  DriverLibrary *(*load)(uint32_t device, const char *path, char **message);
  DriverLibrary *(*loadBytes)(uint32_t device, const void *bytes, size_t length, char **message);
  void (*unload)(DriverLibrary *library);

  /** Runs commands and returns when all are done; called from queue threads, from several at once. On failure false
   *  with a malloc'ed *message. */
  bool (*execute)(uint32_t device, const DriverCommand *commands, uint32_t count, char **message);
} Driver;

extern const Driver cpuDriver;

#endif

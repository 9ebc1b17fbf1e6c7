/*
 * native.h: kernels that are written for the instruction sets of processors, and stand in for kernels of shaders/ of the
 * same name and arguments.
 *
 * A native kernel is a function of the whole dispatch, not of a threadgroup: it says how many pieces the work has, and
 * runs pieces, in any order and on any thread. It gives what its MSL original gives, within the bounds that the tests of
 * both explain; where it cannot (arguments that it was not written for), it says so and the original runs.
 *
 * A level is a set of instructions. All kernels are compiled for each level of the machine's kind; the best that the
 * machine has is used, or the one that env BUN_METAL_CPU_NATIVE names ("msl" for none).
 */
#ifndef BUN_METAL_CPU_NATIVE_H
#define BUN_METAL_CPU_NATIVE_H

#include "../../driver.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
  NativeMaxPhases = 3,
  NativeMaxKernels = 2 /* of one name */
};

/** Pieces of work that do not depend on each other. */
typedef struct NativePhase {
  uint32_t pieces;
  float nanoseconds; /* that a piece takes on one thread, roughly: decides how many threads are worth asking */
} NativePhase;

/** How a dispatch is to be run. A phase starts when the one before it is done. */
typedef struct NativePlan {
  /** Given: threads that there are, 0 for one. More may want more pieces; what is computed is the same for any number. */
  uint32_t width;
  NativePhase phases[NativeMaxPhases];
  uint32_t phaseCount;
  uint64_t sharedBytes; /* of memory for all pieces of all phases, undefined at first */
  uint64_t threadBytes; /* of memory for each thread */
  /** What phase 0 makes shared memory of, which the other phases only read: address, rows, and elements of a row. Of commands
   *  that may run at once, those of one kernel with the same three have one such memory. All 0 where that is not so. */
  uint64_t prepared[3];
} NativePlan;

/** Memory of a thread, kept from dispatch to dispatch. `content` is for kernels, to know again what they left there: it
 *  is 0 in new memory. */
typedef struct NativeThread {
  void *memory; /* aligned to 64 bytes */
  uint64_t capacity;
  uint64_t content[4];
} NativeThread;

typedef struct NativeRun {
  const DriverCommand *command;
  const NativePlan *plan;
  void *shared; /* aligned to 64 bytes */
  NativeThread *thread;
  /** The same number for commands that may run at once, never the same again: none of them writes what another one reads,
   *  so that what a thread made of an input stays true as long as this stays the same. */
  uint64_t group;
} NativeRun;

typedef struct NativeKernel {
  const char *name; /* the host name */
  /** Fills in a plan, zeroed before but for what is given. False where this dispatch is for MSL. Bound buffers may be shorter than they should
   *  be: what is too short is for MSL, too. */
  bool (*plan)(const DriverCommand *command, NativePlan *plan);
  /** Runs pieces [from, to) of a phase. */
  void (*run)(const NativeRun *run, uint32_t phase, uint32_t from, uint32_t to);
} NativeKernel;

/** Whether what two commands prepare (NativePlan.prepared), if they may run at once, is one memory. */
static inline bool nativePreparesAlike(const NativeKernel *a, const NativePlan *ofA, const NativeKernel *b, const NativePlan *ofB) {
  return ofA->prepared[0] != 0 && a->run == b->run && ofA->prepared[0] == ofB->prepared[0] &&
         ofA->prepared[1] == ofB->prepared[1] && ofA->prepared[2] == ofB->prepared[2];
}

typedef struct NativeLevel {
  const char *name;
  bool (*isThere)(void); /* whether this machine can run it */
  const NativeKernel *kernels;
  uint32_t count;
} NativeLevel;

/** The kernels of that name, of the level in use, NULL behind the last: a dispatch is for the first one that plans it. */
void nativeFind(const char *name, const NativeKernel *found[NativeMaxKernels]);

/** The level in use, NULL for none. */
const char *nativeLevelName(void);

/** NULL, or why BUN_METAL_CPU_NATIVE cannot be meant. The text lives as long as the process. */
const char *nativeProblem(void);

#ifdef __cplusplus
}
#endif

#endif

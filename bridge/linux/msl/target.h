/*
 * target.h: what MSL can be compiled for: instruction sets of CPUs, and CUDA devices.
 */
#ifndef BUN_METAL_MSL_TARGET_H
#define BUN_METAL_MSL_TARGET_H

#include <stdbool.h>
#include <stdint.h>

/** A kind of device: they have headers of their own, and another form of compiled code. */
typedef enum MslDevice { MslDeviceCpu, MslDeviceCuda } MslDevice;

typedef struct MslTarget {
  const char *name;   /* "x86-64-v3", "armv8-a", "nvptx64-sm_80" */
  MslDevice device;
  const char *triple; /* clang's name for the kind of machine */
  const char *march;  /* and for the machine */
  uint32_t abi;       /* version of what device and compiled code have in common */
} MslTarget;

enum { MslMaxTargets = 8 };

/** NULL for a name that is none. */
const MslTarget *mslTargetNamed(const char *name);

/** The names of all, for messages: "a, b and c". */
const char *mslTargetNames(void);

/** The best of this machine's processors; env BUN_METAL_CPU_LEVEL names a lower one. NULL where the machine has none or the
 *  variable names none; *message (may be NULL) is then malloc'ed. */
const MslTarget *mslTargetOfMachine(char **message);

/** Whether this machine's processors can run code compiled for a target of theirs; 0 if not, and higher for the better of
 *  two. */
int mslTargetRank(const MslTarget *target);

#endif

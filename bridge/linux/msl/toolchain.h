/*
 * toolchain.h: the compiler and the headers that compiling MSL takes, and the instruction set that it compiles for.
 */
#ifndef BUN_METAL_MSL_TOOLCHAIN_H
#define BUN_METAL_MSL_TOOLCHAIN_H

#include <stdbool.h>

typedef struct MslToolchain {
  char *clang;        /* path; env BUN_METAL_CLANG, else clang-19 or clang on PATH */
  char *headers;      /* the directory `metal` beside this library or executable */
  const char *level;  /* what to compile for: see cpuLevel */
  const char *target; /* of the level: clang's name for the kind of machine */
  bool hasLld;
} MslToolchain;

/** Finds everything. `level` names what to compile for, also of another kind of machine; NULL is this machine's best.
 *  NULL, or a malloc'ed message that says what is missing and what to do. Free in any case. */
char *mslToolchainFind(MslToolchain *toolchain, const char *level);
void mslToolchainFree(MslToolchain *toolchain);

/** The best level of this machine: "x86-64-v2", "x86-64-v3", "x86-64-v4" or "armv8-a"; env BUN_METAL_CPU_LEVEL names
 *  a lower one. NULL where the machine has none or the variable names none; *message (may be NULL) is then malloc'ed.
 */
const char *cpuLevel(char **message);

/** Whether this machine can run code compiled for a level. */
bool cpuHasLevel(const char *level);

/** Clang's name for the kind of machine that a level belongs to; NULL for what is no level. */
const char *cpuLevelTarget(const char *level);

#endif

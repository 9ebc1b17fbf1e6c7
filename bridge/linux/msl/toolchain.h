/*
 * toolchain.h: the compiler and the headers that compiling MSL takes.
 */
#ifndef BUN_METAL_MSL_TOOLCHAIN_H
#define BUN_METAL_MSL_TOOLCHAIN_H

#include <stdbool.h>

typedef struct MslToolchain {
  char *clang;   /* path; env BUN_METAL_CLANG, else clang-19 or clang on PATH */
  char *headers; /* the directory `metal` beside this library or executable */
  bool hasLld;
} MslToolchain;

/** Finds everything. NULL, or a malloc'ed message that says what is missing and what to do. Free in any case. */
char *mslToolchainFind(MslToolchain *toolchain);
void mslToolchainFree(MslToolchain *toolchain);

#endif

/*
 * compilation.h: one run of the compiler, for the files that make it up: compile.c has the steps, compile_cpu.c and
 * compile_cuda.c what differs between devices, clang.c how clang is run.
 */
#ifndef BUN_METAL_MSL_COMPILATION_H
#define BUN_METAL_MSL_COMPILATION_H

#include "compile.h"
#include "image.h"
#include "shader.h"
#include "toolchain.h"

#include <stdatomic.h>

enum { MslMaxArguments = 256 };

/** One source on its way. */
typedef struct MslUnit {
  const MslInput *input;
  MslText messages;
  MslShader shader;
  char *preprocessed;
  char *path; /* without its ending: the unit's files in the temporary directory */
  bool failed;
} MslUnit;

typedef struct MslCompilation {
  MslToolchain toolchain;
  const MslOptions *options;
  const MslTarget *target; /* of this step */
  char *directory;         /* temporary, ours alone */
  MslUnit *units;
  uint32_t count;
  atomic_uint next;
  void (*step)(struct MslCompilation *c, MslUnit *unit);
} MslCompilation;

/** An argument list for a process; the strings that it makes are its own. */
typedef struct MslArguments {
  char *list[MslMaxArguments + 1];
  uint32_t count;
  bool failed;
} MslArguments;

void mslAdd(MslArguments *a, const char *text);
void mslAddAll(MslArguments *a, const char *const *texts); /* NULL at the end */
void mslAddPath(MslArguments *a, const char *before, const char *path, const char *after);
void mslArgumentsFree(MslArguments *a);

bool mslReadFile(const char *path, size_t limit, MslText *out, char **message);
bool mslWriteFile(const char *path, const char *bytes, size_t length, MslText *messages);

/** Runs clang for a unit; its messages are cleaned and kept. */
bool mslRunClang(MslCompilation *c, MslUnit *unit, MslArguments *a, MslText *out);

/** Clang's arguments for a unit that are the same for every device, and the unit's source for the compilation's target in a
 * file. `output` is what to put behind the unit's path. False with messages. */
bool mslAddSource(MslCompilation *c, MslUnit *unit, MslArguments *a, const char *output);

/** From a unit to a file of it, and from these to a slice. */
void mslCompileForCpu(MslCompilation *c, MslUnit *unit);
bool mslLinkForCpu(MslCompilation *c, MslText *slice, MslText *messages);
void mslCompileForCuda(MslCompilation *c, MslUnit *unit);
bool mslLinkForCuda(MslCompilation *c, MslText *slice, MslText *messages);

#endif

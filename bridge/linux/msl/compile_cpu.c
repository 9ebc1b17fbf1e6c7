/* compile_cpu.c: from a unit to an object file, and from these to a shared object. */
#include "compilation.h"
#include "process.h"

#include <stdlib.h>
#include <string.h>

/* Threads have small stacks. */
static const char *const codeOptions[] = {"-c", "-fPIC", "-fvisibility=hidden", "-fno-stack-protector",
                                          "-fno-asynchronous-unwind-tables", "-Wframe-larger-than=24576",
                                          "-Werror=frame-larger-than", NULL};

static const char *const x86Options[] = {
    "-mrecip=none",  /* estimates make NaN of 1 / 0 and of 1 / infinity */
    "-mno-red-zone", /* lanes wait by a call that the compiler does not see as one */
    NULL};
static const char *const armOptions[] = {
    "-fsigned-char",        /* MSL's char has a sign everywhere */
    "-mno-outline-atomics", /* whose functions are in the compiler's library, which is not linked */
    NULL};

void mslCompileForCpu(MslCompilation *c, MslUnit *unit) {
  MslArguments a = {0};
  unit->failed = !mslAddSource(c, unit, &a, ".o");
  mslAddAll(&a, codeOptions);
  mslAddAll(&a, strncmp(c->target->triple, "x86_64", 6) == 0 ? x86Options : armOptions);
  if (!unit->failed) unit->failed = !mslRunClang(c, unit, &a, NULL);
  mslArgumentsFree(&a);
}

bool mslLinkForCpu(MslCompilation *c, MslText *slice, MslText *messages) {
  MslArguments a = {0};
  mslAdd(&a, c->toolchain.clang);
  static const char *const options[] = {
      "-shared", "-nostdlib", "-Wl,-z,now", "-Wl,-z,noexecstack", "-Wl,--build-id=none", "-Wl,--hash-style=gnu",
      "-Wl,-s", NULL};
  mslAddAll(&a, options);
  mslAdd(&a, "-target");
  mslAdd(&a, c->target->triple);
  if (c->toolchain.hasLld) mslAdd(&a, "-fuse-ld=lld");
  for (uint32_t i = 0; i < c->count; i++) mslAddPath(&a, "", c->units[i].path, ".o");
  mslAdd(&a, "-o");
  char *path = mslFormat("%s/library.so", c->directory);
  mslAdd(&a, path ? path : "");
  bool ok = path && !a.failed;
  if (ok) {
    MslProcess process;
    mslProcessRun(&process, a.list, 1 << 20);
    ok = process.status == 0;
    if (!ok)
      mslTextPrint(messages, "error: the linker failed (status %d): %s\n", process.status,
                   process.errors.bytes ? process.errors.bytes : "");
    mslProcessFree(&process);
  }
  char *message = NULL;
  if (ok) ok = mslReadFile(path, (size_t)1 << 30, slice, &message);
  if (message) mslTextPuts(messages, message);
  free(message);
  free(path);
  mslArgumentsFree(&a);
  return ok && !slice->failed;
}

/* toolchain.c: see toolchain.h. */
#include "toolchain.h"
#include "text.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool isExecutable(const char *path) {
  struct stat info;
  return stat(path, &info) == 0 && S_ISREG(info.st_mode) && access(path, X_OK) == 0;
}

/** The path of a program on PATH, malloc'ed; NULL without. */
static char *onPath(const char *name) {
  const char *path = getenv("PATH");
  if (!path || !*path) path = "/usr/local/bin:/usr/bin:/bin";
  for (const char *from = path; from;) {
    const char *end = strchr(from, ':');
    const size_t length = end ? (size_t)(end - from) : strlen(from);
    char *candidate = length ? mslFormat("%.*s/%s", (int)length, from, name) : NULL;
    if (candidate && isExecutable(candidate)) return candidate;
    free(candidate);
    from = end ? end + 1 : NULL;
  }
  return NULL;
}

static char *findClang(MslToolchain *toolchain) {
  const char *named = getenv("BUN_METAL_CLANG");
  if (named && *named) {
    toolchain->clang = strchr(named, '/') ? strdup(named) : onPath(named);
    if (toolchain->clang && isExecutable(toolchain->clang)) return NULL;
    return mslFormat("error: BUN_METAL_CLANG is '%s', which is not a program\n", named);
  }
  static const char *const names[] = {"clang-19", "clang-20", "clang-21", "clang", NULL};
  for (const char *const *name = names; *name && !toolchain->clang; name++) toolchain->clang = onPath(*name);
  if (toolchain->clang) return NULL;
  return mslFormat(
      "error: compiling MSL needs clang, which was not found: install clang-19 and lld-19 (Debian and Ubuntu: "
      "apt install clang-19 lld-19), or set BUN_METAL_CLANG to the path of a clang\n");
}

static char *findHeaders(MslToolchain *toolchain) {
  Dl_info info;
  char path[PATH_MAX];
  path[0] = 0;
  if (dladdr((void *)findHeaders, &info) && info.dli_fname && realpath(info.dli_fname, path) == NULL) path[0] = 0;
  if (!path[0]) { /* an executable that was found through PATH */
    const ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    path[n > 0 ? n : 0] = 0;
  }
  char *slash = strrchr(path, '/');
  if (slash) *slash = 0;
  /* Beside the library, or one level up: test programs live in a directory of their own. */
  static const char *const places[] = {"/metal", "/../metal", NULL};
  for (const char *const *place = places; *place; place++) {
    free(toolchain->headers);
    toolchain->headers = mslFormat("%s%s", path, *place);
    char *probe = toolchain->headers ? mslFormat("%s/library/library.h", toolchain->headers) : NULL;
    const bool found = probe && access(probe, R_OK) == 0;
    free(probe);
    if (found) return NULL;
  }
  return mslFormat("error: the MSL headers are not where they belong, in '%s/metal'\n", path);
}

char *mslToolchainFind(MslToolchain *toolchain) {
  *toolchain = (MslToolchain){0};
  char *message = findClang(toolchain);
  if (!message) message = findHeaders(toolchain);
  /* lld of the same release is beside the compiler proper, or on PATH. */
  static const char *const linkers[] = {"ld.lld-19", "ld.lld", NULL};
  for (const char *const *name = linkers; *name && !toolchain->hasLld; name++) {
    char *path = onPath(*name);
    toolchain->hasLld = path != NULL;
    free(path);
  }
  return message;
}

void mslToolchainFree(MslToolchain *toolchain) {
  free(toolchain->clang);
  free(toolchain->headers);
  *toolchain = (MslToolchain){0};
}

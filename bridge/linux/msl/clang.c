/* clang.c: argument lists, files and runs of clang; see compilation.h. */
#include "compilation.h"
#include "diagnostics.h"
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void mslAdd(MslArguments *a, const char *text) {
  char *copy = a->count < MslMaxArguments ? strdup(text) : NULL;
  if (copy)
    a->list[a->count++] = copy;
  else
    a->failed = true;
}
void mslAddPath(MslArguments *a, const char *before, const char *path, const char *after) {
  char *text = mslFormat("%s%s%s", before, path, after);
  if (text)
    mslAdd(a, text);
  else
    a->failed = true;
  free(text);
}
void mslAddAll(MslArguments *a, const char *const *texts) {
  for (; *texts; texts++) mslAdd(a, *texts);
}
void mslArgumentsFree(MslArguments *a) {
  for (uint32_t i = 0; i < a->count; i++) free(a->list[i]);
}

bool mslReadFile(const char *path, size_t limit, MslText *out, char **message) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  struct stat info;
  if (fd < 0 || fstat(fd, &info) != 0) {
    *message = mslFormat("error: cannot read '%s': %s\n", path, strerror(errno));
  } else if (!S_ISREG(info.st_mode)) {
    *message = mslFormat("error: '%s' is not a file\n", path);
  } else {
    char bytes[65536];
    ssize_t n;
    while ((n = read(fd, bytes, sizeof bytes)) != 0) {
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) {
        *message = mslFormat("error: cannot read '%s': %s\n", path, strerror(errno));
        break;
      }
      if (out->length + (size_t)n > limit) {
        *message = mslFormat("error: '%s' is larger than %zu bytes\n", path, limit);
        break;
      }
      mslTextAppend(out, bytes, (size_t)n);
    }
    if (!*message && out->failed) *message = mslFormat("error: out of memory\n");
  }
  if (fd >= 0) close(fd);
  return !*message;
}

bool mslWriteFile(const char *path, const char *bytes, size_t length, MslText *messages) {
  const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  bool ok = fd >= 0;
  while (ok && length > 0) {
    const ssize_t n = write(fd, bytes, length);
    if (n < 0 && errno == EINTR) continue;
    ok = n > 0;
    if (ok) {
      bytes += n;
      length -= (size_t)n;
    }
  }
  const int error = errno;
  if (fd >= 0 && close(fd) != 0) ok = false;
  if (!ok) mslTextPrint(messages, "error: cannot write a temporary file: %s\n", strerror(error));
  return ok;
}

bool mslRunClang(MslCompilation *c, MslUnit *unit, MslArguments *a, MslText *out) {
  if (a->failed) {
    mslTextPuts(&unit->messages, "error: out of memory, or too many options\n");
    return false;
  }
  MslProcess process;
  mslProcessRun(&process, a->list, MslMaxPreprocessed);
  if (process.errors.bytes) mslDiagnostics(&unit->messages, process.errors.bytes, c->toolchain.headers, c->directory);
  bool ok = process.status == 0 && !process.truncated;
  if (process.truncated)
    mslTextPrint(&unit->messages, "%s:1: error: the source has more than %d bytes after preprocessing\n",
                 unit->input->name, MslMaxPreprocessed);
  else if (process.status >= 128 || (!ok && !unit->messages.length))
    mslTextPrint(&unit->messages, "%s:1: error: the compiler '%s' failed on this source (status %d)%s%s\n",
                 unit->input->name, c->toolchain.clang, process.status, process.errors.length ? ": " : "",
                 process.errors.bytes && process.errors.length < 400 ? process.errors.bytes : "");
  if (ok && out) {
    *out = process.out;
    process.out = (MslText){0};
  }
  mslProcessFree(&process);
  return ok;
}

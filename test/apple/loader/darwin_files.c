#include "darwin_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "darwin_errno.h"

_Static_assert(sizeof(DarwinStat) == 144, "as on Darwin");

typedef struct Flag {
  int darwin, linux_;
} Flag;

/* From Darwin's <sys/fcntl.h> and <sys/mman.h>; O_RDONLY, O_WRONLY and O_RDWR agree. */
static const Flag openFlags[] = {{0x4, O_NONBLOCK},  {0x8, O_APPEND}, {0x100, O_NOFOLLOW},     {0x200, O_CREAT},
                                 {0x400, O_TRUNC},   {0x800, O_EXCL}, {0x100000, O_DIRECTORY}, {0x1000000, O_CLOEXEC},
                                 {0, 0}};
static const Flag mapFlags[] = {
    {0x1, MAP_SHARED}, {0x2, MAP_PRIVATE}, {0x10, MAP_FIXED}, {0x1000, MAP_ANONYMOUS}, {0, 0}};

/* Translates a set of flags; -1 where one is not in the table. */
static int translate(int flags, const Flag *table) {
  int translated = 0;
  for (; table->darwin; table++) {
    if (flags & table->darwin) translated |= table->linux_;
    flags &= ~table->darwin;
  }
  return flags ? -1 : translated;
}

static int refuse(void) {
  *darwinErrno() = EINVAL;
  return -1;
}

int darwinOpen(const char *path, int flags, unsigned mode) {
  int translated = translate(flags & ~O_ACCMODE, openFlags);
  return translated < 0 ? refuse() : (int)darwinResult(open(path, translated | (flags & O_ACCMODE), mode));
}

int darwinClose(int file) {
  return (int)darwinResult(close(file));
}

static int writeStat(int result, const struct stat *from, DarwinStat *out) {
  if (result != 0) return (int)darwinResult(result);
  *out = (DarwinStat){.device = (int32_t)from->st_dev,
                      .mode = (uint16_t)from->st_mode,
                      .links = (uint16_t)from->st_nlink,
                      .inode = from->st_ino,
                      .user = from->st_uid,
                      .group = from->st_gid,
                      .specialDevice = (int32_t)from->st_rdev,
                      .accessed = {from->st_atim.tv_sec, from->st_atim.tv_nsec},
                      .modified = {from->st_mtim.tv_sec, from->st_mtim.tv_nsec},
                      .changed = {from->st_ctim.tv_sec, from->st_ctim.tv_nsec},
                      .born = {from->st_ctim.tv_sec, from->st_ctim.tv_nsec},
                      .size = from->st_size,
                      .blocks = from->st_blocks,
                      .blockSize = (int32_t)from->st_blksize};
  return 0;
}

int darwinStat(const char *path, DarwinStat *out) {
  struct stat information;
  return writeStat(stat(path, &information), &information, out);
}

int darwinFileStat(int file, DarwinStat *out) {
  struct stat information;
  return writeStat(fstat(file, &information), &information, out);
}

int darwinLinkStat(const char *path, DarwinStat *out) {
  struct stat information;
  return writeStat(lstat(path, &information), &information, out);
}

ssize_t darwinRead(int file, void *bytes, size_t size) {
  return darwinResult(read(file, bytes, size));
}

ssize_t darwinReadAt(int file, void *bytes, size_t size, off_t offset) {
  return darwinResult(pread(file, bytes, size, offset));
}

ssize_t darwinWrite(int file, const void *bytes, size_t size) {
  return darwinResult(write(file, bytes, size));
}

int darwinMakeDirectory(const char *path, uint16_t mode) {
  return (int)darwinResult(mkdir(path, mode));
}

int darwinRename(const char *from, const char *to) {
  return (int)darwinResult(rename(from, to));
}

int darwinUnlink(const char *path) {
  return (int)darwinResult(unlink(path));
}

int darwinAccess(const char *path, int mode) {
  return (int)darwinResult(access(path, mode));
}

void *darwinMap(void *address, size_t size, int protection, int flags, int file, off_t offset) {
  int translated = translate(flags, mapFlags);
  // Darwin refuses what is neither shared nor private, and a shared mapping of nothing.
  if (translated < 0 || !(flags & 3) || size == 0) return (void *)(intptr_t)refuse();
  return (void *)darwinResult((long)mmap(address, size, protection, translated, file, offset));
}

int darwinUnmap(void *address, size_t size) {
  return (int)darwinResult(munmap(address, size));
}

int darwinAdvise(void *address, size_t size, int advice) {
  // The first five agree; Darwin's others are hints of its own.
  if (advice < 0 || advice > 10) return refuse();
  return advice <= MADV_DONTNEED ? (int)darwinResult(madvise(address, size, advice)) : 0;
}

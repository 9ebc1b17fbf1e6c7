/*
 * darwin_files.h: files and mappings with Darwin's flags, structures and error numbers.
 */
#ifndef LOADER_DARWIN_FILES_H
#define LOADER_DARWIN_FILES_H

#include <stdint.h>
#include <sys/types.h>

/** `struct stat` of Darwin with 64-bit inodes. */
typedef struct DarwinStat {
  int32_t device;
  uint16_t mode, links;
  uint64_t inode;
  uint32_t user, group;
  int32_t specialDevice;
  struct {
    int64_t seconds, nanoseconds;
  } accessed, modified, changed, born;
  int64_t size, blocks;
  int32_t blockSize;
  uint32_t flags, generation;
  int32_t spare;
  int64_t spares[2];
} DarwinStat;

/** `mode` only matters where the flags create a file. */
int darwinOpen(const char *path, int flags, unsigned mode);
int darwinClose(int file);
int darwinStat(const char *path, DarwinStat *out);
int darwinFileStat(int file, DarwinStat *out);
int darwinLinkStat(const char *path, DarwinStat *out);
ssize_t darwinRead(int file, void *bytes, size_t size);
ssize_t darwinReadAt(int file, void *bytes, size_t size, off_t offset);
ssize_t darwinWrite(int file, const void *bytes, size_t size);
int darwinMakeDirectory(const char *path, uint16_t mode);
int darwinRename(const char *from, const char *to);
int darwinUnlink(const char *path);
int darwinAccess(const char *path, int mode);
void *darwinMap(void *address, size_t size, int protection, int flags, int file, off_t offset);
int darwinUnmap(void *address, size_t size);
int darwinAdvise(void *address, size_t size, int advice);

#endif

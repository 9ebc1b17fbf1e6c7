/* File metadata, with 64-bit inode numbers. */
#ifndef APPLE_SYS_STAT_H
#define APPLE_SYS_STAT_H

#include <sys/types.h>

/* 144 bytes. */
struct stat {
  dev_t st_dev;
  mode_t st_mode;
  nlink_t st_nlink;
  ino_t st_ino;
  uid_t st_uid;
  gid_t st_gid;
  dev_t st_rdev;
  struct timespec st_atimespec;
  struct timespec st_mtimespec;
  struct timespec st_ctimespec;
  struct timespec st_birthtimespec;
  off_t st_size;
  blkcnt_t st_blocks;
  blksize_t st_blksize;
  uint32_t st_flags;
  uint32_t st_gen;
  int32_t st_lspare;
  int64_t st_qspare[2];
};

#define S_IFMT 0170000
#define S_IFDIR 0040000
#define S_IFREG 0100000
#define S_ISDIR(mode) (((mode) & S_IFMT) == S_IFDIR)
#define S_ISREG(mode) (((mode) & S_IFMT) == S_IFREG)

/* On Intel Macs the plain names are those of the old functions, whose inode numbers have 32 bits. */
#if defined(__x86_64__) && defined(__ENVIRONMENT_MAC_OS_X_VERSION_MIN_REQUIRED__)
#define APPLE_INODE64(name) __asm("_" #name "$INODE64")
#else
#define APPLE_INODE64(name)
#endif

extern int stat(const char *path, struct stat *out) APPLE_INODE64(stat);
extern int fstat(int file, struct stat *out) APPLE_INODE64(fstat);
extern int mkdir(const char *path, mode_t mode);

#endif

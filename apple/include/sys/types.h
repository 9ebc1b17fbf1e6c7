/* Types of Darwin's system calls, with its sizes: the same on every 64-bit Apple target. */
#ifndef APPLE_SYS_TYPES_H
#define APPLE_SYS_TYPES_H

#include <stddef.h>
#include <stdint.h>

typedef int32_t dev_t;
typedef uint16_t mode_t;
typedef uint16_t nlink_t;
typedef uint64_t ino_t;
typedef uint32_t uid_t;
typedef uint32_t gid_t;
typedef int32_t pid_t;
typedef int64_t off_t;
typedef int64_t blkcnt_t;
typedef int32_t blksize_t;
typedef long ssize_t;
typedef long time_t;

struct timespec {
  time_t tv_sec;
  long tv_nsec;
};

#endif

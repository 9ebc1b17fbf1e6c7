/*
 * Numbers of Darwin that the headers in apple/include promise. Compiled, never run: against those headers where there is
 * no SDK, against Apple's own on a Mac, which so judges ours. The numbers are those of 64-bit systems.
 */
#import <Foundation/Foundation.h>
#include <TargetConditionals.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SAME(expression, number) _Static_assert((expression) == (number), #expression " is " #number)

SAME(sizeof(struct stat), 144);
SAME(offsetof(struct stat, st_mode), 4);
SAME(offsetof(struct stat, st_ino), 8);
SAME(offsetof(struct stat, st_mtimespec), 48);
SAME(offsetof(struct stat, st_size), 96);
SAME(offsetof(struct stat, st_blksize), 112);
SAME(sizeof(mode_t), 2);
SAME(sizeof(dev_t), 4);
SAME(sizeof(ino_t), 8);
SAME(sizeof(off_t), 8);
SAME(sizeof(time_t), 8);
SAME(sizeof(struct timespec), 16);
SAME(S_ISREG(0100644), 1);
SAME(S_ISDIR(0040755), 1);

SAME(sizeof(pthread_t), 8);
SAME(sizeof(pthread_key_t), 8);
SAME(sizeof(pthread_mutex_t), 64);
SAME(sizeof(pthread_mutexattr_t), 16);
SAME(sizeof(pthread_cond_t), 48);
SAME(sizeof(pthread_condattr_t), 16);
SAME(sizeof(pthread_once_t), 16);
SAME(sizeof(pthread_rwlock_t), 200);
SAME(sizeof(pthread_attr_t), 64);

SAME(O_RDONLY, 0);
SAME(O_WRONLY, 1);
SAME(O_RDWR, 2);
SAME(O_NONBLOCK, 4);
SAME(O_APPEND, 8);
SAME(O_NOFOLLOW, 0x100);
SAME(O_CREAT, 0x200);
SAME(O_TRUNC, 0x400);
SAME(O_EXCL, 0x800);
SAME(O_DIRECTORY, 0x100000);
SAME(O_CLOEXEC, 0x1000000);

SAME(PROT_READ, 1);
SAME(PROT_WRITE, 2);
SAME(MAP_SHARED, 1);
SAME(MAP_PRIVATE, 2);
SAME(MAP_FIXED, 0x10);
SAME(MAP_ANON, 0x1000);
SAME(MADV_RANDOM, 1);
SAME(MADV_SEQUENTIAL, 2);
SAME(MADV_WILLNEED, 3);
SAME(MADV_DONTNEED, 4);

SAME(EPERM, 1);
SAME(ENOENT, 2);
SAME(EINTR, 4);
SAME(EIO, 5);
SAME(EBADF, 9);
SAME(ENOMEM, 12);
SAME(EACCES, 13);
SAME(EBUSY, 16);
SAME(EEXIST, 17);
SAME(ENOTDIR, 20);
SAME(EISDIR, 21);
SAME(EINVAL, 22);
SAME(EFBIG, 27);
SAME(ENOSPC, 28);
SAME(ERANGE, 34);
SAME(EAGAIN, 35);
SAME(ENOTSUP, 45);
SAME(ETIMEDOUT, 60);
SAME(ENAMETOOLONG, 63);
SAME(ENOSYS, 78);
SAME(EOVERFLOW, 84);

SAME(RTLD_LAZY, 1);
SAME(RTLD_NOW, 2);
SAME(sizeof(Dl_info), 32);
SAME(SEEK_SET, 0);
SAME(SEEK_CUR, 1);
SAME(SEEK_END, 2);
SAME(_SC_PAGESIZE, 29);
SAME(_SC_NPROCESSORS_ONLN, 58);
SAME(R_OK, 4);
SAME(W_OK, 2);
SAME(F_OK, 0);

SAME(TARGET_OS_MAC, 1);
#if TARGET_OS_OSX && __x86_64__
SAME((BOOL)256, 0); /* a signed char there, a bool on all others */
#else
SAME((BOOL)256, 1);
#endif
SAME(sizeof(BOOL), 1);
SAME(sizeof(NSUInteger), 8);
SAME(sizeof(NSRange), 16);
SAME(NSUTF8StringEncoding, 4);
SAME(NSNotFound, 0x7FFFFFFFFFFFFFFF);

/* Values that are no constants for the compiler, and whose types have to fit these. */
pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
pthread_once_t once = PTHREAD_ONCE_INIT;
pthread_rwlock_t readersAndWriter = PTHREAD_RWLOCK_INITIALIZER;
int (*statFunction)(const char *, struct stat *) = stat;
int (*openFunction)(const char *, int, ...) = open;
void *failedMapping(void) { return MAP_FAILED; }

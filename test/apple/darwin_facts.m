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
SAME(sizeof(pthread_mutex_t), 64);
SAME(sizeof(pthread_mutexattr_t), 16);
SAME(sizeof(pthread_cond_t), 48);
SAME(sizeof(pthread_condattr_t), 16);
SAME(sizeof(pthread_attr_t), 64);

SAME(O_RDONLY, 0);
SAME(O_WRONLY, 1);
SAME(O_RDWR, 2);
SAME(O_NONBLOCK, 4);
SAME(O_CLOEXEC, 0x1000000);

SAME(PROT_READ, 1);
SAME(PROT_WRITE, 2);
SAME(MAP_PRIVATE, 2);
SAME(MAP_ANON, 0x1000);

SAME(ENOENT, 2);
SAME(EINTR, 4);
SAME(EBADF, 9);
SAME(ENOTDIR, 20);
SAME(EINVAL, 22);

SAME(sizeof(Dl_info), 32);
SAME(R_OK, 4);

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
int (*statFunction)(const char *, struct stat *) = stat;
int (*openFunction)(const char *, int, ...) = open;
void *failedMapping(void) { return MAP_FAILED; }

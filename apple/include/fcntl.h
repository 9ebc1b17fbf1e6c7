/* Opening files. */
#ifndef APPLE_FCNTL_H
#define APPLE_FCNTL_H

#include <sys/types.h>

#define O_RDONLY 0x0000
#define O_WRONLY 0x0001
#define O_RDWR 0x0002
#define O_NONBLOCK 0x0004
#define O_CLOEXEC 0x01000000

/* Variadic on purpose: arm64 passes the mode on the stack. */
extern int open(const char *path, int flags, ...);

#endif

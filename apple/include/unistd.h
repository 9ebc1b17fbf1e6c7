/* System calls on files, and facts about the process. */
#ifndef APPLE_UNISTD_H
#define APPLE_UNISTD_H

#include <sys/types.h>

#define R_OK 4

extern int access(const char *path, int mode);
extern int close(int file);
extern ssize_t read(int file, void *out, size_t length);
extern ssize_t write(int file, const void *bytes, size_t length);
extern int unlink(const char *path);
extern pid_t getpid(void);
extern int getpagesize(void);

#endif

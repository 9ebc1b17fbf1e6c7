/* System calls on files, and facts about the machine. */
#ifndef APPLE_UNISTD_H
#define APPLE_UNISTD_H

#include <sys/types.h>

#define _SC_NPROCESSORS_ONLN 58
#define _SC_PAGESIZE 29

#define R_OK 4
#define W_OK 2
#define F_OK 0

extern int access(const char *path, int mode);
extern int close(int file);
extern ssize_t read(int file, void *out, size_t length);
extern ssize_t write(int file, const void *bytes, size_t length);
extern ssize_t pread(int file, void *out, size_t length, off_t offset);
extern ssize_t pwrite(int file, const void *bytes, size_t length, off_t offset);
extern int ftruncate(int file, off_t length);
extern int unlink(const char *path);
extern pid_t getpid(void);
extern uid_t getuid(void);
extern int getpagesize(void);
extern long sysconf(int name);

#endif

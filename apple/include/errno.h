/* Error numbers of Darwin; those above 34 differ from those of Linux. */
#ifndef APPLE_ERRNO_H
#define APPLE_ERRNO_H

extern int *__error(void);
#define errno (*__error())

#define ENOENT 2
#define EINTR 4
#define EBADF 9
#define ENOTDIR 20
#define EINVAL 22

#endif

/* Error numbers of Darwin; most above 34 differ from those of Linux. */
#ifndef APPLE_ERRNO_H
#define APPLE_ERRNO_H

extern int *__error(void);
#define errno (*__error())

#define EPERM 1
#define ENOENT 2
#define EINTR 4
#define EIO 5
#define EBADF 9
#define ENOMEM 12
#define EACCES 13
#define EBUSY 16
#define EEXIST 17
#define ENOTDIR 20
#define EISDIR 21
#define EINVAL 22
#define EFBIG 27
#define ENOSPC 28
#define ERANGE 34
#define EAGAIN 35
#define ENOTSUP 45
#define ETIMEDOUT 60
#define ENAMETOOLONG 63
#define ENOSYS 78
#define EOVERFLOW 84

#endif

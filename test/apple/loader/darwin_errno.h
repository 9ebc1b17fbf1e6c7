/* darwin_errno.h: the image's `errno`, in Darwin's numbers. */
#ifndef LOADER_DARWIN_ERRNO_H
#define LOADER_DARWIN_ERRNO_H

/** Darwin's number of an error of Linux. */
int darwinErrorOf(int error);

/** Linux's number of an error of Darwin. */
int linuxErrorOf(int error);

/** Passes on what a call of Linux returned; where it is -1, the image's errno becomes Darwin's number for `errno`. */
long darwinResult(long result);

/** `__error`: where the image reads errno. */
int *darwinErrno(void);

/** `strerror` and `strerror_r` of a Darwin number. */
char *darwinErrorText(int error);
int darwinErrorTextInto(int error, char *out, unsigned long capacity);

#endif

#include "darwin_errno.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* Those whose numbers differ; the first 34 agree but for EAGAIN. From Darwin's <sys/errno.h>. */
static const struct {
  int linux_, darwin;
} numbers[] = {{EAGAIN, 35},   {EDEADLK, 11},    {ENAMETOOLONG, 63}, {ELOOP, 62},      {ENOTEMPTY, 66},
               {ENOSYS, 78},   {EOVERFLOW, 84},  {ETIMEDOUT, 60},    {EOPNOTSUPP, 45}, {ENOLCK, 77},
               {EILSEQ, 92},   {EDQUOT, 69},     {ESTALE, 70},       {ECANCELED, 89},  {ENOBUFS, 55}};
enum { NumberCount = sizeof numbers / sizeof *numbers, LargestCommon = 34, AnyOther = 5 /* EIO */ };

static _Thread_local int imageErrno;

int darwinErrorOf(int error) {
  for (size_t i = 0; i < NumberCount; i++)
    if (numbers[i].linux_ == error) return numbers[i].darwin;
  return error <= LargestCommon ? error : AnyOther;
}

int linuxErrorOf(int error) {
  for (size_t i = 0; i < NumberCount; i++)
    if (numbers[i].darwin == error) return numbers[i].linux_;
  return error <= LargestCommon ? error : AnyOther;
}

long darwinResult(long result) {
  if (result == -1) imageErrno = darwinErrorOf(errno);
  return result;
}

int *darwinErrno(void) {
  return &imageErrno;
}

char *darwinErrorText(int error) {
  return strerror(linuxErrorOf(error));
}

int darwinErrorTextInto(int error, char *out, unsigned long capacity) {
  int length = snprintf(out, capacity, "%s", strerror(linuxErrorOf(error)));
  return length >= 0 && (unsigned long)length < capacity ? 0 : 34; // ERANGE
}

#include "failure.h"

#include <stdarg.h>
#include <stdio.h>

static char reason[1024];

bool loaderFail(const char *format, ...) {
  if (reason[0]) return false;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(reason, sizeof reason, format, arguments);
  va_end(arguments);
  return false;
}

const char *loaderFailure(void) {
  return reason;
}

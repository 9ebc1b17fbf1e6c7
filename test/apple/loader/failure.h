/* failure.h: why an image could not be loaded. */
#ifndef LOADER_FAILURE_H
#define LOADER_FAILURE_H

#include <stdbool.h>

/** Records the reason, the first one only, and returns false, for `return loaderFail(...)`. */
bool loaderFail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** The recorded reason; empty where nothing failed. */
const char *loaderFailure(void);

#endif

/* error.h: this thread's last failure, and how text is handed to the caller. */
#ifndef BRIDGE_ERROR_H
#define BRIDGE_ERROR_H

#ifdef __OBJC__
#import <Foundation/Foundation.h>
#endif

#include <inttypes.h>
#include <stddef.h>

#include "bun_metal.h"

/** How messages show a uint64_t. */
#define QUOTED_U64 "\"%" PRIu64 "\""

/** Records a failure of this thread and returns its status, for `return bridgeFail(...)`. */
bm_status bridgeFail(bm_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

#ifdef __OBJC__
/** Records an exception that reached the boundary: BM_ERROR_VALIDATION for Metal's rules, else BM_ERROR_INTERNAL. */
bm_status bridgeFailWithException(NSException *exception);

/** The error's text, or a stand-in: never NULL. Lives as long as the pool. */
const char *bridgeErrorText(NSError *error);

/** Why Metal returned nil where it has no error to tell; NULL where nothing is known. Lives until the next such call. */
const char *bridgeReasonOfNil(void);
#endif

/** Records what was thrown and is no NSException. */
bm_status bridgeFailWithUnknown(void);

/** Copies at most `capacity` bytes with a final NUL and returns the full length, as every text of bun_metal.h. */
uint32_t bridgeCopyText(const char *text, size_t length, char *out, uint32_t capacity);

#endif

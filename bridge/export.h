/*
 * export.h: the frame around every exported function that sends a message.
 *
 *   bm_status bm_something(bm_handle buffer) {
 *     BRIDGE_ENTER
 *     BRIDGE_PINNED(BunMetalBuffer) object = bridgeHandleRetain(buffer, BM_KIND_BUFFER);
 *     if (!object) return bm_error_code();
 *     ...
 *     return BM_OK;
 *     BRIDGE_LEAVE(status)
 *   }
 *
 * BRIDGE_ENTER opens the function's own autorelease pool and its exception barrier. BRIDGE_LEAVE names what the
 * function returns after an exception; `status` is the exception's status. A pinned variable holds a +1 reference that
 * goes at the end of its scope, by return and by exception alike: it does not wait for the pool.
 */
#ifndef BRIDGE_EXPORT_H
#define BRIDGE_EXPORT_H

#import <Foundation/Foundation.h>

#include "error.h"

/* The control build of the leak tests: whatever is autoreleased then stays, and the counters must say so. */
#ifdef BUN_METAL_WITHOUT_POOLS
#define BRIDGE_POOL
#else
#define BRIDGE_POOL @autoreleasepool
#endif

#define BRIDGE_ENTER \
  BRIDGE_POOL {      \
    @try {
#define BRIDGE_LEAVE(failure)                              \
    }                                                      \
    @catch (NSException *exception) {                      \
      bm_status status = bridgeFailWithException(exception); \
      (void)status;                                        \
      return (failure);                                    \
    }                                                      \
    @catch (...) {                                         \
      bm_status status = bridgeFailWithUnknown();          \
      (void)status;                                        \
      return (failure);                                    \
    }                                                      \
  }

/** Used by BRIDGE_PINNED only. */
static inline void bridgeUnpin(void *variable) {
  [*(id *)variable release];
}

#define BRIDGE_PINNED(type) __attribute__((cleanup(bridgeUnpin))) type *

#endif

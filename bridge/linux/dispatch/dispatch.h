/*
 * The part of <dispatch/dispatch.h> that Metal's interface needs: dispatch_data_t, bytes with an owner. An object, of
 * which `dispatch_data_create` gives +1.
 */
#ifndef DISPATCH_DISPATCH_H
#define DISPATCH_DISPATCH_H

#include <stddef.h>
#ifdef __OBJC__
#import <Foundation/NSObject.h>

@protocol OS_dispatch_data <NSObject>
@end
@protocol OS_dispatch_queue <NSObject>
@end

typedef NSObject<OS_dispatch_data> *dispatch_data_t;
typedef NSObject<OS_dispatch_queue> *dispatch_queue_t;
typedef void (^dispatch_block_t)(void);

#ifdef __cplusplus
extern "C" {
#endif

/** Copies the bytes. */
#define DISPATCH_DATA_DESTRUCTOR_DEFAULT NULL
/** The bytes come from malloc and are freed. */
#define DISPATCH_DATA_DESTRUCTOR_FREE (_dispatch_data_destructor_free)
extern const dispatch_block_t _dispatch_data_destructor_free;

/** +1. Uses the caller's bytes until the object is freed, then calls `destructor` (on `queue`; on Linux on the thread that
 *  frees, and `queue` is NULL). */
extern dispatch_data_t dispatch_data_create(const void *buffer, size_t size, dispatch_queue_t queue,
                                            dispatch_block_t destructor) NS_RETURNS_RETAINED;
extern size_t dispatch_data_get_size(dispatch_data_t data);
/** +1: data of one piece; its address and length are valid while it lives. */
extern dispatch_data_t dispatch_data_create_map(dispatch_data_t data, const void **buffer,
                                                size_t *size) NS_RETURNS_RETAINED;

#ifndef __APPLE__
static inline void dispatch_release(id object) {
  [object release];
}
static inline void dispatch_retain(id object) {
  [object retain];
}
#else
extern void dispatch_release(id object);
extern void dispatch_retain(id object);
#endif

#ifdef __cplusplus
}
#endif
#endif
#endif

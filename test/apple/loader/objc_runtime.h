/*
 * objc_runtime.h: Apple's Objective-C runtime, as far as compiled code calls it, over GCC's.
 */
#ifndef LOADER_OBJC_RUNTIME_H
#define LOADER_OBJC_RUNTIME_H

#import <Foundation/Foundation.h>

#include "image.h"

/** Registers the image's selectors and classes with this process's runtime and makes every reference mean them. */
bool objcPrepare(const Image *image);

/** The class of this process that stands for a class of the image (a pointer to its data there); any other pointer
 *  comes back as it is. */
Class objcClassFor(const void *pointer);

/* In message_send_*.S; not for C. */
extern void loaderMessageSend(void);
extern void loaderMessageSendStret(void);
extern void loaderMessageSendSuper(void);
extern void loaderMessageSendSuperStret(void);

/** What `@"text"` is in an image: Apple's layout, never freed, never counted. */
@interface LoaderConstantString : NSString {
 @public
  int _flags;
  char *_bytes;
  long _length;
}
@end

#endif

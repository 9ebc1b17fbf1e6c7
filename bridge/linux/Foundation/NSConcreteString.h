#ifndef FOUNDATION_NSCONCRETESTRING_H
#define FOUNDATION_NSCONCRETESTRING_H

#import <Foundation/NSString.h>

@interface NSString (Bytes)
/** The text as UTF-8 with a final NUL, which `length` does not count. What every kind of string implements. */
- (const char *)bytesWithLength:(NSUInteger *)length;
@end

/** An immutable string on the heap. */
@interface NSConcreteString : NSString {
  char *_bytes;
  NSUInteger _byteLength;
}
@end

#endif

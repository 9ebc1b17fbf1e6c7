/*
 * Strings, kept as UTF-8. `length` counts UTF-16 code units, as Apple's does.
 */
#ifndef FOUNDATION_NSSTRING_H
#define FOUNDATION_NSSTRING_H

#import <Foundation/NSObject.h>

typedef unsigned short unichar;

typedef NSUInteger NSStringEncoding;
enum : NSStringEncoding { NSASCIIStringEncoding = 1, NSUTF8StringEncoding = 4 };

@interface NSString : NSObject <NSCopying, NSMutableCopying>
@property (readonly) NSUInteger length;
- (unichar)characterAtIndex:(NSUInteger)index;

+ (instancetype)string;
+ (instancetype)stringWithString:(NSString *)string;
/** +0; nil where the text is not valid UTF-8. */
+ (instancetype)stringWithUTF8String:(const char *)text;
+ (instancetype)stringWithCString:(const char *)text encoding:(NSStringEncoding)encoding;
+ (instancetype)stringWithFormat:(NSString *)format, ... NS_FORMAT_FUNCTION(1, 2);
- (instancetype)init;
- (instancetype)initWithString:(NSString *)string;
- (instancetype)initWithUTF8String:(const char *)text;
/** Takes NUL bytes as they are; nil where the bytes do not fit the encoding. */
- (instancetype)initWithBytes:(const void *)bytes length:(NSUInteger)length encoding:(NSStringEncoding)encoding;
- (instancetype)initWithFormat:(NSString *)format, ... NS_FORMAT_FUNCTION(1, 2);
- (instancetype)initWithFormat:(NSString *)format arguments:(va_list)arguments NS_FORMAT_FUNCTION(1, 0);

/** Interior pointer; copy it before the string or the current pool goes. */
@property (readonly) const char *UTF8String;
/** Without the final NUL; 0 where the encoding cannot hold the string. */
- (NSUInteger)lengthOfBytesUsingEncoding:(NSStringEncoding)encoding;
- (NSUInteger)maximumLengthOfBytesUsingEncoding:(NSStringEncoding)encoding;
/** Copies the text with a final NUL; NO where it does not fit. */
- (BOOL)getCString:(char *)buffer maxLength:(NSUInteger)capacity encoding:(NSStringEncoding)encoding;

- (BOOL)isEqualToString:(NSString *)string;
- (NSComparisonResult)compare:(NSString *)string;
- (BOOL)hasPrefix:(NSString *)prefix;
- (BOOL)hasSuffix:(NSString *)suffix;
- (BOOL)containsString:(NSString *)string;
- (NSString *)stringByAppendingString:(NSString *)string;
- (NSString *)stringByAppendingFormat:(NSString *)format, ... NS_FORMAT_FUNCTION(1, 2);
@property (readonly) int intValue;
@property (readonly) double doubleValue;
@end

/** What `@"text"` is; the layout is the compiler's. Never freed, never counted. */
@interface NSConstantString : NSString {
  char *_bytes;
  unsigned int _byteLength;
}
@end

@interface NSMutableString : NSString {
  char *_bytes;
  NSUInteger _byteLength;
  NSUInteger _capacity;
}
+ (instancetype)stringWithCapacity:(NSUInteger)capacity;
- (void)appendString:(NSString *)string;
- (void)appendFormat:(NSString *)format, ... NS_FORMAT_FUNCTION(1, 2);
- (void)setString:(NSString *)string;
@end

#endif

#ifndef FOUNDATION_NSURL_H
#define FOUNDATION_NSURL_H

#import <Foundation/NSObject.h>

/** File URLs only. */
@interface NSURL : NSObject <NSCopying> {
  NSString *_path;
}
+ (NSURL *)fileURLWithPath:(NSString *)path;
- (instancetype)initFileURLWithPath:(NSString *)path;
@property (readonly, copy) NSString *path;
@property (readonly, copy) NSString *absoluteString;
@property (readonly, copy) NSString *lastPathComponent;
@property (readonly, getter=isFileURL) BOOL fileURL;
@property (readonly) const char *fileSystemRepresentation;
@end

#endif

#import <Foundation/NSURL.h>

#import <Foundation/NSException.h>
#import <Foundation/NSString.h>
#include <string.h>

@implementation NSURL

+ (NSURL *)fileURLWithPath:(NSString *)path {
  return [[[self alloc] initFileURLWithPath:path] autorelease];
}

- (instancetype)initFileURLWithPath:(NSString *)path {
  if (path == nil) [NSException raise:NSInvalidArgumentException format:@"-[NSURL initFileURLWithPath:]: nil path"];
  self = [super init];
  if (self) _path = [path copy];
  return self;
}

- (void)dealloc {
  [_path release];
  [super dealloc];
}

- (id)copyWithZone:(NSZone *)zone {
  (void)zone;
  return [self retain];
}

- (NSString *)path {
  return _path;
}

- (NSString *)absoluteString {
  return [NSString stringWithFormat:@"file://%@", _path];
}

- (NSString *)lastPathComponent {
  const char *text = [_path UTF8String];
  const char *slash = strrchr(text, '/');
  return slash ? [NSString stringWithUTF8String:slash + 1] : _path;
}

- (BOOL)isFileURL {
  return YES;
}

- (const char *)fileSystemRepresentation {
  return [_path UTF8String];
}

- (NSUInteger)hash {
  return [_path hash];
}

- (BOOL)isEqual:(id)object {
  return [object isKindOfClass:[NSURL class]] && [_path isEqualToString:[object path]];
}

- (NSString *)description {
  return [self absoluteString];
}

@end

#import <Foundation/NSException.h>

#include <stdio.h>
#include <stdlib.h>

NSExceptionName const NSGenericException = @"NSGenericException";
NSExceptionName const NSRangeException = @"NSRangeException";
NSExceptionName const NSInvalidArgumentException = @"NSInvalidArgumentException";
NSExceptionName const NSInternalInconsistencyException = @"NSInternalInconsistencyException";
NSExceptionName const NSMallocException = @"NSMallocException";

typedef void (*UncaughtHandler)(id exception);
extern UncaughtHandler objc_setUncaughtExceptionHandler(UncaughtHandler handler);
extern void objc_exception_throw(id exception) __attribute__((noreturn));

static void reportUncaught(id exception) {
  const char *text = [exception isKindOfClass:[NSException class]] ? [[exception description] UTF8String] : "an object";
  fprintf(stderr, "Uncaught exception: %s\n", text);
}

@implementation NSException

+ (void)load {
  objc_setUncaughtExceptionHandler(reportUncaught);
}

+ (NSException *)exceptionWithName:(NSExceptionName)name reason:(NSString *)reason userInfo:(NSDictionary *)userInfo {
  return [[[self alloc] initWithName:name reason:reason userInfo:userInfo] autorelease];
}

- (instancetype)initWithName:(NSExceptionName)name reason:(NSString *)reason userInfo:(NSDictionary *)userInfo {
  self = [super init];
  if (!self) return nil;
  _name = [name copy];
  _reason = [reason copy];
  _userInfo = [userInfo copy];
  return self;
}

+ (void)raise:(NSExceptionName)name format:(NSString *)format, ... {
  va_list arguments;
  va_start(arguments, format);
  NSString *reason = [[[NSString alloc] initWithFormat:format arguments:arguments] autorelease];
  va_end(arguments);
  [[self exceptionWithName:name reason:reason userInfo:nil] raise];
}

- (void)raise {
  objc_exception_throw(self);
}

- (void)dealloc {
  [_name release];
  [_reason release];
  [_userInfo release];
  [super dealloc];
}

- (id)copyWithZone:(NSZone *)zone {
  (void)zone;
  return [self retain];
}

- (NSExceptionName)name {
  return _name;
}

- (NSString *)reason {
  return _reason;
}

- (NSDictionary *)userInfo {
  return _userInfo;
}

- (NSString *)description {
  return [NSString stringWithFormat:@"%@: %@", _name, _reason];
}

@end

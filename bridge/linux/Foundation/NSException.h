#ifndef FOUNDATION_NSEXCEPTION_H
#define FOUNDATION_NSEXCEPTION_H

#import <Foundation/NSDictionary.h>
#import <Foundation/NSString.h>

typedef NSString *NSExceptionName;

extern NSExceptionName const NSGenericException;
extern NSExceptionName const NSRangeException;
extern NSExceptionName const NSInvalidArgumentException;
extern NSExceptionName const NSInternalInconsistencyException;
extern NSExceptionName const NSMallocException;

/* On Apple the class's own exception type is in its library; without this, each file would define one. */
#ifdef __APPLE__
#define NS_EXCEPTION_CLASS __attribute__((objc_exception))
#else
#define NS_EXCEPTION_CLASS
#endif

/** What `@throw` carries. An exception made here is autoreleased: copy its texts before the pool drains. */
NS_EXCEPTION_CLASS @interface NSException : NSObject <NSCopying> {
  NSString *_name;
  NSString *_reason;
  NSDictionary *_userInfo;
}
@property (readonly, copy) NSExceptionName name;
@property (readonly, copy) NSString *reason;
@property (readonly, copy) NSDictionary *userInfo;
+ (NSException *)exceptionWithName:(NSExceptionName)name reason:(NSString *)reason userInfo:(NSDictionary *)userInfo;
- (instancetype)initWithName:(NSExceptionName)name reason:(NSString *)reason userInfo:(NSDictionary *)userInfo;
- (void)raise;
+ (void)raise:(NSExceptionName)name format:(NSString *)format, ... NS_FORMAT_FUNCTION(2, 3);
@end

#endif

/*
 * Types and macros that every Foundation header needs, and the few functions of the Objective-C runtime that we call.
 * clang does not search the directory where GCC keeps <objc/runtime.h>, hence the declarations here.
 */
#ifndef FOUNDATION_NSOBJCRUNTIME_H
#define FOUNDATION_NSOBJCRUNTIME_H

#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* unsigned char in GCC's libobjc; signed char or bool on Apple, so never compare a BOOL with YES. */
#ifndef __APPLE__
typedef unsigned char BOOL;
#elif __OBJC_BOOL_IS_BOOL
typedef bool BOOL;
#else
typedef signed char BOOL;
#endif
#define YES ((BOOL)1)
#define NO ((BOOL)0)

#ifndef nil
#define nil ((id)0)
#endif
#ifndef Nil
#define Nil ((Class)0)
#endif

typedef long NSInteger;
typedef unsigned long NSUInteger;
typedef double NSTimeInterval;
typedef double CFTimeInterval;

#define NSIntegerMax LONG_MAX
#define NSIntegerMin LONG_MIN
#define NSUIntegerMax ULONG_MAX

enum : NSInteger { NSNotFound = NSIntegerMax };

typedef enum NSComparisonResult : NSInteger {
  NSOrderedAscending = -1,
  NSOrderedSame = 0,
  NSOrderedDescending = 1
} NSComparisonResult;

#define NS_ENUM(type, name) enum name : type name; enum name : type
#define NS_OPTIONS(type, name) enum name : type name; enum name : type

/* The system that a declaration first came with. On Apple clang makes a weak reference of what the oldest supported
 * system lacks; tvOS follows iOS. */
#ifndef API_AVAILABLE
#ifdef __APPLE__
#define API_AVAILABLE_IN_macos(version) __attribute__((availability(macos, introduced = version)))
#define API_AVAILABLE_IN_ios(version) __attribute__((availability(ios, introduced = version)))
#define API_AVAILABLE(macos, ios) API_AVAILABLE_IN_##macos API_AVAILABLE_IN_##ios
#else
#define API_AVAILABLE(macos, ios)
#endif
#endif

#define NS_ASSUME_NONNULL_BEGIN
#define NS_ASSUME_NONNULL_END
#define NS_RETURNS_RETAINED __attribute__((ns_returns_retained))
#define NS_RETURNS_INNER_POINTER
#define NS_FORMAT_FUNCTION(text, first) __attribute__((format(__NSString__, text, first)))
#define FOUNDATION_EXPORT extern
#define FOUNDATION_EXTERN extern

@class NSString;
@class Protocol;

typedef id (*IMP)(id, SEL, ...);

/* The runtime: GCC's libobjc, or Apple's. */
extern Class objc_getClass(const char *name);
extern const char *class_getName(Class cls);
extern Class class_getSuperclass(Class cls);
extern size_t class_getInstanceSize(Class cls);
extern BOOL class_respondsToSelector(Class cls, SEL selector);
extern Protocol **class_copyProtocolList(Class cls, unsigned *count);
extern Protocol **protocol_copyProtocolList(Protocol *protocol, unsigned *count);
extern const char *protocol_getName(Protocol *protocol);
extern BOOL class_isMetaClass(Class cls);
extern IMP class_getMethodImplementation(Class cls, SEL selector);
extern const char *sel_getName(SEL selector);
extern SEL sel_registerName(const char *name);
extern Class object_setClass(id object, Class cls);
extern IMP class_replaceMethod(Class cls, SEL selector, IMP implementation, const char *types);

#ifdef __APPLE__
extern Class object_getClass(id object);
#else
/** Every object starts with its class. */
static inline Class object_getClass(id object) {
  return object ? *(Class *)(void *)object : Nil;
}
#endif

/** Names to and from classes and selectors; the strings are autoreleased. */
extern NSString *NSStringFromClass(Class cls);
extern NSString *NSStringFromSelector(SEL selector);
extern Class NSClassFromString(NSString *name);
extern SEL NSSelectorFromString(NSString *name);

/** Writes a formatted line to standard error. Takes `%@`. */
extern void NSLog(NSString *format, ...) NS_FORMAT_FUNCTION(1, 2);

#endif

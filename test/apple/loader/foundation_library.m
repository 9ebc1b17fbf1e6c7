/* foundation_library.m: Foundation and CoreFoundation, as far as this repository's Foundation for Linux has them. */
#import <Foundation/Foundation.h>

#include "exceptions.h"
#include "library.h"

/* LoaderConstantString as its symbol: constant strings hold the address of the class itself. */
extern char _OBJC_CLASS_LoaderConstantString[];

static const Symbol coreFoundationSymbols[] = {
    {"___CFConstantStringClassReference", _OBJC_CLASS_LoaderConstantString},
    {"_OBJC_EHTYPE_$_NSException", &exceptionTypeNSException},
    {NULL, NULL},
};

static const char *const coreFoundationClasses[] = {
    "NSArray", "NSMutableArray", "NSDictionary", "NSMutableDictionary", "NSData", "NSMutableData", "NSURL", "NSDate",
    "NSSet",   "NSNull",         "NSException",  NULL};

const Library coreFoundationLibrary = {"/System/Library/Frameworks/CoreFoundation.framework/Versions/A/CoreFoundation",
                                       150 << 16, coreFoundationSymbols, coreFoundationClasses, NULL};

static const Symbol foundationSymbols[] = {
    SAME(NSLog),
    SAME(NSStringFromClass),
    SAME(NSStringFromSelector),
    SAME(NSClassFromString),
    SAME(NSSelectorFromString),
    {NULL, NULL},
};

static const char *const foundationClasses[] = {
    "NSString", "NSMutableString", "NSError",           "NSNumber", "NSValue",       "NSLock",
    "NSBundle", "NSProcessInfo",   "NSAutoreleasePool", "NSThread", "NSFileManager", NULL};

const Library foundationLibrary = {"/System/Library/Frameworks/Foundation.framework/Versions/C/Foundation", 300 << 16,
                                   foundationSymbols, foundationClasses, NULL};

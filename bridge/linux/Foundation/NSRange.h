#ifndef FOUNDATION_NSRANGE_H
#define FOUNDATION_NSRANGE_H

#import <Foundation/NSObjCRuntime.h>

/** Elements [location, location + length). */
typedef struct _NSRange {
  NSUInteger location;
  NSUInteger length;
} NSRange;

static inline NSRange NSMakeRange(NSUInteger location, NSUInteger length) {
  NSRange range = {location, length};
  return range;
}

static inline NSUInteger NSMaxRange(NSRange range) { return range.location + range.length; }

#endif

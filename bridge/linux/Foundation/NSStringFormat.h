#ifndef FOUNDATION_NSSTRINGFORMAT_H
#define FOUNDATION_NSSTRINGFORMAT_H

#import <Foundation/NSObjCRuntime.h>

/** Formats as printf does, and `%@` with the object's description. Returns malloc'ed text, not NUL-terminated, and its
 *  length; NULL when memory is out. */
extern char *NSFormatText(NSString *format, va_list arguments, size_t *length) NS_FORMAT_FUNCTION(1, 0);

#endif

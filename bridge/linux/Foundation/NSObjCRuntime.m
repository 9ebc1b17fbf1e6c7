#import <Foundation/NSObjCRuntime.h>

#import <Foundation/NSString.h>
#import <Foundation/NSStringFormat.h>
#include <stdio.h>
#include <stdlib.h>

NSString *NSStringFromClass(Class cls) {
  return cls == Nil ? nil : [NSString stringWithUTF8String:class_getName(cls)];
}

NSString *NSStringFromSelector(SEL selector) {
  return selector == NULL ? nil : [NSString stringWithUTF8String:sel_getName(selector)];
}

Class NSClassFromString(NSString *name) {
  return name == nil ? Nil : objc_getClass([name UTF8String]);
}

SEL NSSelectorFromString(NSString *name) {
  return name == nil ? NULL : sel_registerName([name UTF8String]);
}

void NSLog(NSString *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  size_t length = 0;
  char *text = NSFormatText(format, arguments, &length);
  va_end(arguments);
  fprintf(stderr, "%.*s\n", (int)length, text ? text : "");
  free(text);
}

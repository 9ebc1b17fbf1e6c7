/* How rules and errors reach the caller. */
#import "Objects.h"

#import <Metal/LinuxChecks.h>
#include <stdio.h>
#include <stdlib.h>

NSErrorDomain const MTLLibraryErrorDomain = @"MTLLibraryErrorDomain";
NSErrorDomain const MTLBinaryArchiveDomain = @"MTLBinaryArchiveDomain";
NSErrorDomain const MTLCommandBufferErrorDomain = @"MTLCommandBufferErrorDomain";

void MTLBreakRule(NSString *rule, NSString *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  NSString *reason = [[[NSString alloc] initWithFormat:format arguments:arguments] autorelease];
  va_end(arguments);
  [[NSException exceptionWithName:rule reason:reason userInfo:nil] raise];
  abort(); // raise does not return
}

static _Thread_local char reasonOfNil[512];

void MTLSetReasonOfNil(char *message) {
  snprintf(reasonOfNil, sizeof reasonOfNil, "%s", message ? message : "");
  free(message);
}

const char *MTLReasonOfNil(void) {
  return *reasonOfNil ? reasonOfNil : NULL;
}

NSError *MTLNewError(NSErrorDomain domain, NSInteger code, const char *message) {
  NSString *text = [[NSString alloc] initWithUTF8String:message ? message : "no reason was given"];
  if (!text) text = [[NSString alloc] initWithUTF8String:"the reason is not UTF-8"];
  NSString *key = NSLocalizedDescriptionKey;
  NSDictionary *information = [[NSDictionary alloc] initWithObjects:&text forKeys:&key count:1];
  NSError *error = [[NSError alloc] initWithDomain:domain code:code userInfo:information];
  [information release];
  [text release];
  return error;
}

void MTLSetError(NSError **error, NSErrorDomain domain, NSInteger code, const char *message) {
  if (error) *error = [MTLNewError(domain, code, message) autorelease];
}

@implementation LinuxObject
@synthesize label = _label;

- (void)dealloc {
  [_label release];
  [super dealloc];
}

@end

@implementation LinuxTracked

- (void)dealloc {
  MTLObjectReleased(lifetime, _label);
  [super dealloc];
}

@end

#import "LinuxLibrary.h"

#import "Validation.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

NSErrorDomain const MTLLibraryErrorDomain = @"MTLLibraryErrorDomain";

/* What Apple's compiler calls source that came as a string. */
static const char sourceName[] = "program_source";

/** Takes over the driver's message. */
static NSError *libraryError(MTLLibraryError code, char *message) {
  NSString *text = message ? [NSString stringWithUTF8String:message] : nil;
  free(message);
  if (text == nil) text = @"The driver gave no reason";
  return [NSError errorWithDomain:MTLLibraryErrorDomain
                             code:(NSInteger)code
                         userInfo:[NSDictionary dictionaryWithObject:text forKey:NSLocalizedDescriptionKey]];
}

/** The source behind its macros; a #line directive keeps the line numbers of messages. */
static NSString *sourceWithMacros(NSString *source, MTLCompileOptions *options) {
  NSDictionary<NSString *, NSObject *> *macros = [options preprocessorMacros];
  if ([macros count] == 0) return source;
  NSMutableString *text = [NSMutableString string];
  for (NSString *name in macros) [text appendFormat:@"#define %@ %@\n", name, [macros objectForKey:name]];
  [text appendFormat:@"#line 1 \"%s\"\n%@", sourceName, source];
  return text;
}

@implementation LinuxLibrary

@synthesize label = _label;

- (instancetype)initWithDevice:(LinuxDevice *)device
                        source:(NSString *)source
                       options:(MTLCompileOptions *)options
                         error:(NSError **)error {
  self = [super init];
  if (!self) return nil;
  _device = [device retain];
  NSString *text = sourceWithMacros(source, options);
  char *message = NULL;
  _library = device->_driver->compile(device->_index, [text UTF8String],
                                      [text lengthOfBytesUsingEncoding:NSUTF8StringEncoding], sourceName, &message);
  if (!_library) {
    NSError *failure = libraryError(MTLLibraryErrorCompileFailure, message);
    if (error) *error = failure;
    [self release];
    return nil;
  }
  if (message) {
    NSError *warning = libraryError(MTLLibraryErrorCompileWarning, message);
    if (error) *error = warning;
  }
  return self;
}

- (instancetype)initWithDevice:(LinuxDevice *)device url:(NSURL *)url error:(NSError **)error {
  self = [super init];
  if (!self) return nil;
  _device = [device retain];
  const char *path = [url fileSystemRepresentation];
  char *message = NULL;
  _library = device->_driver->load(device->_index, path, &message);
  if (!_library) {
    bool isThere = access(path, F_OK) == 0;
    NSError *failure = libraryError(isThere ? MTLLibraryErrorUnsupported : MTLLibraryErrorFileNotFound, message);
    if (error) *error = failure;
    [self release];
    return nil;
  }
  free(message);
  return self;
}

- (void)dealloc {
  if (_library) _device->_driver->unload(_library);
  [_label release];
  [_device release];
  [super dealloc];
}

- (id<MTLDevice>)device {
  return _device;
}

- (MTLLibraryType)type {
  return MTLLibraryTypeExecutable;
}

- (NSArray<NSString *> *)functionNames {
  NSMutableArray *names = [NSMutableArray arrayWithCapacity:_library->functionCount];
  for (uint32_t i = 0; i < _library->functionCount; i++) {
    [names addObject:[NSString stringWithUTF8String:_library->functions[i].name]];
  }
  return names;
}

- (id<MTLFunction>)newFunctionWithName:(NSString *)functionName {
  if (functionName == nil) raiseRule(RuleNilArgument, "newFunctionWithName: got no name");
  const char *name = [functionName UTF8String];
  for (uint32_t i = 0; i < _library->functionCount; i++) {
    const DriverFunction *function = &_library->functions[i];
    if (strcmp(function->name, name) == 0) return [[LinuxFunction alloc] initWithLibrary:self function:function];
  }
  return nil;
}

@end

@implementation LinuxFunction

@synthesize label = _label;

- (instancetype)initWithLibrary:(LinuxLibrary *)library function:(const DriverFunction *)function {
  self = [super init];
  if (!self) return nil;
  _library = [library retain];
  _function = function;
  return self;
}

- (void)dealloc {
  [_library release];
  [_label release];
  [super dealloc];
}

- (id<MTLDevice>)device {
  return _library->_device;
}

- (MTLFunctionType)functionType {
  return MTLFunctionTypeKernel;
}

- (NSString *)name {
  return [NSString stringWithUTF8String:_function->name];
}

- (MTLFunctionOptions)options {
  return MTLFunctionOptionNone;
}

@end

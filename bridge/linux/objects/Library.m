/* MTLLibrary and MTLFunction. */
#import "Objects.h"

#include <string.h>

@implementation LinuxLibrary

- (id)initWithDevice:(LinuxDevice *)device library:(DriverLibrary *)driverLibrary {
  self = [super init];
  if (!self) {
    device->driver->unload(driverLibrary);
    return nil;
  }
  owner = [device retain];
  library = driverLibrary;
  return self;
}

- (void)dealloc {
  if (library) owner->driver->unload(library);
  [owner release];
  [super dealloc];
}

- (id<MTLDevice>)device {
  return owner;
}

- (MTLLibraryType)type {
  return MTLLibraryTypeExecutable;
}

- (NSArray<NSString *> *)functionNames {
  NSMutableArray *names = [NSMutableArray array];
  for (uint32_t i = 0; i < library->functionCount; i++)
    [names addObject:[NSString stringWithUTF8String:library->functions[i].name]];
  return names;
}

- (id<MTLFunction>)newFunctionWithName:(NSString *)functionName {
  const char *name = [functionName UTF8String];
  if (!name) MTLBreakRule(@"MTLFunctionName", @"a function cannot have a nil name");
  for (uint32_t i = 0; i < library->functionCount; i++) {
    const DriverFunction *function = &library->functions[i];
    if (strcmp(function->name, name) == 0) return [[LinuxFunction alloc] initWithLibrary:self function:function];
  }
  return nil;
}

@end

@implementation LinuxFunction

- (id)initWithLibrary:(LinuxLibrary *)aLibrary function:(const DriverFunction *)aFunction {
  self = [super init];
  if (!self) return nil;
  owner = [aLibrary retain];
  function = aFunction;
  return self;
}

- (void)dealloc {
  [owner release];
  [super dealloc];
}

- (id<MTLDevice>)device {
  return [owner device];
}

- (MTLFunctionType)functionType {
  return MTLFunctionTypeKernel;
}

- (NSString *)name {
  return [NSString stringWithUTF8String:function->name];
}

- (MTLFunctionOptions)options {
  return MTLFunctionOptionNone;
}

@end

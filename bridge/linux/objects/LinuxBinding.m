#import "LinuxBinding.h"

@implementation LinuxBinding

- (instancetype)initWithFunction:(LinuxFunction *)function argument:(const DriverArgument *)argument {
  self = [super init];
  if (!self) return nil;
  _function = [function retain];
  _argument = argument;
  return self;
}

- (void)dealloc {
  [_function release];
  [super dealloc];
}

- (NSString *)name {
  return [NSString stringWithUTF8String:_argument->name];
}

- (MTLBindingType)type {
  return _argument->kind == DriverArgumentBuffer ? MTLBindingTypeBuffer : MTLBindingTypeThreadgroupMemory;
}

- (MTLBindingAccess)access {
  bool isRead = _argument->kind == DriverArgumentBuffer && !_argument->writable;
  return isRead ? MTLBindingAccessReadOnly : MTLBindingAccessReadWrite;
}

- (NSUInteger)index {
  return _argument->index;
}

- (BOOL)isUsed {
  return YES;
}

- (BOOL)isArgument {
  return YES;
}

- (NSUInteger)bufferAlignment {
  return _argument->alignment;
}

- (NSUInteger)bufferDataSize {
  return _argument->dataSize;
}

- (NSUInteger)threadgroupMemoryAlignment {
  return _argument->alignment;
}

- (NSUInteger)threadgroupMemoryDataSize {
  return _argument->dataSize;
}

@end

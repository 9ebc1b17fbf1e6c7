/* MTLComputePipelineState, and its reflection. */
#import "Objects.h"

@implementation LinuxPipelineState

- (id)initWithFunction:(LinuxFunction *)function descriptor:(MTLComputePipelineDescriptor *)descriptor {
  self = [super init];
  if (!self) return nil;
  kernel = [function retain];
  NSUInteger wanted = [descriptor maxTotalThreadsPerThreadgroup];
  mostThreads = function->function->maxTotalThreadsPerThreadgroup;
  if (wanted > 0 && wanted < mostThreads) mostThreads = wanted;
  needsWholeSimdgroups = [descriptor threadGroupSizeIsMultipleOfThreadExecutionWidth];
  _label = [[descriptor label] copy];
  return self;
}

- (void)dealloc {
  [kernel release];
  [super dealloc];
}

- (id<MTLDevice>)device {
  return [kernel device];
}

- (NSUInteger)maxTotalThreadsPerThreadgroup {
  return mostThreads;
}

- (NSUInteger)threadExecutionWidth {
  return ((LinuxDevice *)[kernel device])->properties.threadExecutionWidth;
}

- (NSUInteger)staticThreadgroupMemoryLength {
  return kernel->function->staticThreadgroupMemoryLength;
}

- (BOOL)supportIndirectCommandBuffers {
  return NO;
}

- (NSUInteger)allocatedSize {
  return 0; // the code is the library's
}

@end

/** One argument. It copies what it says: the library may go before the reflection does. */
@interface LinuxBinding : NSObject <MTLBufferBinding, MTLThreadgroupBinding> {
 @public
  DriverArgument argument;
  NSString *_name;
}
@end

@implementation LinuxBinding

- (id)initWithArgument:(const DriverArgument *)anArgument {
  self = [super init];
  if (!self) return nil;
  argument = *anArgument;
  argument.name = NULL;
  _name = [[NSString alloc] initWithUTF8String:anArgument->name];
  return self;
}

- (void)dealloc {
  [_name release];
  [super dealloc];
}

- (NSString *)name {
  return _name;
}

- (MTLBindingType)type {
  return argument.kind == DriverArgumentBuffer ? MTLBindingTypeBuffer : MTLBindingTypeThreadgroupMemory;
}

- (MTLBindingAccess)access {
  return argument.writable ? MTLBindingAccessReadWrite : MTLBindingAccessReadOnly;
}

- (NSUInteger)index {
  return argument.index;
}

- (BOOL)isUsed {
  return YES;
}

- (BOOL)isArgument {
  return YES;
}

- (NSUInteger)bufferAlignment {
  return argument.alignment;
}

- (NSUInteger)bufferDataSize {
  return argument.dataSize;
}

- (NSUInteger)threadgroupMemoryAlignment {
  return argument.alignment;
}

- (NSUInteger)threadgroupMemoryDataSize {
  return argument.dataSize;
}

@end

@implementation MTLComputePipelineReflection
@synthesize bindings = _bindings;

- (id)initWithFunction:(const DriverFunction *)function {
  self = [super init];
  if (!self) return nil;
  NSMutableArray *found = [[NSMutableArray alloc] init];
  for (uint32_t i = 0; i < function->argumentCount; i++) {
    LinuxBinding *binding = [[LinuxBinding alloc] initWithArgument:&function->arguments[i]];
    [found addObject:binding];
    [binding release];
  }
  _bindings = found;
  return self;
}

- (void)dealloc {
  [_bindings release];
  [super dealloc];
}

@end

/* MTLComputePipelineState, and its reflection. */
#import "Objects.h"

static void endCode(Lifetime *lifetime) {
  [((PipelineCode *)lifetime)->kernel release];
}

@implementation LinuxPipelineState

- (id)initWithFunction:(LinuxFunction *)function
            descriptor:(MTLComputePipelineDescriptor *)descriptor
           mostThreads:(NSUInteger)mostThreads {
  self = [super init];
  if (!self) return nil;
  code = MTLNewLifetime(sizeof *code, "pipeline state", endCode);
  if (!code) {
    [self release];
    return nil;
  }
  lifetime = &code->lifetime;
  code->kernel = [function retain];
  code->function = function->function;
  NSUInteger wanted = [descriptor maxTotalThreadsPerThreadgroup];
  code->mostThreads = mostThreads;
  if (wanted > 0 && wanted < code->mostThreads) code->mostThreads = wanted;
  NSUInteger most = function->owner->owner->properties.maxTotalThreadsPerThreadgroup;
  if (code->mostThreads > most) code->mostThreads = most;
  code->needsWholeSimdgroups = [descriptor threadGroupSizeIsMultipleOfThreadExecutionWidth];
  code->supportsIndirectCommands = [descriptor supportIndirectCommandBuffers];
  _label = [[descriptor label] copy];
  return self;
}

- (id<MTLDevice>)device {
  return [code->kernel device];
}

- (NSUInteger)maxTotalThreadsPerThreadgroup {
  return code->mostThreads;
}

- (NSUInteger)threadExecutionWidth {
  return ((LinuxDevice *)[code->kernel device])->properties.threadExecutionWidth;
}

- (NSUInteger)staticThreadgroupMemoryLength {
  return code->function->staticThreadgroupMemoryLength;
}

- (BOOL)supportIndirectCommandBuffers {
  return code->supportsIndirectCommands ? YES : NO;
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

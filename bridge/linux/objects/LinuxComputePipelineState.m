#import "LinuxComputePipelineState.h"

#import "LinuxBinding.h"
#import "Validation.h"

/* Apple's drivers report pipelines under domains of their own, which nobody can match; so do we. */
static NSErrorDomain const pipelineErrorDomain = @"LinuxComputePipelineErrorDomain";

/** Why the device cannot run the function; nil where it can. */
static NSString *unsupportedReason(const DriverProperties *device, const DriverFunction *function,
                                   MTLComputePipelineDescriptor *descriptor) {
  NSUInteger wanted = [descriptor maxTotalThreadsPerThreadgroup];
  if (wanted > device->maxTotalThreadsPerThreadgroup) {
    return [NSString stringWithFormat:@"%s: maxTotalThreadsPerThreadgroup %lu is above the device's %u", function->name,
                                      wanted, device->maxTotalThreadsPerThreadgroup];
  }
  if (function->maxTotalThreadsPerThreadgroup == 0 ||
      function->maxTotalThreadsPerThreadgroup > device->maxTotalThreadsPerThreadgroup) {
    return [NSString stringWithFormat:@"%s: max_total_threads_per_threadgroup %u is not within the device's %u",
                                      function->name, function->maxTotalThreadsPerThreadgroup,
                                      device->maxTotalThreadsPerThreadgroup];
  }
  if (function->staticThreadgroupMemoryLength > device->maxThreadgroupMemoryLength) {
    return [NSString stringWithFormat:@"%s: %u bytes of threadgroup memory are above the device's %u", function->name,
                                      function->staticThreadgroupMemoryLength, device->maxThreadgroupMemoryLength];
  }
  for (uint32_t i = 0; i < function->argumentCount; i++) {
    const DriverArgument *argument = &function->arguments[i];
    bool isBuffer = argument->kind == DriverArgumentBuffer;
    if (argument->index < (uint32_t)(isBuffer ? DriverMaxBuffers : DriverMaxThreadgroupMemories)) continue;
    return [NSString stringWithFormat:@"%s: argument %s has %s index %u, the highest is 30", function->name,
                                      argument->name, isBuffer ? "buffer" : "threadgroup", argument->index];
  }
  return nil;
}

@implementation MTLComputePipelineReflection

- (instancetype)initWithBindings:(NSArray *)bindings {
  self = [super init];
  if (self) _bindings = [bindings copy];
  return self;
}

- (void)dealloc {
  [_bindings release];
  [super dealloc];
}

- (NSArray<id<MTLBinding>> *)bindings {
  return _bindings;
}

@end

@implementation LinuxComputePipelineState

- (instancetype)initWithDevice:(LinuxDevice *)device
                    descriptor:(MTLComputePipelineDescriptor *)descriptor
                         error:(NSError **)error {
  LinuxFunction *function = (LinuxFunction *)[descriptor computeFunction];
  if (function == nil || [function device] != device) {
    [self release];
    if (function == nil) raiseRule(RuleNilArgument, "a compute pipeline got no function");
    raiseRule(RuleForeignDevice, "function \"%s\"", function->_function->name);
  }
  self = [super init];
  if (!self) return nil;
  NSString *reason = unsupportedReason(&device->_properties, function->_function, descriptor);
  if (reason != nil) {
    NSDictionary *userInfo = [NSDictionary dictionaryWithObject:reason forKey:NSLocalizedDescriptionKey];
    if (error) *error = [NSError errorWithDomain:pipelineErrorDomain code:1 userInfo:userInfo];
    [self release];
    return nil;
  }
  _device = [device retain];
  _function = [function retain];
  _label = [[descriptor label] copy];
  NSUInteger wanted = [descriptor maxTotalThreadsPerThreadgroup];
  NSUInteger compiled = function->_function->maxTotalThreadsPerThreadgroup;
  _maxTotalThreadsPerThreadgroup = wanted != 0 && wanted < compiled ? wanted : compiled;
  _takesWholeSimdgroups = [descriptor threadGroupSizeIsMultipleOfThreadExecutionWidth];
  return self;
}

- (void)dealloc {
  [_device release];
  [_function release];
  [_label release];
  [super dealloc];
}

- (MTLComputePipelineReflection *)reflection {
  const DriverFunction *function = _function->_function;
  NSMutableArray *bindings = [NSMutableArray arrayWithCapacity:function->argumentCount];
  for (uint32_t i = 0; i < function->argumentCount; i++) {
    LinuxBinding *binding = [[LinuxBinding alloc] initWithFunction:_function argument:&function->arguments[i]];
    [bindings addObject:binding];
    [binding release];
  }
  return [[[MTLComputePipelineReflection alloc] initWithBindings:bindings] autorelease];
}

- (NSString *)label {
  return _label;
}

- (id<MTLDevice>)device {
  return _device;
}

- (NSUInteger)allocatedSize {
  return 0;
}

- (NSUInteger)maxTotalThreadsPerThreadgroup {
  return _maxTotalThreadsPerThreadgroup;
}

- (NSUInteger)threadExecutionWidth {
  return _device->_properties.threadExecutionWidth;
}

- (NSUInteger)staticThreadgroupMemoryLength {
  return _function->_function->staticThreadgroupMemoryLength;
}

- (BOOL)supportIndirectCommandBuffers {
  return NO;
}

@end

/* Descriptors: plain values that callers fill in. They are one thread's at a time. */
#import "Objects.h"

@implementation MTLArchitecture
@synthesize name = _name;

- (id)initWithName:(const char *)name {
  self = [super init];
  if (self) _name = [[NSString alloc] initWithUTF8String:name];
  return self;
}

- (void)dealloc {
  [_name release];
  [super dealloc];
}

- (id)copyWithZone:(NSZone *)zone {
  (void)zone;
  return [self retain]; // immutable
}

@end

@implementation MTLCommandBufferDescriptor
@synthesize retainedReferences = _retainedReferences, errorOptions = _errorOptions;

- (id)init {
  self = [super init];
  if (self) _retainedReferences = YES;
  return self;
}

- (id)copyWithZone:(NSZone *)zone {
  (void)zone;
  MTLCommandBufferDescriptor *copy = [[MTLCommandBufferDescriptor alloc] init];
  [copy setRetainedReferences:_retainedReferences];
  [copy setErrorOptions:_errorOptions];
  return copy;
}

@end

@implementation MTLComputePassDescriptor
@synthesize dispatchType = _dispatchType;

+ (MTLComputePassDescriptor *)computePassDescriptor {
  return [[[MTLComputePassDescriptor alloc] init] autorelease];
}

- (id)copyWithZone:(NSZone *)zone {
  (void)zone;
  MTLComputePassDescriptor *copy = [[MTLComputePassDescriptor alloc] init];
  [copy setDispatchType:_dispatchType];
  return copy;
}

@end

@implementation MTLCompileOptions
@synthesize preprocessorMacros = _preprocessorMacros, fastMathEnabled = _fastMathEnabled, mathMode = _mathMode;
@synthesize mathFloatingPointFunctions = _mathFloatingPointFunctions, languageVersion = _languageVersion;
@synthesize optimizationLevel = _optimizationLevel, libraryType = _libraryType;
@synthesize preserveInvariance = _preserveInvariance;

- (id)init {
  self = [super init];
  if (!self) return nil;
  _fastMathEnabled = YES;
  _mathMode = MTLMathModeFast;
  _languageVersion = MTLLanguageVersion3_1;
  return self;
}

- (void)dealloc {
  [_preprocessorMacros release];
  [super dealloc];
}

- (id)copyWithZone:(NSZone *)zone {
  (void)zone;
  MTLCompileOptions *copy = [[MTLCompileOptions alloc] init];
  [copy setPreprocessorMacros:_preprocessorMacros];
  [copy setFastMathEnabled:_fastMathEnabled];
  [copy setMathMode:_mathMode];
  [copy setMathFloatingPointFunctions:_mathFloatingPointFunctions];
  [copy setLanguageVersion:_languageVersion];
  [copy setOptimizationLevel:_optimizationLevel];
  [copy setLibraryType:_libraryType];
  [copy setPreserveInvariance:_preserveInvariance];
  return copy;
}

@end

@implementation MTLIndirectCommandBufferDescriptor
@synthesize commandTypes = _commandTypes, inheritPipelineState = _inheritPipelineState, inheritBuffers = _inheritBuffers;
@synthesize maxVertexBufferBindCount = _maxVertexBufferBindCount, maxFragmentBufferBindCount = _maxFragmentBufferBindCount;
@synthesize maxKernelBufferBindCount = _maxKernelBufferBindCount;
@synthesize maxKernelThreadgroupMemoryBindCount = _maxKernelThreadgroupMemoryBindCount;

- (id)init {
  self = [super init];
  if (self) _maxKernelThreadgroupMemoryBindCount = DriverMaxThreadgroupMemories;
  return self;
}

- (id)copyWithZone:(NSZone *)zone {
  (void)zone;
  MTLIndirectCommandBufferDescriptor *copy = [[MTLIndirectCommandBufferDescriptor alloc] init];
  [copy setCommandTypes:_commandTypes];
  [copy setInheritPipelineState:_inheritPipelineState];
  [copy setInheritBuffers:_inheritBuffers];
  [copy setMaxVertexBufferBindCount:_maxVertexBufferBindCount];
  [copy setMaxFragmentBufferBindCount:_maxFragmentBufferBindCount];
  [copy setMaxKernelBufferBindCount:_maxKernelBufferBindCount];
  [copy setMaxKernelThreadgroupMemoryBindCount:_maxKernelThreadgroupMemoryBindCount];
  return copy;
}

@end

@implementation MTLResidencySetDescriptor
@synthesize label = _label, initialCapacity = _initialCapacity;

- (void)dealloc {
  [_label release];
  [super dealloc];
}

- (id)copyWithZone:(NSZone *)zone {
  (void)zone;
  MTLResidencySetDescriptor *copy = [[MTLResidencySetDescriptor alloc] init];
  [copy setLabel:_label];
  [copy setInitialCapacity:_initialCapacity];
  return copy;
}

@end

@implementation MTLBinaryArchiveDescriptor
@synthesize url = _url;

- (void)dealloc {
  [_url release];
  [super dealloc];
}

- (id)copyWithZone:(NSZone *)zone {
  (void)zone;
  MTLBinaryArchiveDescriptor *copy = [[MTLBinaryArchiveDescriptor alloc] init];
  [copy setUrl:_url];
  return copy;
}

@end

@implementation MTLComputePipelineDescriptor
@synthesize label = _label, computeFunction = _computeFunction;
@synthesize threadGroupSizeIsMultipleOfThreadExecutionWidth = _threadGroupSizeIsMultipleOfThreadExecutionWidth;
@synthesize maxTotalThreadsPerThreadgroup = _maxTotalThreadsPerThreadgroup;
@synthesize supportIndirectCommandBuffers = _supportIndirectCommandBuffers, binaryArchives = _binaryArchives;

- (void)reset {
  [self setLabel:nil];
  [self setComputeFunction:nil];
  [self setThreadGroupSizeIsMultipleOfThreadExecutionWidth:NO];
  [self setMaxTotalThreadsPerThreadgroup:0];
  [self setSupportIndirectCommandBuffers:NO];
  [self setBinaryArchives:nil];
}

- (void)dealloc {
  [_label release];
  [_computeFunction release];
  [_binaryArchives release];
  [super dealloc];
}

- (id)copyWithZone:(NSZone *)zone {
  (void)zone;
  MTLComputePipelineDescriptor *copy = [[MTLComputePipelineDescriptor alloc] init];
  [copy setLabel:_label];
  [copy setComputeFunction:_computeFunction];
  [copy setThreadGroupSizeIsMultipleOfThreadExecutionWidth:_threadGroupSizeIsMultipleOfThreadExecutionWidth];
  [copy setMaxTotalThreadsPerThreadgroup:_maxTotalThreadsPerThreadgroup];
  [copy setSupportIndirectCommandBuffers:_supportIndirectCommandBuffers];
  [copy setBinaryArchives:_binaryArchives];
  return copy;
}

@end

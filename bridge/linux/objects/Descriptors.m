/*
 * Descriptors.m: the plain objects that carry options into the API. One thread at a time; copies are independent.
 */
#import <Metal/Metal.h>

@implementation MTLCompileOptions

@synthesize preprocessorMacros = _preprocessorMacros;
@synthesize fastMathEnabled = _fastMathEnabled;
@synthesize mathMode = _mathMode;
@synthesize mathFloatingPointFunctions = _mathFloatingPointFunctions;
@synthesize languageVersion = _languageVersion;
@synthesize optimizationLevel = _optimizationLevel;
@synthesize libraryType = _libraryType;
@synthesize preserveInvariance = _preserveInvariance;

- (instancetype)init {
  self = [super init];
  if (!self) return nil;
  _fastMathEnabled = YES;
  _mathMode = MTLMathModeFast;
  _languageVersion = MTLLanguageVersion3_0;
  return self;
}

- (void)dealloc {
  [_preprocessorMacros release];
  [super dealloc];
}

- (id)copyWithZone:(NSZone *)zone {
  MTLCompileOptions *copy = [[[self class] allocWithZone:zone] init];
  copy->_preprocessorMacros = [_preprocessorMacros copy];
  copy->_fastMathEnabled = _fastMathEnabled;
  copy->_mathMode = _mathMode;
  copy->_mathFloatingPointFunctions = _mathFloatingPointFunctions;
  copy->_languageVersion = _languageVersion;
  copy->_optimizationLevel = _optimizationLevel;
  copy->_libraryType = _libraryType;
  copy->_preserveInvariance = _preserveInvariance;
  return copy;
}

@end

@implementation MTLComputePipelineDescriptor

@synthesize label = _label;
@synthesize computeFunction = _computeFunction;
@synthesize threadGroupSizeIsMultipleOfThreadExecutionWidth = _threadGroupSizeIsMultipleOfThreadExecutionWidth;
@synthesize maxTotalThreadsPerThreadgroup = _maxTotalThreadsPerThreadgroup;

- (void)reset {
  [self setLabel:nil];
  [self setComputeFunction:nil];
  _threadGroupSizeIsMultipleOfThreadExecutionWidth = NO;
  _maxTotalThreadsPerThreadgroup = 0;
}

- (void)dealloc {
  [_label release];
  [_computeFunction release];
  [super dealloc];
}

- (id)copyWithZone:(NSZone *)zone {
  MTLComputePipelineDescriptor *copy = [[[self class] allocWithZone:zone] init];
  copy->_label = [_label copy];
  copy->_computeFunction = [_computeFunction retain];
  copy->_threadGroupSizeIsMultipleOfThreadExecutionWidth = _threadGroupSizeIsMultipleOfThreadExecutionWidth;
  copy->_maxTotalThreadsPerThreadgroup = _maxTotalThreadsPerThreadgroup;
  return copy;
}

@end

@implementation MTLComputePassDescriptor

@synthesize dispatchType = _dispatchType;

+ (MTLComputePassDescriptor *)computePassDescriptor {
  return [[[self alloc] init] autorelease];
}

- (id)copyWithZone:(NSZone *)zone {
  MTLComputePassDescriptor *copy = [[[self class] allocWithZone:zone] init];
  copy->_dispatchType = _dispatchType;
  return copy;
}

@end

@implementation MTLCommandBufferDescriptor

@synthesize retainedReferences = _retainedReferences;
@synthesize errorOptions = _errorOptions;

- (instancetype)init {
  self = [super init];
  if (self) _retainedReferences = YES;
  return self;
}

- (id)copyWithZone:(NSZone *)zone {
  MTLCommandBufferDescriptor *copy = [[[self class] allocWithZone:zone] init];
  copy->_retainedReferences = _retainedReferences;
  copy->_errorOptions = _errorOptions;
  return copy;
}

@end

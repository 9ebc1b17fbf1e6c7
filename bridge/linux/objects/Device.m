/* MTLDevice, and the two functions that find devices. */
#import "Indirect.h"

#import <Metal/LinuxChecks.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* So that sizes cannot overflow: a program has some hundred commands. */
enum { MostIndirectCommands = 1 << 20 };

static const Driver *const drivers[] = {&cpuDriver, &cudaDriver};

static NSArray *devices; /* of all drivers; lives as long as the process */

static void findDevices(void) {
  NSMutableArray *found = [[NSMutableArray alloc] init];
  for (size_t d = 0; d < sizeof drivers / sizeof *drivers; d++) {
    uint32_t count = drivers[d]->deviceCount();
    for (uint32_t i = 0; i < count; i++) {
      LinuxDevice *device = [[LinuxDevice alloc] initWithDriver:drivers[d] index:i];
      [found addObject:device];
      [device release];
    }
  }
  devices = found;
}

/* Settings that cannot be meant are a broken rule: to go on with other ones would test something else. */
static NSArray *allDevices(void) {
  for (size_t d = 0; d < sizeof drivers / sizeof *drivers; d++) {
    const char *problem = drivers[d]->problem();
    if (problem) MTLBreakRule(@"MTLDeviceSettings", @"%s", problem);
  }
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, findDevices);
  return devices;
}

/* The CPU, unless BUN_METAL_DEVICE is the name of another driver: then that one's first device. */
id<MTLDevice> MTLCreateSystemDefaultDevice(void) {
  NSArray *all = allDevices();
  const char *name = getenv("BUN_METAL_DEVICE");
  for (NSUInteger i = 0; name && i < [all count]; i++) {
    LinuxDevice *device = [all objectAtIndex:i];
    if (strcmp(device->driver->name, name) == 0) return [device retain];
  }
  return [all count] > 0 ? [[all objectAtIndex:0] retain] : nil;
}

NSArray<id<MTLDevice>> *MTLCopyAllDevices(void) {
  NSArray *all = allDevices();
  if ([all count] > 0 && !((LinuxDevice *)[all objectAtIndex:0])->properties.hasDeviceList) return nil;
  return [[NSArray alloc] initWithArray:all];
}

void MTLMemoryOfDevice(const void *object, double *available, double *total) {
  const LinuxDevice *device = (const LinuxDevice *)object;
  *available = *total = NAN;
  if (device->driver->memory) device->driver->memory(device->index, available, total);
}

@implementation LinuxDevice

- (id)initWithDriver:(const Driver *)aDriver index:(uint32_t)anIndex {
  self = [super init];
  if (!self) return nil;
  driver = aDriver;
  index = anIndex;
  driver->properties(index, &properties);
  MTLRemoveSelectors(properties.missing);
  return self;
}

- (NSString *)name {
  return [NSString stringWithUTF8String:properties.name];
}

- (uint64_t)registryID {
  return properties.registryID;
}

- (MTLArchitecture *)architecture {
  return [[[MTLArchitecture alloc] initWithName:properties.architecture] autorelease];
}

- (MTLSize)maxThreadsPerThreadgroup {
  const uint32_t *most = properties.maxThreadsPerThreadgroup;
  return MTLSizeMake(most[0], most[1], most[2]);
}

- (BOOL)isLowPower {
  return NO;
}

- (BOOL)isHeadless {
  return YES;
}

- (BOOL)isRemovable {
  return NO;
}

- (BOOL)hasUnifiedMemory {
  return properties.unifiedMemory ? YES : NO;
}

- (uint64_t)recommendedMaxWorkingSetSize {
  return properties.recommendedMaxWorkingSetSize;
}

- (MTLDeviceLocation)location {
  return MTLDeviceLocationBuiltIn;
}

- (NSUInteger)maxBufferLength {
  return properties.maxBufferLength;
}

- (NSUInteger)maxThreadgroupMemoryLength {
  return properties.maxThreadgroupMemoryLength;
}

- (NSUInteger)currentAllocatedSize {
  return atomic_load(&allocated);
}

- (MTLArgumentBuffersTier)argumentBuffersSupport {
  return MTLArgumentBuffersTier1;
}

- (BOOL)supportsFamily:(MTLGPUFamily)family {
  for (const uint16_t *at = properties.families; *at != 0; at++)
    if (*at == family) return YES;
  return NO;
}

/* ---- queues ------------------------------------------------------------------------------------------------------ */

- (id<MTLCommandQueue>)newCommandQueue {
  return [self newCommandQueueWithMaxCommandBufferCount:64];
}

- (id<MTLCommandQueue>)newCommandQueueWithMaxCommandBufferCount:(NSUInteger)most {
  if (most == 0) MTLBreakRule(@"MTLCommandBufferCount", @"a queue needs room for at least 1 command buffer");
  MTLSetReasonOfNil(NULL);
  return [[LinuxCommandQueue alloc] initWithDevice:self most:most];
}

/* ---- buffers ----------------------------------------------------------------------------------------------------- */

- (void)requireLength:(NSUInteger)length {
  if (length == 0) MTLBreakRule(@"MTLBufferLength", @"a buffer cannot have zero length");
  if (length > properties.maxBufferLength)
    MTLBreakRule(@"MTLBufferLength", @"buffer length %lu is over maxBufferLength %lu", length,
                 (unsigned long)properties.maxBufferLength);
}

- (void)requireOptions:(MTLResourceOptions)options {
  NSUInteger mode = storageModeOf(options);
  if (mode != MTLStorageModeShared && mode != MTLStorageModePrivate)
    MTLBreakRule(@"MTLStorageMode", @"storage mode %lu is not for buffers of this device: use Shared (0) or Private (2)",
                 mode);
  if ((options & ~(NSUInteger)0x3FF) || (options & 0xF) > 1 || (options & 0x300) == 0x300)
    MTLBreakRule(@"MTLResourceOptions", @"resource options 0x%lx have unknown bits", (unsigned long)options);
}

- (id<MTLBuffer>)newBufferWithLength:(NSUInteger)length options:(MTLResourceOptions)options {
  [self requireLength:length];
  [self requireOptions:options];
  return [[LinuxBuffer alloc] initWithDevice:self length:length options:options];
}

- (id<MTLBuffer>)newBufferWithBytes:(const void *)pointer
                             length:(NSUInteger)length
                            options:(MTLResourceOptions)options {
  if (!pointer) MTLBreakRule(@"MTLBufferBytes", @"a buffer cannot be made with a NULL pointer");
  [self requireLength:length];
  [self requireOptions:options];
  if (storageModeOf(options) == MTLStorageModePrivate)
    MTLBreakRule(@"MTLStorageMode", @"storage mode Private is incompatible with bytes: the CPU cannot write there");
  LinuxBuffer *buffer = [[LinuxBuffer alloc] initWithDevice:self length:length options:options];
  if (buffer) memcpy(buffer->memory->place.contents, pointer, length);
  return buffer;
}

- (id<MTLBuffer>)newBufferWithBytesNoCopy:(void *)pointer
                                   length:(NSUInteger)length
                                  options:(MTLResourceOptions)options
                              deallocator:(void (^)(void *pointer, NSUInteger length))deallocator {
  [self requireLength:length];
  [self requireOptions:options];
  NSUInteger page = (NSUInteger)sysconf(_SC_PAGESIZE);
  if (!pointer || (NSUInteger)pointer % page != 0)
    MTLBreakRule(@"MTLBufferNoCopy", @"pointer %p is not aligned to a page of %lu bytes", pointer, page);
  if (length % page != 0)
    MTLBreakRule(@"MTLBufferNoCopy", @"length %lu is not a multiple of a page of %lu bytes", length, page);
  if (storageModeOf(options) == MTLStorageModePrivate)
    MTLBreakRule(@"MTLBufferNoCopy", @"memory of the CPU cannot be Private");
  MTLSetReasonOfNil(NULL);
  if (properties.refused & DriverRefuseNoCopy) return nil;
  return [[LinuxBuffer alloc] initWithDevice:self
                                      memory:pointer
                                      length:length
                                     options:options
                                 deallocator:deallocator];
}

/* ---- libraries and pipelines --------------------------------------------------------------------------------------- */

- (id<MTLLibrary>)newDefaultLibrary {
  return nil; // a library's default is in an application's bundle, and there is none
}

/* MSL has no macros of its own but those of the options, which become lines before the first. +1. */
static NSString *newSourceWithMacros(NSString *source, NSDictionary *macros) {
  NSMutableString *text = [[NSMutableString alloc] init];
  for (NSString *name in macros) [text appendFormat:@"#define %@ %@\n", name, [macros objectForKey:name]];
  if ([macros count] > 0) [text appendString:@"#line 1\n"];
  [text appendString:source];
  return text;
}

- (id<MTLLibrary>)newLibraryWithSource:(NSString *)source
                               options:(MTLCompileOptions *)options
                                 error:(NSError **)error {
  if (!source) MTLBreakRule(@"MTLLibrarySource", @"a library cannot be made of a nil source");
  NSString *text = newSourceWithMacros(source, [options preprocessorMacros]);
  const char *bytes = [text UTF8String];
  char *message = NULL;
  size_t length = [text lengthOfBytesUsingEncoding:NSUTF8StringEncoding];
  DriverLibrary *library = driver->compile(index, bytes, length, "program_source", &message);
  [text release];
  if (!library) MTLSetError(error, MTLLibraryErrorDomain, MTLLibraryErrorCompileFailure, message);
  else if (message) MTLSetError(error, MTLLibraryErrorDomain, MTLLibraryErrorCompileWarning, message);
  free(message);
  return library ? [[LinuxLibrary alloc] initWithDevice:self library:library] : nil;
}

- (id<MTLLibrary>)newLibraryWithURL:(NSURL *)url error:(NSError **)error {
  const char *path = [[url path] UTF8String];
  if (!path) MTLBreakRule(@"MTLLibraryURL", @"a library cannot be loaded from a nil URL");
  if (access(path, F_OK) != 0) {
    MTLSetError(error, MTLLibraryErrorDomain, MTLLibraryErrorFileNotFound, "library not found");
    return nil;
  }
  char *message = NULL;
  DriverLibrary *library = driver->load(index, path, &message);
  if (!library) MTLSetError(error, MTLLibraryErrorDomain, MTLLibraryErrorUnsupported, message);
  free(message);
  return library ? [[LinuxLibrary alloc] initWithDevice:self library:library] : nil;
}

- (id<MTLLibrary>)newLibraryWithData:(dispatch_data_t)data error:(NSError **)error {
  if (!data) MTLBreakRule(@"MTLLibraryData", @"a library cannot be made of nil data");
  const void *bytes = NULL;
  size_t length = 0;
  dispatch_data_t whole = dispatch_data_create_map(data, &bytes, &length);
  char *message = NULL;
  DriverLibrary *library = driver->loadBytes(index, bytes, length, &message);
  dispatch_release(whole);
  if (!library) MTLSetError(error, MTLLibraryErrorDomain, MTLLibraryErrorUnsupported, message);
  free(message);
  return library ? [[LinuxLibrary alloc] initWithDevice:self library:library] : nil;
}

- (id<MTLComputePipelineState>)newComputePipelineStateWithFunction:(id<MTLFunction>)function error:(NSError **)error {
  return [self newComputePipelineStateWithFunction:function options:MTLPipelineOptionNone reflection:NULL error:error];
}

- (id<MTLComputePipelineState>)newComputePipelineStateWithFunction:(id<MTLFunction>)function
                                                           options:(MTLPipelineOption)options
                                                        reflection:(MTLAutoreleasedComputePipelineReflection *)reflection
                                                             error:(NSError **)error {
  MTLComputePipelineDescriptor *descriptor = [[[MTLComputePipelineDescriptor alloc] init] autorelease];
  [descriptor setComputeFunction:function];
  return [self newComputePipelineStateWithDescriptor:descriptor options:options reflection:reflection error:error];
}

- (bool)hasArchived:(MTLComputePipelineDescriptor *)descriptor {
  NSArray *archives = [descriptor binaryArchives];
  for (NSUInteger i = 0; i < [archives count]; i++)
    if ([(LinuxBinaryArchive *)[archives objectAtIndex:i] hasPipeline:descriptor]) return true;
  return false;
}

- (id<MTLComputePipelineState>)newComputePipelineStateWithDescriptor:(MTLComputePipelineDescriptor *)descriptor
                                                             options:(MTLPipelineOption)options
                                                          reflection:(MTLAutoreleasedComputePipelineReflection *)reflection
                                                               error:(NSError **)error {
  if (!descriptor) MTLBreakRule(@"MTLPipelineDescriptor", @"a pipeline cannot be made of a nil descriptor");
  LinuxFunction *function = (LinuxFunction *)[descriptor computeFunction];
  if (!function) MTLBreakRule(@"MTLPipelineFunction", @"a pipeline cannot be made of a nil function");
  if ([function device] != self) MTLBreakRule(@"MTLDeviceMismatch", @"the function is of another device");
  const DriverFunction *kernel = function->function;
  char message[256];
  const char *failure = NULL;
  uint32_t constants = 0;
  for (uint32_t i = 0; i < kernel->argumentCount; i++)
    constants += kernel->arguments[i].kind == DriverArgumentBuffer && kernel->arguments[i].constantSpace;
  if (kernel->staticThreadgroupMemoryLength > properties.maxThreadgroupMemoryLength) {
    failure = message;
    snprintf(message, sizeof message, "\"%s\" declares %u bytes of threadgroup memory, over the device's %u", kernel->name,
             kernel->staticThreadgroupMemoryLength, properties.maxThreadgroupMemoryLength);
  } else if (constants > properties.maxConstantBuffers) {
    failure = message;
    snprintf(message, sizeof message, "\"%s\" has %u constant buffers, the device's most are %u", kernel->name, constants,
             properties.maxConstantBuffers);
  } else if ([descriptor supportIndirectCommandBuffers] && !properties.indirectCommands) {
    failure = message;
    snprintf(message, sizeof message, "\"%s\" cannot be used with indirect command buffers: this device has none",
             kernel->name);
  } else if ([descriptor maxTotalThreadsPerThreadgroup] > properties.maxTotalThreadsPerThreadgroup) {
    failure = message;
    snprintf(message, sizeof message, "\"%s\" asks for more threads per threadgroup than the device's %u", kernel->name,
             properties.maxTotalThreadsPerThreadgroup);
  }
  if (failure) {
    MTLSetError(error, MTLLibraryErrorDomain, MTLLibraryErrorUnsupported, failure);
    return nil;
  }
  if ((options & MTLPipelineOptionFailOnBinaryArchiveMiss) && ![self hasArchived:descriptor]) {
    MTLSetError(error, MTLBinaryArchiveDomain, MTLBinaryArchiveErrorUnexpectedElement,
                "the pipeline is in none of the descriptor's binary archives");
    return nil;
  }
  uint32_t mostThreads = kernel->maxTotalThreadsPerThreadgroup;
  char *problem = NULL;
  if (driver->prepare && !driver->prepare(index, kernel, &mostThreads, &problem)) {
    MTLSetError(error, MTLLibraryErrorDomain, MTLLibraryErrorCompileFailure, problem);
    free(problem);
    return nil;
  }
  if (reflection && (options & MTLPipelineOptionBindingInfo))
    *reflection = [[[MTLComputePipelineReflection alloc] initWithFunction:kernel] autorelease];
  return [[LinuxPipelineState alloc] initWithFunction:function descriptor:descriptor mostThreads:mostThreads];
}

/* ---- indirect commands, residency, archives ------------------------------------------------------------------------ */

- (id<MTLIndirectCommandBuffer>)newIndirectCommandBufferWithDescriptor:(MTLIndirectCommandBufferDescriptor *)descriptor
                                                       maxCommandCount:(NSUInteger)count
                                                               options:(MTLResourceOptions)options {
  if (!descriptor) MTLBreakRule(@"MTLIndirectCommandBuffer", @"the descriptor is nil");
  if (!properties.indirectCommands)
    MTLBreakRule(@"MTLIndirectCommandBuffer", @"this device has no indirect command buffers for compute");
  const MTLIndirectCommandType dispatches =
      MTLIndirectCommandTypeConcurrentDispatch | MTLIndirectCommandTypeConcurrentDispatchThreads;
  if ([descriptor commandTypes] == 0 || ([descriptor commandTypes] & ~dispatches))
    MTLBreakRule(@"MTLIndirectCommandType", @"command types 0x%lx: this layer has dispatches, which cannot be mixed with draws",
                 (unsigned long)[descriptor commandTypes]);
  if (count == 0 || count > MostIndirectCommands)
    MTLBreakRule(@"MTLIndirectCommandBuffer", @"an indirect command buffer of %lu commands: 1 to %d are possible", count,
                 MostIndirectCommands);
  if ([descriptor maxKernelBufferBindCount] > DriverMaxBuffers)
    MTLBreakRule(@"MTLBufferIndex", @"maxKernelBufferBindCount %lu is over %d", [descriptor maxKernelBufferBindCount],
                 DriverMaxBuffers);
  if ([descriptor maxKernelThreadgroupMemoryBindCount] > DriverMaxThreadgroupMemories)
    MTLBreakRule(@"MTLThreadgroupMemoryIndex", @"maxKernelThreadgroupMemoryBindCount %lu is over %d",
                 [descriptor maxKernelThreadgroupMemoryBindCount], DriverMaxThreadgroupMemories);
  [self requireOptions:options];
  if (properties.refused & DriverRefuseIndirectCommands) return nil;
  return [[LinuxIndirectCommandBuffer alloc] initWithDevice:self descriptor:descriptor count:count options:options];
}

- (id<MTLResidencySet>)newResidencySetWithDescriptor:(MTLResidencySetDescriptor *)descriptor error:(NSError **)error {
  if (!descriptor) MTLBreakRule(@"MTLResidencySet", @"the descriptor is nil");
  if (!(properties.refused & DriverRefuseResidencySets))
    return [[LinuxResidencySet alloc] initWithDevice:self descriptor:descriptor];
  MTLSetError(error, MTLLibraryErrorDomain, MTLLibraryErrorUnsupported, "BUN_METAL_CPU_REFUSE has residency sets refused");
  return nil;
}

- (id<MTLBinaryArchive>)newBinaryArchiveWithDescriptor:(MTLBinaryArchiveDescriptor *)descriptor error:(NSError **)error {
  if (!descriptor) MTLBreakRule(@"MTLBinaryArchive", @"the descriptor is nil");
  if (!(properties.refused & DriverRefuseBinaryArchives))
    return [[LinuxBinaryArchive alloc] initWithDevice:self descriptor:descriptor error:error];
  MTLSetError(error, MTLBinaryArchiveDomain, MTLBinaryArchiveErrorInternalError,
              "BUN_METAL_CPU_REFUSE has binary archives refused");
  return nil;
}

@end

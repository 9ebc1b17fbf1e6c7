/*
 * Who keeps what alive: command buffers with unretained references, dropped command buffers, data of libraries, archives.
 */
#import "metal_fixture.h"

#include <unistd.h>

static const MTLSize one = {1, 1, 1};

/* An encoded command buffer that keeps nothing: `pipeline` runs one thread on `buffer`. */
static id<MTLCommandBuffer> encodeUnretained(id<MTLComputePipelineState> pipeline, id<MTLBuffer> buffer) {
  id<MTLCommandBuffer> commands = [queue commandBufferWithUnretainedReferences];
  CHECK(![commands retainedReferences]);
  id<MTLComputeCommandEncoder> encoder = [commands computeCommandEncoder];
  [encoder setComputePipelineState:pipeline];
  [encoder setBuffer:buffer offset:0 atIndex:0];
  [encoder dispatchThreads:one threadsPerThreadgroup:one];
  [encoder endEncoding];
  return commands;
}

static void checkBroken(id<MTLCommandBuffer> commands, const char *kind, const char *label) {
  [commands waitUntilCompleted];
  CHECK_NUMBER([commands status], MTLCommandBufferStatusError);
  CHECK([[[commands error] domain] isEqualToString:MTLCommandBufferErrorDomain]);
  CHECK_NUMBER([[commands error] code], MTLCommandBufferErrorInvalidResource);
  const char *text = [[[commands error] localizedDescription] UTF8String];
  CHECK(text && strstr(text, kind) && strstr(text, label));
}

static void unretainedReferencesThatLiveAreFine(void) {
  id<MTLComputePipelineState> addOne = newPipelineFor(@"add_one", NO);
  id<MTLBuffer> numbers = newBuffer(16);
  double before = MTLObjectsReleasedInUse();
  id<MTLCommandBuffer> commands = encodeUnretained(addOne, numbers);
  [commands commit];
  [commands waitUntilCompleted];
  CHECK_NUMBER([commands status], MTLCommandBufferStatusCompleted);
  CHECK_NUMBER(numberIn(numbers, 0), 1);
  [numbers release], [addOne release];
  CHECK_NUMBER(MTLObjectsReleasedInUse() - before, 0);
}

static void releasedBuffersAreTold(void) {
  id<MTLComputePipelineState> slow = newPipelineFor(@"slow", NO);
  double before = MTLObjectsReleasedInUse();
  void *memory = NULL;
  NSUInteger page = (NSUInteger)getpagesize();
  CHECK_NUMBER(posix_memalign(&memory, page, page), 0);
  memset(memory, 0, page);
  __block int freed = 0;
  id<MTLBuffer> buffer = [device newBufferWithBytesNoCopy:memory
                                                   length:page
                                                  options:0
                                              deallocator:^(void *pointer, NSUInteger length) {
                                                (void)length;
                                                freed += *(uint32_t *)pointer != 0; // the kernel wrote it before
                                              }];
  [buffer setLabel:@"activations"];
  id<MTLCommandBuffer> commands = encodeUnretained(slow, buffer);
  holdInFlight(commands);
  [commands commit];
  [buffer release]; // too early
  letRun();
  checkBroken(commands, "buffer", "\"activations\"");
  CHECK_NUMBER(freed, 1);
  CHECK_NUMBER(MTLObjectsReleasedInUse() - before, 1);
  [slow release];
  free(memory);
}

static void releasedPipelinesAreTold(void) {
  id<MTLComputePipelineState> slow = newPipelineFor(@"slow", NO);
  id<MTLBuffer> numbers = newBuffer(16);
  id<MTLCommandBuffer> commands = encodeUnretained(slow, numbers);
  [slow release]; // even before the commit
  [commands commit];
  checkBroken(commands, "pipeline state", "\"slow\"");
  CHECK(numberIn(numbers, 0) != 0);
  [numbers release];
}

static void releasedIndirectCommandsAreTold(void) {
  id<MTLComputePipelineState> slow = newPipelineFor(@"slow", YES);
  id<MTLBuffer> numbers = newBuffer(16);
  MTLIndirectCommandBufferDescriptor *descriptor = [[MTLIndirectCommandBufferDescriptor alloc] init];
  [descriptor setCommandTypes:MTLIndirectCommandTypeConcurrentDispatch];
  [descriptor setInheritBuffers:NO];
  [descriptor setInheritPipelineState:NO];
  [descriptor setMaxKernelBufferBindCount:1];
  id<MTLIndirectCommandBuffer> indirect = [device newIndirectCommandBufferWithDescriptor:descriptor
                                                                         maxCommandCount:1
                                                                                 options:0];
  [descriptor release];
  @autoreleasepool {
    id<MTLIndirectComputeCommand> command = [indirect indirectComputeCommandAtIndex:0];
    [command setComputePipelineState:slow];
    [command setKernelBuffer:numbers offset:0 atIndex:0];
    [command concurrentDispatchThreadgroups:one threadsPerThreadgroup:one];
  }
  [indirect setLabel:@"layers"];
  id<MTLCommandBuffer> commands = [queue commandBufferWithUnretainedReferences];
  id<MTLComputeCommandEncoder> encoder = [commands computeCommandEncoder];
  [encoder useResource:numbers usage:MTLResourceUsageWrite];
  [encoder executeCommandsInBuffer:indirect withRange:NSMakeRange(0, 1)];
  [encoder endEncoding];
  holdInFlight(commands);
  [commands commit];
  [indirect release];
  letRun();
  checkBroken(commands, "indirect command buffer", "\"layers\"");
  [numbers release], [slow release];
}

/* A residency set's buffers are the caller's to keep, as far as commands reach them through an indirect command buffer. */
static void droppedCommandBuffersUseNothing(void) {
  id<MTLComputePipelineState> addOne = newPipelineFor(@"add_one", NO);
  id<MTLBuffer> numbers = newBuffer(16);
  @autoreleasepool {
    encodeUnretained(addOne, numbers);
  }
  double before = MTLObjectsReleasedInUse();
  [numbers release], [addOne release];
  CHECK_NUMBER(MTLObjectsReleasedInUse() - before, 0);
}

static void enqueuedCommandBuffersThatAreDroppedGiveTheirPlaceUp(void) {
  id<MTLCommandQueue> own = [device newCommandQueueWithMaxCommandBufferCount:3];
  for (int round = 0; round < 8; round++) {
    @autoreleasepool {
      id<MTLCommandBuffer> first = nil, last = nil;
      @autoreleasepool {
        first = [[own commandBuffer] retain];
        id<MTLCommandBuffer> dropped = [own commandBuffer];
        last = [[own commandBuffer] retain];
        [first enqueue];
        CHECK_NUMBER([first status], MTLCommandBufferStatusEnqueued);
        CHECK_RAISES("MTLCommandBufferEnqueued", [first enqueue]);
        [dropped enqueue];
        [last commit];
        [first commit];
      }
      [last waitUntilCompleted]; // behind the dropped one
      [first waitUntilCompleted];
      [first release], [last release];
    }
  }
  @autoreleasepool {
    [[own commandBuffer] enqueue]; // alone in the list
  }
  [own release];
}

static NSURL *temporary(const char *name) {
  const char *directory = getenv("TMPDIR");
  return [NSURL fileURLWithPath:[NSString stringWithFormat:@"%s/bun-metal-%ld-%s", directory ? directory : "/tmp",
                                                           (long)getpid(), name]];
}

static void archivesKnowTheirPipelines(void) {
  id<MTLFunction> addOne = [library newFunctionWithName:@"add_one"], twice = [library newFunctionWithName:@"twice"];
  MTLBinaryArchiveDescriptor *empty = [[[MTLBinaryArchiveDescriptor alloc] init] autorelease];
  NSError *error = nil;
  id<MTLBinaryArchive> archive = [device newBinaryArchiveWithDescriptor:empty error:&error];
  MTLComputePipelineDescriptor *pipeline = [[[MTLComputePipelineDescriptor alloc] init] autorelease];
  CHECK_RAISES("MTLPipelineFunction", [archive addComputePipelineFunctionsWithDescriptor:pipeline error:&error]);
  [pipeline setComputeFunction:addOne];
  CHECK([archive addComputePipelineFunctionsWithDescriptor:pipeline error:&error]);
  CHECK([archive addComputePipelineFunctionsWithDescriptor:pipeline error:&error]);
  NSURL *file = temporary("archive");
  CHECK([archive serializeToURL:file error:&error]);
  CHECK(![archive serializeToURL:[NSURL fileURLWithPath:@"/nowhere/at/all"] error:&error]);
  CHECK([[error domain] isEqualToString:MTLBinaryArchiveDomain]);
  [archive release];

  MTLBinaryArchiveDescriptor *filled = [[[MTLBinaryArchiveDescriptor alloc] init] autorelease];
  [filled setUrl:file];
  archive = [device newBinaryArchiveWithDescriptor:filled error:&error];
  CHECK(archive != nil);
  [pipeline setBinaryArchives:[NSArray arrayWithObject:archive]];
  for (int known = 0; known < 2; known++) {
    [pipeline setComputeFunction:known ? addOne : twice];
    error = nil;
    id<MTLComputePipelineState> state =
        [device newComputePipelineStateWithDescriptor:pipeline
                                              options:MTLPipelineOptionFailOnBinaryArchiveMiss
                                           reflection:NULL
                                                error:&error];
    CHECK_NUMBER(state != nil, known);
    CHECK_NUMBER(error == nil, known);
    [state release];
  }
  [archive release];

  // Truncated, damaged, of another kind, absent: an error each, never a crash.
  const char *path = [[file path] UTF8String];
  char bytes[1024];
  FILE *in = fopen(path, "rb");
  size_t length = fread(bytes, 1, sizeof bytes, in);
  fclose(in);
  for (size_t kind = 0; kind < 4; kind++) {
    FILE *out = fopen(path, "wb");
    char changed[1024];
    memcpy(changed, bytes, length);
    if (kind == 1) changed[length - 1] ^= 1;
    if (kind == 2) changed[0] ^= 1;
    if (kind == 3) memset(changed + 16, 'x', 32); // another device
    fwrite(changed, 1, kind == 0 ? length / 2 : length, out);
    fclose(out);
    error = nil;
    CHECK([device newBinaryArchiveWithDescriptor:filled error:&error] == nil);
    CHECK([[error domain] isEqualToString:MTLBinaryArchiveDomain]);
    CHECK_NUMBER([error code], MTLBinaryArchiveErrorInvalidFile);
  }
  unlink(path);
  error = nil;
  CHECK([device newBinaryArchiveWithDescriptor:filled error:&error] == nil);
  CHECK_NUMBER([error code], MTLBinaryArchiveErrorInvalidFile);
  [addOne release], [twice release];
}

static void librariesMayComeFromMemory(void) {
  __block int freed = 0;
  static const char nothing[] = "not a library at all";
  dispatch_data_t data = dispatch_data_create(nothing, sizeof nothing, NULL, ^{
    freed++;
  });
  CHECK_NUMBER(dispatch_data_get_size(data), sizeof nothing);
  NSError *error = nil;
  CHECK([device newLibraryWithData:data error:&error] == nil);
  CHECK([[error domain] isEqualToString:MTLLibraryErrorDomain]);
  CHECK_NUMBER(freed, 0);
  dispatch_release(data);
  CHECK_NUMBER(freed, 1);
  char *copied = strdup("MTLB of Apple's, or what looks like it, long enough to have a signature behind it: none at all");
  data = dispatch_data_create(copied, strlen(copied), NULL, DISPATCH_DATA_DESTRUCTOR_DEFAULT);
  copied[0] = 'x';
  const void *bytes = NULL;
  size_t size = 0;
  dispatch_data_t map = dispatch_data_create_map(data, &bytes, &size);
  CHECK(memcmp(bytes, "MTLB", 4) == 0);
  CHECK_NUMBER(size, strlen(copied));
  dispatch_release(map);
  dispatch_release(data);
  data = dispatch_data_create(copied, strlen(copied), NULL, DISPATCH_DATA_DESTRUCTOR_FREE);
  dispatch_release(data);
  CHECK_RAISES("MTLLibraryData", [device newLibraryWithData:nil error:NULL]);

  // The shaders that ship, from memory: where this test runs from a build they lie beside it.
  char path[4096];
  ssize_t end = readlink("/proc/self/exe", path, sizeof path - 32);
  path[end > 0 ? end : 0] = 0;
  for (int up = 0; up < 2 && strrchr(path, '/'); up++) *strrchr(path, '/') = 0;
  const bool isCuda = strncmp([[[device architecture] name] UTF8String], "cuda", 4) == 0;
  strcat(path, isCuda ? "/../cuda/shaders.metallib" : "/shaders.metallib");
  FILE *file = fopen(path, "rb");
  if (!file) return;
  fseek(file, 0, SEEK_END);
  long length = ftell(file);
  rewind(file);
  void *content = malloc((size_t)length);
  CHECK_NUMBER(fread(content, 1, (size_t)length, file), length);
  fclose(file);
  data = dispatch_data_create(content, (size_t)length, NULL, DISPATCH_DATA_DESTRUCTOR_FREE);
  id<MTLLibrary> shaders = [device newLibraryWithData:data error:&error];
  dispatch_release(data); // the library needs it no more
  CHECK([[shaders functionNames] count] > 10);
  [shaders release];
}

int main(void) {
  @autoreleasepool {
    if (!openFixture()) return 1;
    RUN_CASE(unretainedReferencesThatLiveAreFine);
    RUN_CASE(releasedBuffersAreTold);
    RUN_CASE(releasedPipelinesAreTold);
    RUN_CASE(releasedIndirectCommandsAreTold);
    RUN_CASE(droppedCommandBuffersUseNothing);
    RUN_CASE(enqueuedCommandBuffersThatAreDroppedGiveTheirPlaceUp);
    RUN_CASE(archivesKnowTheirPipelines);
    RUN_CASE(librariesMayComeFromMemory);
    closeFixture();
  }
  return finishCases();
}

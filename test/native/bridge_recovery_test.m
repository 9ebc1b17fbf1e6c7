/*
 * What the bridge does where a device refuses or fails: methods of Metal's objects are replaced for a while by ones that
 * do.
 */
#import <Metal/Metal.h>
#include <unistd.h>

#include "bridge_fixture.h"

/* Of objc/runtime.h, which the headers of Metal for Linux cannot stand beside. */
typedef struct objc_method *Method;
extern Method class_getInstanceMethod(Class type, SEL selector);
extern void *method_setImplementation(Method method, void *implementation);

static bm_handle device, queue, library, increment;

/* ---- memory that is not wrapped ---------------------------------------------------------------------------------- */

static id refuseToWrap(id self, SEL selector, void *pointer, NSUInteger length, MTLResourceOptions options,
                       void (^deallocator)(void *, NSUInteger)) {
  (void)self, (void)selector, (void)pointer, (void)length, (void)options, (void)deallocator;
  return nil;
}

static void memoryThatIsNotWrappedIsCopiedFromFilesOnly(void) {
  char path[] = "/tmp/bun-metal-fault-XXXXXX";
  int file = mkstemp(path);
  enum { Length = 100003 };
  uint8_t *bytes = malloc(Length);
  for (int i = 0; i < Length; i++) bytes[i] = (uint8_t)(i * 31 + i / 256);
  CHECK(file >= 0 && write(file, bytes, Length) == Length);

  @autoreleasepool {
    id<MTLDevice> metal = MTLCreateSystemDefaultDevice();
    Method wrap = class_getInstanceMethod(object_getClass(metal),
                                          @selector(newBufferWithBytesNoCopy:length:options:deallocator:));
    void *original = method_setImplementation(wrap, (void *)refuseToWrap);
    bm_handle whole = bm_buffer_map(device, path, 0, 0);
    double page = (double)getpagesize();
    bm_handle part = bm_buffer_map(device, path, page, 7);
    CHECK_FAILS(bm_buffer_map(device, path, page, Length) == 0, BM_ERROR_RANGE, "lie outside");
    void *memory = NULL;
    CHECK(posix_memalign(&memory, (size_t)getpagesize(), (size_t)getpagesize()) == 0);
    CHECK_FAILS(bm_buffer_wrap(device, memory, page) == 0, BM_ERROR_MEMORY, "copy them into a new buffer");
    method_setImplementation(wrap, original);
    free(memory);

    CHECK_NUMBER(bm_buffer_length(whole), Length);
    CHECK_NUMBER(bm_buffer_length(part), 7);
    uint8_t *contents = bm_buffer_contents(whole);
    CHECK(contents && memcmp(contents, bytes, Length) == 0);
    CHECK(memcmp(bm_buffer_contents(part), bytes + getpagesize(), 7) == 0);
    contents[0] ^= 0xFF; // it does not reach the file
    uint8_t first = 0;
    CHECK(pread(file, &first, 1, 0) == 1 && first == bytes[0]);
    CHECK_OK(bm_release(whole));
    CHECK_OK(bm_release(part));
    [metal release];
  }
  free(bytes);
  close(file);
  unlink(path);
}

/* ---- a queue that has failed ------------------------------------------------------------------------------------- */

/* As Metal does it: the command buffer that fails takes its queue with it, for good. */
static atomic_bool failsNext;
static _Atomic(void *) failedQueue;
static atomic_uint queuesMade;
static void *originalStatus, *originalNewQueue;

static MTLCommandBufferStatus failingStatus(id<MTLCommandBuffer> self, SEL selector) {
  MTLCommandBufferStatus status = ((MTLCommandBufferStatus(*)(id, SEL))originalStatus)(self, selector);
  if (status != MTLCommandBufferStatusCompleted) return status;
  void *queueOfThis = [self commandQueue];
  if (atomic_exchange(&failsNext, false)) atomic_store(&failedQueue, queueOfThis);
  return queueOfThis == atomic_load(&failedQueue) ? MTLCommandBufferStatusError : status;
}

static id countedNewQueue(id self, SEL selector, NSUInteger most) {
  atomic_fetch_add(&queuesMade, 1);
  return ((id(*)(id, SEL, NSUInteger))originalNewQueue)(self, selector, most);
}

static void queueIsAsNewAfterAFailure(void) {
  @autoreleasepool {
    id<MTLDevice> metal = MTLCreateSystemDefaultDevice();
    id<MTLCommandQueue> some = [metal newCommandQueue];
    Method status = class_getInstanceMethod(object_getClass([some commandBuffer]), @selector(status));
    Method newQueue =
        class_getInstanceMethod(object_getClass(metal), @selector(newCommandQueueWithMaxCommandBufferCount:));
    originalStatus = method_setImplementation(status, (void *)failingStatus);
    originalNewQueue = method_setImplementation(newQueue, (void *)countedNewQueue);

    bm_handle buffer = bm_buffer_new(device, 4, BM_STORAGE_SHARED);
    uint32_t *value = bm_buffer_contents(buffer);
    Words words;
    startProgram(&words, 0);
    putIncrement(&words, increment, buffer, 1, 0, 1, 0);
    bm_handle program = makeProgram(device, &words);
    CHECK(program != 0);

    CHECK_OK(bm_program_run(queue, program, NULL, 0));
    CHECK_NUMBER(queuesMade, 0);
    atomic_store(&failsNext, true);
    CHECK_FAILS(bm_program_run(queue, program, NULL, 0) == BM_ERROR_EXECUTION, BM_ERROR_EXECUTION, "failed");
    CHECK_OK(bm_program_run(queue, program, NULL, 0));
    CHECK_NUMBER(queuesMade, 1);
    CHECK_OK(bm_program_run(queue, program, NULL, 0));
    CHECK_OK(bm_buffer_fill(queue, buffer, 0, 4, 0));
    CHECK_NUMBER(queuesMade, 1);
    CHECK_NUMBER(*value, 0);

    // Submissions that follow a failure closely may fail with it; once they are over, all is well.
    atomic_store(&failsNext, true);
    for (int i = 0; i < 20; i++) CHECK(bm_program_submit(queue, program, NULL, 0) != 0);
    CHECK_OK(bm_queue_wait(queue, 0));
    CHECK_OK(bm_program_run(queue, program, NULL, 0));
    CHECK(queuesMade >= 2);
    CHECK_NUMBER(*value, 21);

    method_setImplementation(status, originalStatus);
    method_setImplementation(newQueue, originalNewQueue);
    CHECK_OK(bm_release(program));
    CHECK_OK(bm_release(buffer));
    [some release];
    [metal release];
  }
}

int main(void) {
  device = openDevice();
  library = compileKernels(device);
  increment = bm_pipeline_new(library, "increment");
  queue = bm_queue_new(device, NULL);
  CHECK(library && increment && queue);
  RUN_CASE(memoryThatIsNotWrappedIsCopiedFromFilesOnly);
  RUN_CASE(queueIsAsNewAfterAFailure);
  CHECK_OK(bm_release(queue));
  CHECK_OK(bm_release(increment));
  CHECK_OK(bm_release(library));
  CHECK_OK(bm_release(device));
  return finishCases();
}

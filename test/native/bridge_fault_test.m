/*
 * Exceptions raised by each of Metal's methods that the bridge calls, one after the other, while work goes through the
 * C ABI: each has to become a status, and nothing may be left behind or wait for ever.
 */
#import <Metal/Metal.h>

#include "bridge_fixture.h"

/* The runtime's, which Foundation's headers for Linux do not declare. */
extern struct objc_method *class_getInstanceMethod(Class cls, SEL selector);
extern IMP method_setImplementation(struct objc_method *method, IMP implementation);

/* The method that raises, and how often it has. */
static const char *faultName;
static atomic_int faultCount;

static id raiseFault(id self, SEL selector, ...) {
  (void)self;
  (void)selector;
  atomic_fetch_add(&faultCount, 1);
  [NSException raise:@"MTLInjectedFault" format:@"in %s", faultName];
  return nil;
}

/* Shaders compiled once: only the faults of the compiler start it again. */
static bm_handle device, library;

/* A fault in the course of completion has no name: the submission just failed. */
static bool isFault(void) {
  if (bm_error_code() == BM_ERROR_VALIDATION) return strstr(lastMessage(), "MTLInjectedFault: in ") != NULL;
  return bm_error_code() == BM_ERROR_EXECUTION && strstr(lastMessage(), "raised an exception") != NULL;
}

/* What the fault was turned into; every other failure in the course of the work follows from a missing object. */
typedef struct Course {
  int faults;   /* calls that failed with the fault */
  int failures; /* all calls that failed */
} Course;

static void note(Course *course, bool isDone) {
  if (isDone) return;
  course->failures++;
  course->faults += isFault();
}

static atomic_int callbacks;

static void onCompleted(uint32_t ticket) {
  (void)ticket;
  atomic_fetch_add(&callbacks, 1);
}

static void transferBytes(Course *course, bm_handle queue, bm_handle shared, bm_handle hidden) {
  uint8_t bytes[64] = {7};
  note(course, bm_buffer_fill(queue, shared, 0, 64, 3) == BM_OK);
  note(course, bm_buffer_copy(queue, shared, 0, hidden, 0, 64) == BM_OK);
  note(course, bm_buffer_upload(queue, hidden, 1, bytes, 63) == BM_OK);
  note(course, bm_buffer_download(queue, hidden, 0, bytes, 64) == BM_OK);
}

static void runPrograms(Course *course, bm_handle pipeline, bm_handle queue, bm_handle shared) {
  Words words;
  startProgram(&words, 1);
  putFill(&words, shared, 0, 256, 0);
  putBarrier(&words);
  putIncrement(&words, pipeline, shared, 64, 0, 5, 0);
  putBarrier(&words);
  putIncrement(&words, pipeline, shared, 64, 1, 5, 0);
  bm_handle program = makeProgram(device, &words);
  note(course, program != 0);
  const uint32_t count = 64;
  note(course, bm_program_run(queue, program, &count, 1) == BM_OK);
  const uint32_t counts[] = {64, 32, 64};
  uint32_t ticket = bm_program_submit(queue, program, counts, 3);
  note(course, ticket != 0);
  if (ticket) note(course, bm_queue_wait(queue, ticket) == BM_OK);
  if (program) note(course, bm_release(program) == BM_OK);
}

/* Most of what the C ABI can do, once. */
static Course work(void) {
  Course course = {0};
  char text[256];
  double numbers[BM_DEVICE_NUMBER_COUNT];
  uint32_t count;
  note(&course, bm_device_count(&count) == BM_OK);
  note(&course, bm_device_text(device, BM_DEVICE_NAME, text, sizeof text) > 0);
  note(&course, bm_device_numbers(device, numbers, BM_DEVICE_NUMBER_COUNT) == BM_OK);
  note(&course, bm_library_functions(library, text, sizeof text) > 0);
  bm_handle pipeline = bm_pipeline_new(library, "increment");
  note(&course, pipeline != 0);
  bm_handle queue = bm_queue_new(device, onCompleted);
  note(&course, queue != 0);
  bm_handle shared = bm_buffer_new(device, 256, BM_STORAGE_SHARED);
  note(&course, shared != 0);
  bm_handle hidden = bm_buffer_new(device, 256, BM_STORAGE_PRIVATE);
  note(&course, hidden != 0);
  transferBytes(&course, queue, shared, hidden);
  runPrograms(&course, pipeline, queue, shared);
  const bm_handle all[] = {pipeline, queue, shared, hidden};
  for (int i = 0; i < 4; i++)
    if (all[i]) note(&course, bm_release(all[i]) == BM_OK);
  return course;
}

/* One method of one class. */
typedef struct Fault {
  const char *cls, *selector;
} Fault;

static Fault fault;

static void workIsDone(void) {
  int before = callbacks;
  CHECK_NUMBER(work().failures, 0);
  CHECK_NUMBER(callbacks - before, 1); // releasing the queue has waited for it
}

/* A thread of the device may take a moment to drop its last object. */
static void waitForQuiet(void) {
  Counts before, after = readCounts();
  do {
    before = after;
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    after = readCounts();
  } while (!sameCounts(&before, &after));
}

static void workSurvivesTheFault(void) {
  Class cls = objc_getClass(fault.cls);
  struct objc_method *method = class_getInstanceMethod(cls, sel_registerName(fault.selector));
  CHECK(method != NULL);
  if (!method) return;
  faultName = fault.selector;
  faultCount = 0;
  IMP original = method_setImplementation(method, raiseFault);
  Course course = work();
  method_setImplementation(method, original);
  CHECK(faultCount > 0);
  CHECK(course.failures > 0 && course.faults > 0);
  workIsDone();
}

/* The words of the first run are there, those of the second are not. */
static void aRunWithoutMemoryGivesBackThoseBefore(void) {
  bm_handle pipeline = bm_pipeline_new(library, "increment"), queue = bm_queue_new(device, NULL);
  bm_handle shared = bm_buffer_new(device, 256, BM_STORAGE_SHARED);
  Words words;
  startProgram(&words, 1);
  putIncrement(&words, pipeline, shared, 64, 0, 0, 1);
  bm_handle program = makeProgram(device, &words);
  const uint32_t by[] = {1, 10, 100};
  CHECK_OK(bm_program_run(queue, program, by, 1));
  faultName = "newBufferWithLength:options:";
  struct objc_method *method = class_getInstanceMethod(objc_getClass("LinuxDevice"), sel_registerName(faultName));
  IMP original = method_setImplementation(method, raiseFault);
  CHECK_FAILS(bm_program_submit(queue, program, by, 3) == 0, BM_ERROR_VALIDATION, "MTLInjectedFault: in newBufferWithLength");
  method_setImplementation(method, original);
  CHECK_NUMBER(*(uint32_t *)bm_buffer_contents(shared), 1);
  CHECK_NUMBER(bm_program_submit(queue, program, by, 3), 2);
  CHECK_OK(bm_queue_wait(queue, 0));
  CHECK_NUMBER(*(uint32_t *)bm_buffer_contents(shared), 112);
  const bm_handle all[] = {pipeline, queue, shared, program};
  for (int i = 0; i < 4; i++) CHECK_OK(bm_release(all[i]));
}

int main(void) {
  device = openDevice();
  library = compileKernels(device);
  workIsDone(); // whatever is made once, is made before the first count
  waitForQuiet();
  RUN_CASE(workIsDone);
  RUN_CASE(aRunWithoutMemoryGivesBackThoseBefore);
  static const Fault faults[] = {
      {"LinuxDevice", "name"},
      {"LinuxDevice", "newBufferWithLength:options:"},
      {"LinuxDevice", "maxBufferLength"},
      {"LinuxDevice", "newCommandQueueWithMaxCommandBufferCount:"},
      {"LinuxPipelineState", "maxTotalThreadsPerThreadgroup"},
      {"LinuxBinding", "isUsed"},
      {"LinuxBuffer", "contents"},
      {"LinuxCommandQueue", "addResidencySet:"},
      {"LinuxLibrary", "functionNames"},
      {"LinuxLibrary", "newFunctionWithName:"},
      {"LinuxFunction", "functionType"},
      {"LinuxDevice", "newIndirectCommandBufferWithDescriptor:maxCommandCount:options:"},
      {"LinuxCommandQueue", "commandBufferWithUnretainedReferences"},
      {"LinuxCommandBuffer", "blitCommandEncoder"},
      {"LinuxCommandBuffer", "addCompletedHandler:"},
      {"LinuxCommandBuffer", "commit"},
      {"LinuxCommandBuffer", "status"},
      {"LinuxBlitCommandEncoder", "fillBuffer:range:value:"},
      {"LinuxBlitCommandEncoder", "copyFromBuffer:sourceOffset:toBuffer:destinationOffset:size:"},
      {"LinuxComputeCommandEncoder", "setComputePipelineState:"},
      {"LinuxComputeCommandEncoder", "setBuffer:offset:atIndex:"},
      {"LinuxComputeCommandEncoder", "setBytes:length:atIndex:"},
      {"LinuxComputeCommandEncoder", "useResources:count:usage:"},
      {"LinuxComputeCommandEncoder", "executeCommandsInBuffer:withRange:"},
      {"LinuxIndirectComputeCommand", "setKernelBuffer:offset:atIndex:"},
      {"LinuxIndirectComputeCommand", "concurrentDispatchThreads:threadsPerThreadgroup:"},
      {"LinuxResidencySet", "addAllocation:"},
  };
  for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
    fault = faults[i];
    runCase(fault.selector, workSurvivesTheFault);
  }
  bm_release(library);
  bm_release(device);
  return finishCases();
}

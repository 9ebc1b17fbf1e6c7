/*
 * Command buffers without references of their own: the bridge keeps what they use until they are done, and the layer
 * below would tell if it did not.
 */
#import "handle.h"
#import "program.h"

#include "bridge_fixture.h"

/* Of Metal for Linux; on Apple, the validation layer tells instead. */
extern double MTLObjectsReleasedInUse(void) __attribute__((weak));

static bm_handle device, library, increment, spin;

static double releasedInUse(void) {
  return MTLObjectsReleasedInUse ? MTLObjectsReleasedInUse() : 0;
}

static const char spinSource[] =
    "#include <metal_stdlib>\n"
    "using namespace metal;\n"
    "kernel void spin(device uint *x [[buffer(0)]], uint i [[thread_position_in_grid]]) {\n"
    "  uint value = x[i];\n"
    "  for (uint round = 0; round < 50000000; round++) value = value * 1664525u + 1013904223u + (value >> 7);\n"
    "  x[i] = value;\n"
    "}\n";

/* A program of one dispatch over one thread. */
static bm_handle programOf(bm_handle pipeline, bm_handle buffer) {
  Words words;
  startProgram(&words, 0);
  if (pipeline == increment) {
    putIncrement(&words, pipeline, buffer, 1, 0, 1, 0);
    return makeProgram(device, &words);
  }
  startDispatch(&words, pipeline, BM_DISPATCH_THREADS, 1, 0, 1);
  put(&words, 1);
  putBinding(&words, 0, buffer, 0);
  put(&words, 0);
  put(&words, 0);
  endOperation(&words);
  return makeProgram(device, &words);
}

static void everythingIsKeptWhileItIsInFlight(void) {
  double before = releasedInUse();
  for (int round = 0; round < 50; round++) {
    bm_handle queue = bm_queue_new(device, NULL), buffer = bm_buffer_new(device, 4, BM_STORAGE_SHARED);
    bm_handle program = programOf(increment, buffer);
    uint32_t last = 0;
    for (int i = 0; i < 8; i++) last = bm_program_submit(queue, program, NULL, 0); // plain, then encoded commands
    CHECK_OK(bm_release(buffer));
    CHECK_OK(bm_release(program));
    CHECK_OK(bm_queue_wait(queue, last));
    CHECK_OK(bm_release(queue));
  }
  CHECK_NUMBER(releasedInUse(), before);
}

/* What the bridge must never do: a program that lets go of its objects while a submission is in flight. */
static void lettingGoTooEarlyIsNoticed(void) {
  if (!MTLObjectsReleasedInUse) return;
  double before = releasedInUse();
  bm_handle queue = bm_queue_new(device, NULL), buffer = bm_buffer_new(device, 4, BM_STORAGE_SHARED);
  bm_handle program = programOf(spin, buffer);
  uint32_t ticket = bm_program_submit(queue, program, NULL, 0);
  CHECK(ticket != 0);
  @autoreleasepool {
    BunMetalProgram *object = bridgeHandleRetain(program, BM_KIND_PROGRAM);
    CHECK_OK(bm_release(buffer));
    [object->objects removeAllObjects];
    [object release];
  }
  CHECK_FAILS(bm_queue_wait(queue, ticket) != BM_OK, BM_ERROR_EXECUTION, "failed");
  CHECK(releasedInUse() > before);
  CHECK_OK(bm_release(program));
  CHECK_OK(bm_release(queue));
}

int main(void) {
  // Without residency sets, which would keep a buffer that is let go of too early.
  device = bm_device_open(0, BM_FEATURE_RESIDENCY_SETS);
  library = compileKernels(device);
  increment = bm_pipeline_new(library, "increment");
  bm_handle own = bm_library_from_source(device, spinSource, sizeof spinSource - 1, "spin.metal");
  spin = bm_pipeline_new(own, "spin");
  CHECK(increment && spin);
  RUN_CASE(everythingIsKeptWhileItIsInFlight);
  RUN_CASE(lettingGoTooEarlyIsNoticed);
  const bm_handle all[] = {spin, own, increment, library, device};
  for (int i = 0; i < 5; i++) CHECK_OK(bm_release(all[i]));
  return finishCases();
}

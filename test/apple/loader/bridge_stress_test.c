/* Thousands of buffers, programs and submissions through the C ABI, from several threads; nothing may be left. */
#include "bridge_fixture.h"

#include <pthread.h>

enum { Threads = 4, BuffersOfThread = 1500, Rounds = 200, Kept = 64, Elements = 256 };

static bm_handle device, library, pipeline;

/* A window of live buffers that moves over thousands of them; each is written and read back through its own address. */
static void *makeBuffers(void *argument) {
  uint32_t seed = (uint32_t)(uintptr_t)argument * 2654435761u + 1;
  bm_handle kept[Kept] = {0};
  for (uint32_t i = 0; i < BuffersOfThread; i++) {
    seed = seed * 1664525u + 1013904223u;
    uint32_t length = seed % 4096 + 4;
    bm_handle *place = &kept[i % Kept];
    if (*place) CHECK_OK(bm_release(*place));
    *place = bm_buffer_new(device, length, BM_STORAGE_SHARED);
    uint8_t *bytes = bm_buffer_contents(*place);
    CHECK(bytes != NULL);
    if (!bytes) continue;
    CHECK(bytes[0] == 0 && bytes[length - 1] == 0);
    memset(bytes, (int)(i & 0xFF), length);
    CHECK_NUMBER(bm_buffer_length(*place), length);
  }
  for (int i = 0; i < Kept; i++) CHECK_OK(bm_release(kept[i]));
  return NULL;
}

static void onThreads(void *(*body)(void *)) {
  pthread_t threads[Threads];
  for (uintptr_t i = 0; i < Threads; i++) pthread_create(&threads[i], NULL, body, (void *)i);
  for (int i = 0; i < Threads; i++) pthread_join(threads[i], NULL);
}

static void buffersComeAndGoOnManyThreads(void) {
  onThreads(makeBuffers);
}

/* Each thread has a queue, and programs that are made, submitted and released while they run. */
static void *runPrograms(void *argument) {
  (void)argument;
  bm_handle queue = bm_queue_new(device, NULL);
  bm_handle buffer = bm_buffer_new(device, Elements * 4, BM_STORAGE_SHARED);
  for (uint32_t round = 0; round < Rounds; round++) {
    Words words;
    startProgram(&words, 1);
    putIncrement(&words, pipeline, buffer, Elements, 0, 0, 1);
    bm_handle program = makeProgram(device, &words);
    CHECK(program != 0);
    const uint32_t by = 3;
    uint32_t ticket = bm_program_submit(queue, program, &by, 1);
    CHECK(ticket != 0);
    CHECK_OK(bm_release(program));
    if (round % 16 == 0) CHECK_OK(bm_queue_wait(queue, ticket));
  }
  CHECK_OK(bm_queue_wait(queue, 0));
  const uint32_t *values = bm_buffer_contents(buffer);
  for (uint32_t i = 0; i < Elements; i++) CHECK(values[i] == Rounds * 3);
  CHECK_OK(bm_release(buffer));
  CHECK_OK(bm_release(queue));
  return NULL;
}

static void programsAreReleasedWhileTheyRun(void) {
  onThreads(runPrograms);
}

/* Failures of every kind, over and over. */
static void *fail(void *argument) {
  (void)argument;
  for (int i = 0; i < Rounds; i++) {
    if (i % 100 == 0) CHECK(bm_library_from_source(device, "nonsense(", 9, "nonsense.metal") == 0); // starts a compiler
    CHECK(bm_buffer_wrap(device, (void *)16, 4096) == 0);
    CHECK(bm_buffer_new(device, 1e15, BM_STORAGE_SHARED) == 0);
    CHECK(bm_pipeline_new(library, "no_such_function") == 0);
    CHECK(strlen(lastMessage()) > 0);
  }
  return NULL;
}

static void failuresLeaveNothing(void) {
  onThreads(fail);
}

int main(void) {
  device = openDevice();
  library = compileKernels(device);
  pipeline = bm_pipeline_new(library, "increment");
  CHECK(pipeline != 0);
  RUN_CASE(buffersComeAndGoOnManyThreads);
  RUN_CASE(programsAreReleasedWhileTheyRun);
  RUN_CASE(failuresLeaveNothing);
  bm_release(pipeline);
  bm_release(library);
  bm_release(device);
  return finishCases();
}

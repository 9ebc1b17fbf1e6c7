/* Submissions: tickets, callbacks, limits, releases while work is in flight, and four threads at everything at once. */
#include "bridge_fixture.h"

#include <pthread.h>

static bm_handle device, library, increment;

static atomic_uint callbacks, failedCallbacks, lastTicket;

static void count(uint32_t ticket) {
  if (ticket & BM_TICKET_FAILED) atomic_fetch_add(&failedCallbacks, 1);
  atomic_store(&lastTicket, ticket & ~BM_TICKET_FAILED);
  atomic_fetch_add(&callbacks, 1);
}

static bm_handle incrementProgram(bm_handle buffer, uint32_t elements) {
  Words words;
  startProgram(&words, 1);
  putIncrement(&words, increment, buffer, elements, 0, 0, 1);
  bm_handle program = makeProgram(device, &words);
  CHECK(program != 0);
  return program;
}

static uint32_t submitOrWait(bm_handle queue, bm_handle program, const uint32_t *words, uint32_t length) {
  for (;;) {
    uint32_t ticket = bm_program_submit(queue, program, words, length);
    if (ticket || bm_error_code() != BM_ERROR_BUSY) return ticket;
    nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
  }
}

static void ticketsRiseAndAreRemembered(void) {
  atomic_store(&callbacks, 0);
  bm_handle queue = bm_queue_new(device, count), x = bm_buffer_new(device, 256, 0), program = incrementProgram(x, 64);
  uint32_t one = 1, first = 0, last = 0;
  for (uint32_t i = 0; i < 600; i++) {
    uint32_t ticket = submitOrWait(queue, program, &one, 1);
    CHECK(ticket == last + 1);
    last = ticket;
    if (i == 0) first = ticket;
  }
  CHECK_OK(bm_queue_wait(queue, 0));
  CHECK_NUMBER(((uint32_t *)bm_buffer_contents(x))[63], 600);
  CHECK_OK(bm_queue_wait(queue, last));
  CHECK_OK(bm_queue_wait(queue, last - 255));
  CHECK_FAILS(bm_queue_wait(queue, last - 256) != BM_OK, BM_ERROR_RANGE, "last \"256\"");
  CHECK_FAILS(bm_queue_wait(queue, first) != BM_OK, BM_ERROR_RANGE, "last \"256\"");
  CHECK_FAILS(bm_queue_wait(queue, last + 1) != BM_OK, BM_ERROR_RANGE, "last \"256\"");
  CHECK_FAILS(bm_queue_wait(queue, last | BM_TICKET_FAILED) != BM_OK, BM_ERROR_RANGE, "last \"256\"");
  CHECK(bm_queue_gpu_seconds(queue, last) >= 0);
  CHECK_FAILS(isnan(bm_queue_gpu_seconds(queue, last + 1)), BM_ERROR_RANGE, "last \"256\"");
  CHECK_OK(bm_release(queue));
  CHECK_NUMBER(callbacks, 600);
  CHECK_NUMBER(lastTicket, last);
  CHECK_NUMBER(failedCallbacks, 0);
  bm_release(program);
  bm_release(x);
}

static struct {
  pthread_mutex_t lock;
  pthread_cond_t opened;
  bool isOpen;
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .opened = PTHREAD_COND_INITIALIZER};

/* A callback: nothing completes behind it until the gate is open, however fast the device is. */
static void waitAtGate(uint32_t ticket) {
  pthread_mutex_lock(&gate.lock);
  while (!gate.isOpen) pthread_cond_wait(&gate.opened, &gate.lock);
  pthread_mutex_unlock(&gate.lock);
  count(ticket);
}

static void *openGateSoon(void *unused) {
  nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
  pthread_mutex_lock(&gate.lock);
  gate.isOpen = true;
  pthread_cond_broadcast(&gate.opened);
  pthread_mutex_unlock(&gate.lock);
  return unused;
}

static void theSixtyFifthSubmissionIsBusy(void) {
  atomic_store(&callbacks, 0);
  bm_handle queue = bm_queue_new(device, waitAtGate), x = bm_buffer_new(device, 256, 0), program = incrementProgram(x, 64);
  uint32_t by = 1, accepted = 0;
  while (accepted < 4 * BM_MAX_IN_FLIGHT && bm_program_submit(queue, program, &by, 1)) accepted++;
  CHECK_FAILS(accepted >= BM_MAX_IN_FLIGHT, BM_ERROR_BUSY, "\"64\" submissions are in flight");
  CHECK(accepted <= BM_MAX_IN_FLIGHT + 1); // the first one may be over, and only its callback not
  CHECK(readCounts().statistics[BM_STATISTIC_IN_FLIGHT] >= BM_MAX_IN_FLIGHT - 1);
  pthread_t opener;
  CHECK(pthread_create(&opener, NULL, openGateSoon, NULL) == 0);
  CHECK_OK(bm_program_run(queue, program, &by, 1)); // blocks for room, then for itself
  CHECK_NUMBER(((uint32_t *)bm_buffer_contents(x))[63], accepted + 1);
  pthread_join(opener, NULL);
  CHECK_OK(bm_release(queue)); // blocks for what is left
  CHECK_NUMBER(callbacks, accepted);
  CHECK_NUMBER(readCounts().statistics[BM_STATISTIC_IN_FLIGHT], 0);
  bm_release(program);
  bm_release(x);
}

/* One ticket and one callback, however many runs; and slots that come back, all of them. */
static void aSubmissionMayBeSeveralRuns(void) {
  atomic_store(&callbacks, 0);
  bm_handle queue = bm_queue_new(device, count), x = bm_buffer_new(device, 256, 0), program = incrementProgram(x, 64);
  uint32_t by[BM_MAX_RUNS + 1], sum = 0;
  for (uint32_t i = 0; i <= BM_MAX_RUNS; i++) by[i] = i + 1;
  for (uint32_t runs = 1; runs <= BM_MAX_RUNS; runs++) {
    CHECK_NUMBER(submitOrWait(queue, program, by, runs), runs);
    sum += runs * (runs + 1) / 2;
  }
  CHECK_OK(bm_queue_wait(queue, 0));
  CHECK_NUMBER(((uint32_t *)bm_buffer_contents(x))[63], sum);
  CHECK_FAILS(bm_program_submit(queue, program, by, BM_MAX_RUNS + 1) == 0, BM_ERROR_ARGUMENT, "for \"65\" runs");
  CHECK_FAILS(bm_program_run(queue, program, by, 2) != BM_OK, BM_ERROR_ARGUMENT, "for \"2\" runs");
  double objects = readCounts().statistics[BM_STATISTIC_OBJECTS];
  for (int i = 0; i < 20; i++) {
    CHECK(submitOrWait(queue, program, by, BM_MAX_RUNS) != 0);
    CHECK_OK(bm_queue_wait(queue, 0));
  }
  CHECK_OK(bm_release(queue));
  CHECK_NUMBER(callbacks, BM_MAX_RUNS + 20);
  double after = readCounts().statistics[BM_STATISTIC_OBJECTS];
  for (int i = 0; i < 2000 && after > objects; i++) { // a thread of the device drops its last objects
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    after = readCounts().statistics[BM_STATISTIC_OBJECTS];
  }
  CHECK(after <= objects || isnan(objects));
  bm_release(program);
  bm_release(x);
}

static void everythingMayBeReleasedInFlight(void) {
  atomic_store(&callbacks, 0);
  bm_handle queue = bm_queue_new(device, count), result = bm_buffer_new(device, 4096 * 4, 0);
  uint32_t *seen = bm_buffer_contents(result), one = 1;
  enum { Rounds = 50 };
  for (uint32_t i = 0; i < Rounds; i++) {
    bm_handle x = bm_buffer_new(device, 4096 * 4, BM_STORAGE_SHARED);
    memset(bm_buffer_contents(x), 0, 4096 * 4);
    Words words;
    startProgram(&words, 1);
    putIncrement(&words, increment, x, 4096, 0, 0, 1);
    putBarrier(&words);
    putIncrement(&words, increment, result, 4096, 0, 0, 1);
    bm_handle program = makeProgram(device, &words);
    CHECK(submitOrWait(queue, program, &one, 1) != 0);
    CHECK_OK(bm_release(x));
    CHECK_OK(bm_release(program));
    CHECK_FAILS(bm_program_submit(queue, program, &one, 1) == 0, BM_ERROR_HANDLE, "was released");
  }
  CHECK_OK(bm_queue_wait(queue, 0));
  CHECK_NUMBER(seen[0], Rounds);
  CHECK_NUMBER(seen[4095], Rounds);
  CHECK_OK(bm_release(queue));
  CHECK_NUMBER(callbacks, Rounds);
  CHECK_OK(bm_release(result));
}

/* ---- callbacks that call back ------------------------------------------------------------------------------------ */

static bm_handle nestedQueue, nestedProgram;
static atomic_uint nestedWaitStatus, nestedRunStatus, nestedReleaseStatus, nestedTicket, nestedCalls;

static void callFromCallback(uint32_t ticket) {
  (void)ticket;
  if (atomic_fetch_add(&nestedCalls, 1) > 0) return;
  uint32_t one = 1;
  atomic_store(&nestedWaitStatus, bm_queue_wait(nestedQueue, 0));
  atomic_store(&nestedRunStatus, bm_program_run(nestedQueue, nestedProgram, &one, 1));
  atomic_store(&nestedReleaseStatus, bm_release(nestedQueue));
  atomic_store(&nestedTicket, bm_program_submit(nestedQueue, nestedProgram, &one, 1));
}

static void callbacksMaySubmitButNotWait(void) {
  bm_handle x = bm_buffer_new(device, 256, 0);
  nestedQueue = bm_queue_new(device, callFromCallback);
  nestedProgram = incrementProgram(x, 64);
  atomic_store(&nestedCalls, 0);
  CHECK(bm_program_submit(nestedQueue, nestedProgram, (uint32_t[]){1}, 1) != 0);
  while (atomic_load(&nestedCalls) < 2) nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
  CHECK_OK(bm_release(nestedQueue));
  CHECK_NUMBER(nestedWaitStatus, BM_ERROR_UNSUPPORTED);
  CHECK_NUMBER(nestedRunStatus, BM_ERROR_UNSUPPORTED);
  CHECK_NUMBER(nestedReleaseStatus, BM_ERROR_UNSUPPORTED);
  CHECK(nestedTicket != 0);
  CHECK_NUMBER(((uint32_t *)bm_buffer_contents(x))[0], 2);
  bm_release(nestedProgram);
  bm_release(x);
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

enum { ThreadCount = 4, ThreadRounds = 400 };

static void onThreads(void *(*body)(void *), void *argument) {
  pthread_t threads[ThreadCount];
  for (int i = 0; i < ThreadCount; i++) pthread_create(&threads[i], NULL, body, argument);
  for (int i = 0; i < ThreadCount; i++) pthread_join(threads[i], NULL);
}

typedef struct Shared {
  bm_handle queue, program, buffer;
  _Atomic bm_handle contested;
  atomic_uint released, uses;
} Shared;

static void *useEverything(void *argument) {
  Shared *shared = argument;
  uint32_t one = 1;
  for (uint32_t i = 0; i < ThreadRounds; i++) {
    bm_handle own = bm_buffer_new(device, 1 + i * 13 % 5000, i % 2);
    uint8_t bytes[16] = {0}, back[16] = {0};
    uint32_t length = (uint32_t)bm_buffer_length(own) < 16 ? (uint32_t)bm_buffer_length(own) : 16;
    memset(bytes, (int)i, length);
    CHECK_OK(bm_buffer_upload(shared->queue, own, 0, bytes, length));
    CHECK_OK(bm_buffer_download(shared->queue, own, 0, back, length));
    CHECK(memcmp(bytes, back, length) == 0);
    CHECK_OK(bm_program_run(shared->queue, shared->program, &one, 1));
    CHECK(submitOrWait(shared->queue, shared->program, &one, 1) != 0);
    CHECK_FAILS(bm_program_run(shared->queue, own, &one, 1) != BM_OK, BM_ERROR_HANDLE, "not a program");
    bm_handle program = incrementProgram(shared->buffer, 64);
    CHECK_OK(bm_release(own));
    CHECK_OK(bm_release(program));
    CHECK(bm_error_code() == BM_ERROR_HANDLE); // this thread's last failure, whatever the others do
  }
  return NULL;
}

static void fourThreadsShareAQueue(void) {
  atomic_store(&callbacks, 0);
  Shared shared = {.queue = bm_queue_new(device, count), .buffer = bm_buffer_new(device, 256, 0)};
  shared.program = incrementProgram(shared.buffer, 64);
  onThreads(useEverything, &shared);
  CHECK_OK(bm_queue_wait(shared.queue, 0));
  CHECK_NUMBER(((uint32_t *)bm_buffer_contents(shared.buffer))[0], 2 * ThreadCount * ThreadRounds);
  CHECK_OK(bm_release(shared.queue));
  CHECK_NUMBER(callbacks, ThreadCount * ThreadRounds);
  bm_release(shared.program);
  bm_release(shared.buffer);
}

/* All threads use one handle and release it: one release wins, no use of a freed object. */
static void *fightForAHandle(void *argument) {
  Shared *shared = argument;
  for (uint32_t i = 0; i < 20000; i++) {
    bm_handle handle = atomic_load(&shared->contested);
    double length = bm_buffer_length(handle);
    if (!isnan(length)) {
      CHECK_NUMBER(length, 64);
      atomic_fetch_add(&shared->uses, 1);
    }
    if (i % 3 == 0 && bm_release(handle) == BM_OK) {
      atomic_fetch_add(&shared->released, 1);
      atomic_store(&shared->contested, bm_buffer_new(device, 64, 0));
    }
  }
  return NULL;
}

static void fourThreadsFightForAHandle(void) {
  Shared shared = {.contested = bm_buffer_new(device, 64, 0)};
  onThreads(fightForAHandle, &shared);
  CHECK(shared.released > 0 && shared.uses > 0);
  CHECK_OK(bm_release(shared.contested));
}

/* Queues that are released while others submit to them: every accepted submission calls back before release returns. */
static void *submitUntilReleased(void *argument) {
  Shared *shared = argument;
  uint32_t one = 1;
  for (;;) {
    if (bm_program_submit(shared->queue, shared->program, &one, 1))
      atomic_fetch_add(&shared->uses, 1);
    else if (bm_error_code() == BM_ERROR_HANDLE)
      return NULL;
    if (bm_program_run(shared->queue, shared->program, &one, 1) == BM_ERROR_HANDLE) return NULL;
  }
}

static void queuesAreReleasedUnderFire(void) {
  for (int round = 0; round < 20; round++) {
    atomic_store(&callbacks, 0);
    Shared shared = {.queue = bm_queue_new(device, count), .buffer = bm_buffer_new(device, 256, 0)};
    shared.program = incrementProgram(shared.buffer, 64);
    pthread_t threads[ThreadCount];
    for (int i = 0; i < ThreadCount; i++) pthread_create(&threads[i], NULL, submitUntilReleased, &shared);
    nanosleep(&(struct timespec){.tv_nsec = 3000000}, NULL);
    CHECK_OK(bm_release(shared.queue));
    uint32_t atRelease = callbacks;
    for (int i = 0; i < ThreadCount; i++) pthread_join(threads[i], NULL);
    CHECK_NUMBER(callbacks, atRelease);
    CHECK_NUMBER(callbacks, shared.uses);
    bm_release(shared.program);
    bm_release(shared.buffer);
  }
}

/* ---- no growth --------------------------------------------------------------------------------------------------- */

static void runsMakeNoLastingObjects(void) {
  bm_handle queue = bm_queue_new(device, NULL), x = bm_buffer_new(device, 256, 0), program = incrementProgram(x, 64);
  uint32_t one = 1;
  // The second run may encode what the later ones use.
  for (int i = 0; i < 2; i++) CHECK_OK(bm_program_run(queue, program, &one, 1));
  double objects = readCounts().statistics[BM_STATISTIC_OBJECTS];
  struct timespec start, end;
  enum { Runs = 20000 };
  clock_gettime(CLOCK_MONOTONIC, &start);
  for (uint32_t i = 0; i < Runs; i++) CHECK_OK(bm_program_run(queue, program, &one, 1));
  clock_gettime(CLOCK_MONOTONIC, &end);
  double nanoseconds = (double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec);
  printf("     %.0f ns per run of one small dispatch\n", nanoseconds / Runs);
  double after = readCounts().statistics[BM_STATISTIC_OBJECTS];
  for (int i = 0; i < 2000 && after > objects; i++) { // the device's thread may still hold the last command buffer
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    after = readCounts().statistics[BM_STATISTIC_OBJECTS];
  }
  CHECK(after <= objects || isnan(objects));
  CHECK_NUMBER(((uint32_t *)bm_buffer_contents(x))[5], Runs + 2);
  bm_release(queue);
  bm_release(program);
  bm_release(x);
}

int main(void) {
  device = openDevice();
  library = compileKernels(device);
  increment = bm_pipeline_new(library, "increment");
  CHECK(increment != 0);
  RUN_CASE(ticketsRiseAndAreRemembered);
  RUN_CASE(theSixtyFifthSubmissionIsBusy);
  RUN_CASE(aSubmissionMayBeSeveralRuns);
  RUN_CASE(everythingMayBeReleasedInFlight);
  RUN_CASE(callbacksMaySubmitButNotWait);
  RUN_CASE(fourThreadsShareAQueue);
  RUN_CASE(fourThreadsFightForAHandle);
  RUN_CASE(queuesAreReleasedUnderFire);
  RUN_CASE(runsMakeNoLastingObjects);
  bm_release(increment);
  bm_release(library);
  bm_release(device);
  return finishCases();
}

/* streams.c: what is put on a stream runs when somebody waits for it, or, with a clock, looks when its time has come. */
#include "internal.h"

#include "clock.h"

#include <errno.h>
#include <time.h>

struct CUstream_st {
  Object object;
  unsigned number;
  Task *first, *last;
  uint64_t busyUntil; /* nanoseconds */
};

struct CUevent_st {
  Object object;
  CudaStream stream; /* on which it was recorded last */
  bool isPending;
  uint64_t time; /* at which the stream comes to it */
};

static FakeKernelFunction *onKernel;
static unsigned streams;

EXPORT void fakeOnKernel(FakeKernelFunction *function) { onKernel = function; }

CudaResult fakeKernelTask(Task *task, CudaKernel function, const unsigned grid[3], const unsigned block[3],
                          unsigned shared, void **parameters) {
  if (!fakeIs(function, KindFunction)) return fakeMisused("a launch of nonsense");
  if (!parameters || !parameters[0] || function->parameterBytes == 0) return fakeMisused("%s without its argument", function->name);
  const unsigned most[3] = {2147483647, 65535, 65535}, mostThreads[3] = {1024, 1024, 64};
  for (int i = 0; i < 3; i++)
    if (grid[i] == 0 || grid[i] > most[i] || block[i] == 0 || block[i] > mostThreads[i])
      return fakeMisused("%s with a grid of %u or a block of %u in dimension %d", function->name, grid[i], block[i], i);
  if (block[0] * block[1] * block[2] > (unsigned)function->most || shared > (unsigned)function->dynamicShared)
    return fakeMisused("%s with too many threads, or %u bytes of shared memory", function->name, shared);
  *task = (Task){.action = ActionKernel, .function = function, .shared = shared};
  memcpy(task->grid, grid, sizeof task->grid);
  memcpy(task->block, block, sizeof task->block);
  task->parameter = malloc(function->parameterBytes);
  memcpy(task->parameter, parameters[0], function->parameterBytes);
  return CudaSuccess;
}

static void *bytesAt(CudaAddress address, size_t length) {
  void *bytes = fakeBytes(address, length);
  return bytes ? bytes : (void *)(uintptr_t)address;
}

void fakeRun(const Task *task, unsigned stream) {
  if (task->action == ActionCopy) memmove(bytesAt(task->to, task->length), bytesAt(task->from, task->length), task->length);
  if (task->action == ActionFill) memset(bytesAt(task->to, task->length), task->value, task->length);
  if (task->action == ActionEvent) task->event->isPending = false;
  if (task->action != ActionKernel || !onKernel) return;
  FakeKernel kernel = {.name = task->function->name,
                       .parameter = task->parameter,
                       .size = task->function->parameterBytes,
                       .shared = task->shared,
                       .stream = stream,
                       .target = task->function->target,
                       .overlaps = task->function->overlaps};
  memcpy(kernel.grid, task->grid, sizeof kernel.grid);
  memcpy(kernel.block, task->block, sizeof kernel.block);
  const CudaResult result = onKernel(&kernel);
  if (result != CudaSuccess) fakeBreak(result);
}

CudaResult fakePut(CudaStream stream, const Task *task) {
  Task *copy = malloc(sizeof *copy);
  *copy = *task;
  copy->next = NULL;
  if (stream->last) stream->last->next = copy;
  else stream->first = copy;
  stream->last = copy;
  return CudaSuccess;
}

/* Runs what is on the stream, with an event up to that. */
static void drain(CudaStream stream, CudaEvent until) {
  while (stream->first && (!until || until->isPending)) {
    Task *task = stream->first;
    stream->first = task->next;
    if (!stream->first) stream->last = NULL;
    fakeRun(task, stream->number);
    free(task->parameter);
    free(task);
  }
}

void fakeBusy(CudaStream stream) {
  const char *microseconds = getenv("FAKE_CUDA_STEP_US");
  const uint64_t start = clockNanoseconds();
  if (stream->busyUntil < start) stream->busyUntil = start;
  if (microseconds) stream->busyUntil += 1000 * (uint64_t)strtoul(microseconds, NULL, 10);
}

EXPORT CudaResult cuStreamCreate(CudaStream *stream, unsigned flags) {
  CALL(true);
  NEED(flags == CudaStreamNonBlocking, "a stream that waits for the default one");
  *stream = fakeNew(KindStream, sizeof **stream);
  (*stream)->number = ++streams;
  RETURN(CudaSuccess);
}

EXPORT CudaResult cuStreamDestroy_v2(CudaStream stream) {
  CALL(false);
  NEED(fakeIs(stream, KindStream), "cuStreamDestroy of nonsense");
  drain(stream, NULL);
  fakeFree(stream);
  RETURN(CudaSuccess);
}

EXPORT CudaResult cuStreamSynchronize(CudaStream stream) {
  CALL(true);
  NEED(fakeIs(stream, KindStream), "cuStreamSynchronize of nonsense");
  drain(stream, NULL);
  RETURN(fakeBegin("cuCtxGetState", true));
}

EXPORT CudaResult cuEventCreate(CudaEvent *event, unsigned flags) {
  CALL(true);
  NEED(flags == CudaEventDefault || flags == CudaEventBlockingSync, "an event without a time");
  *event = fakeNew(KindEvent, sizeof **event);
  RETURN(CudaSuccess);
}

EXPORT CudaResult cuEventDestroy_v2(CudaEvent event) {
  CALL(false);
  NEED(fakeIs(event, KindEvent) && !event->isPending, "cuEventDestroy of nonsense, or of what is awaited");
  fakeFree(event);
  RETURN(CudaSuccess);
}

EXPORT CudaResult cuEventRecord(CudaEvent event, CudaStream stream) {
  CALL(true);
  NEED(fakeIs(event, KindEvent) && !event->isPending, "cuEventRecord of nonsense, or of what is awaited");
  NEED(fakeIs(stream, KindStream), "cuEventRecord on nonsense");
  const Task task = {.action = ActionEvent, .event = event};
  event->stream = stream;
  event->isPending = true;
  event->time = stream->busyUntil;
  RETURN(fakePut(stream, &task));
}

EXPORT CudaResult cuEventQuery(CudaEvent event) {
  CALL(true);
  NEED(fakeIs(event, KindEvent), "cuEventQuery of nonsense");
  const bool isOver = getenv("FAKE_CUDA_STEP_US") && clockNanoseconds() >= event->time;
  if (event->isPending && !isOver) RETURN(CudaErrorNotReady);
  if (event->isPending) drain(event->stream, event);
  RETURN(fakeBegin("cuCtxGetState", true));
}

EXPORT CudaResult cuEventSynchronize(CudaEvent event) {
  pthread_mutex_lock(&fakeLock);
  const uint64_t time = fakeIs(event, KindEvent) ? event->time : 0;
  pthread_mutex_unlock(&fakeLock);
  const struct timespec end = {.tv_sec = (time_t)(time / 1000000000u), .tv_nsec = (long)(time % 1000000000u)};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL) == EINTR) continue;
  CALL(true);
  NEED(fakeIs(event, KindEvent), "cuEventSynchronize of nonsense");
  if (event->isPending) drain(event->stream, event);
  RETURN(fakeBegin("cuCtxGetState", true));
}

EXPORT CudaResult cuEventElapsedTime(float *milliseconds, CudaEvent start, CudaEvent end) {
  CALL(true);
  NEED(fakeIs(start, KindEvent) && fakeIs(end, KindEvent), "cuEventElapsedTime of nonsense");
  if (start->isPending || end->isPending) RETURN(CudaErrorNotReady);
  *milliseconds = 0.25f;
  RETURN(CudaSuccess);
}

/* What is not pinned is copied at once: the real library goes through memory of its own. */
EXPORT CudaResult cuMemcpyAsync(CudaAddress to, CudaAddress from, size_t length, CudaStream stream) {
  CALL(true);
  NEED(fakeIs(stream, KindStream), "cuMemcpyAsync on nonsense");
  const CudaResult checked = fakeCheckCopy(to, from, length);
  if (checked != CudaSuccess) RETURN(checked);
  const Task task = {.action = ActionCopy, .to = to, .from = from, .length = length};
  if (!fakeIsPageable(to) && !fakeIsPageable(from)) RETURN(fakePut(stream, &task));
  drain(stream, NULL);
  fakeRun(&task, stream->number);
  RETURN(CudaSuccess);
}

EXPORT CudaResult cuMemsetD8Async(CudaAddress to, unsigned char value, size_t length, CudaStream stream) {
  CALL(true);
  NEED(length > 0 && fakeBytes(to, length), "cuMemsetD8Async outside of an allocation");
  NEED(fakeIs(stream, KindStream), "cuMemsetD8Async on nonsense");
  const Task task = {.action = ActionFill, .to = to, .length = length, .value = value};
  RETURN(fakePut(stream, &task));
}

EXPORT CudaResult cuLaunchKernel(CudaKernel function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX,
                                 unsigned blockY, unsigned blockZ, unsigned shared, CudaStream stream, void **parameters,
                                 void **extra) {
  CALL(true);
  NEED(!extra && fakeIs(stream, KindStream), "cuLaunchKernel with extras, or on nonsense");
  Task task;
  const unsigned grid[3] = {gridX, gridY, gridZ}, block[3] = {blockX, blockY, blockZ};
  const CudaResult checked = fakeKernelTask(&task, function, grid, block, shared, parameters);
  RETURN(checked == CudaSuccess ? fakePut(stream, &task) : checked);
}

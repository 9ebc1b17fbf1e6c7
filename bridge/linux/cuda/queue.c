/* queue.c: see queue.h. */
#include "queue.h"
#include "../clock.h"
#include "../msl/text.h"
#include "dispatch.h"
#include "graph.h"
#include "library.h"
#include "memory.h"
#include "native/direct.h"

#include <stdlib.h>
#include <string.h>

enum {
  BytesAlignment = 256,
  LookNanoseconds = 50000 /* about what it takes to fall asleep and to be woken */
};

/** What one command buffer takes; used again and again. */
typedef struct Work {
  struct Work *next;
  CudaEvent begin, end;
  CudaStaging staging; /* bytes of arguments */
} Work;

typedef struct Queue {
  CudaDevice *device;
  CudaStream stream;
  pthread_mutex_t lock;
  CudaNativeMemory native;
  Work *idle; /* as many as were ever started at once, less those that are */
} Queue;

/** Commands that are being started. */
typedef struct Run {
  Queue *queue;
  Work *work;
  size_t bytes; /* of arguments that have found their place */
  char **message;
} Run;

/* ---- queues -------------------------------------------------------------------------------------------------------- */

static void freeWork(Work *work) {
  const CudaApi *api = cudaApi();
  if (work->begin) api->EventDestroy(work->begin);
  if (work->end) api->EventDestroy(work->end);
  cudaStagingFree(&work->staging);
  free(work);
}

/* The device is entered. NULL with *message. */
static Work *takeWork(Queue *queue, char **message) {
  const CudaApi *api = cudaApi();
  pthread_mutex_lock(&queue->lock);
  Work *work = queue->idle;
  if (work) queue->idle = work->next;
  pthread_mutex_unlock(&queue->lock);
  if (work) return work;
  work = calloc(1, sizeof *work);
  if (!work) {
    *message = strdup("Out of memory");
    return NULL;
  }
  CudaResult result = api->EventCreate(&work->begin, CudaEventDefault);
  if (result == CudaSuccess) result = api->EventCreate(&work->end, CudaEventBlockingSync);
  if (result == CudaSuccess) return work;
  *message = cudaFailure(queue->device, result, "Cannot make an event");
  freeWork(work);
  return NULL;
}

static void giveWork(Queue *queue, Work *work) {
  pthread_mutex_lock(&queue->lock);
  work->next = queue->idle;
  queue->idle = work;
  pthread_mutex_unlock(&queue->lock);
}

void *cudaNewQueue(uint32_t index, char **message) {
  CudaDevice *device = cudaDevice(index);
  Queue *queue = calloc(1, sizeof *queue);
  *message = NULL;
  if (!queue || !cudaEnter(device, message)) {
    free(queue);
    return NULL;
  }
  queue->device = device;
  pthread_mutex_init(&queue->lock, NULL);
  const CudaResult result = cudaApi()->StreamCreate(&queue->stream, CudaStreamNonBlocking);
  if (result != CudaSuccess) *message = cudaFailure(device, result, "Cannot make a stream");
  cudaLeave();
  if (result == CudaSuccess) return queue;
  pthread_mutex_destroy(&queue->lock);
  free(queue);
  return NULL;
}

void cudaFreeQueue(void *pointer) {
  Queue *queue = pointer;
  const bool isEntered = cudaEnterToFree(queue->device);
  while (queue->idle) {
    Work *work = queue->idle;
    queue->idle = work->next;
    freeWork(work);
  }
  cudaNativeFreeMemory(&queue->native);
  cudaApi()->StreamDestroy(queue->stream);
  if (isEntered) cudaLeave();
  pthread_mutex_destroy(&queue->lock);
  free(queue);
}

/* ---- arguments that are bytes -------------------------------------------------------------------------------------- */

/* Whether the argument's bytes go with the launch, and not through staging. */
static bool travels(const DriverFunction *function, const DriverArgument *argument) {
  return ((const CudaFunction *)function->implementation)->constantOffsets[argument->index] != CudaNoOffset;
}

/* Gives the bytes of one dispatch their places; copies them there, if `into` is not NULL. Returns where the next ones go. */
static size_t stageBytes(const DriverCommand *command, unsigned char *into, size_t at) {
  if (command->kind != DriverCommandDispatch || command->dispatch.bytes == 0) return at;
  const DriverFunction *function = command->dispatch.function;
  for (uint32_t i = 0; i < function->argumentCount; i++) {
    const DriverArgument *argument = &function->arguments[i];
    if (!driverIsBytes(command, argument) || travels(function, argument)) continue;
    const uint64_t length = command->dispatch.bufferLengths[argument->index];
    if (into) memcpy(into + at, command->dispatch.buffers[argument->index], length);
    at = (at + length + BytesAlignment - 1) / BytesAlignment * BytesAlignment;
  }
  return at;
}

static size_t stageAll(const DriverCommand *commands, uint32_t count, unsigned char *into, size_t at) {
  for (uint32_t i = 0; i < count; i++) {
    const DriverCommand *command = &commands[i];
    if (command->kind == DriverCommandExecute && !command->execute.list)
      at = stageAll(command->execute.commands, command->execute.count, into, at);
    else
      at = stageBytes(command, into, at);
  }
  return at;
}

static bool bringBytes(Run *run, const DriverCommand *commands, uint32_t count) {
  const size_t length = stageAll(commands, count, NULL, 0);
  if (length == 0) return true;
  Queue *queue = run->queue;
  CudaStaging *staging = &run->work->staging;
  if (!cudaStagingReserve(queue->device, staging, length, run->message)) return false;
  stageAll(commands, count, staging->host, 0);
  const CudaResult result =
      cudaApi()->MemcpyAsync(staging->device, (uintptr_t)staging->host, length, queue->stream);
  if (result != CudaSuccess) *run->message = cudaFailure(queue->device, result, "Cannot copy %zu bytes of arguments", length);
  return result == CudaSuccess;
}

/* ---- running ------------------------------------------------------------------------------------------------------- */

/* Reads words from wherever they are, once all before has run. */
static bool readWords(Run *run, const uint32_t *from, uint32_t *words, uint32_t count) {
  Queue *queue = run->queue;
  CudaResult result =
      cudaApi()->MemcpyAsync((uintptr_t)words, (uintptr_t)from, count * sizeof *words, queue->stream);
  if (result == CudaSuccess) result = cudaApi()->StreamSynchronize(queue->stream);
  if (result != CudaSuccess)
    *run->message = cudaFailure(queue->device, result, "Cannot read what the size of indirect commands is");
  return result == CudaSuccess;
}

/* Reads a dispatch with all its arguments; those that are bytes are from `at` on. */
static bool readDispatch(const Run *run, const DriverCommand *command, size_t at, CudaDispatch *dispatch, char **message) {
  const DriverFunction *function = command->dispatch.function;
  if (!cudaDispatchRead(run->queue->device, command, dispatch, message)) return false;
  for (uint32_t i = 0; command->dispatch.bytes != 0 && i < function->argumentCount; i++) {
    const DriverArgument *argument = &function->arguments[i];
    if (!driverIsBytes(command, argument)) continue;
    if (cudaDispatchInline(dispatch, function, argument, command->dispatch.buffers[argument->index])) continue;
    dispatch->launch.buffers[argument->index] = run->work->staging.device + at;
    at += command->dispatch.bufferLengths[argument->index];
    at = (at + BytesAlignment - 1) / BytesAlignment * BytesAlignment;
  }
  return true;
}

static bool launch(Run *run, const DriverCommand *command) {
  Queue *queue = run->queue;
  /* Whether it runs or not, its bytes have their places. */
  const size_t at = run->bytes;
  run->bytes = stageBytes(command, NULL, at);
  if (cudaDispatchIsEmpty(command)) return true;
  CudaDispatch dispatch;
  if (!readDispatch(run, command, at, &dispatch, run->message)) return false;
  cudaDispatchNoteWrites(command);
  bool isTaken;
  if (!cudaNativeDispatch(queue->device, queue->stream, &queue->native, command, &dispatch, &isTaken, run->message))
    return false;
  return isTaken || (cudaDispatchGetKernel(command, &dispatch, run->message) &&
                     cudaDispatchLaunch(queue->device, queue->stream, command, &dispatch, run->message));
}

/** The grid of an indirect dispatch is what the buffer says when all before has run. A count of 0 means nothing to do. */
static bool runDispatch(Run *run, const DriverCommand *command) {
  if (!command->dispatch.indirectGroups) return launch(run, command);
  uint32_t groups[3];
  if (!readWords(run, command->dispatch.indirectGroups, groups, 3)) return false;
  DriverCommand direct = *command;
  direct.dispatch.indirectGroups = NULL;
  for (int i = 0; i < 3; i++)
    direct.dispatch.threads[i] = (uint64_t)groups[i] * command->dispatch.threadsPerThreadgroup[i];
  return launch(run, &direct);
}

static bool runCopy(Run *run, const DriverCommand *command) {
  cudaSharedWritten((uintptr_t)command->copy.destination);
  const CudaResult result =
      cudaApi()->MemcpyAsync((uintptr_t)command->copy.destination, (uintptr_t)command->copy.source,
                             command->copy.length, run->queue->stream);
  if (result != CudaSuccess)
    *run->message = cudaFailure(run->queue->device, result, "Cannot copy %llu bytes", (unsigned long long)command->copy.length);
  return result == CudaSuccess;
}

static bool runFill(Run *run, const DriverCommand *command) {
  cudaSharedWritten((uintptr_t)command->fill.destination);
  const CudaResult result = cudaApi()->MemsetD8Async((uintptr_t)command->fill.destination, command->fill.value,
                                                     command->fill.length, run->queue->stream);
  if (result != CudaSuccess)
    *run->message = cudaFailure(run->queue->device, result, "Cannot fill %llu bytes", (unsigned long long)command->fill.length);
  return result == CudaSuccess;
}

static bool runAll(Run *run, const DriverCommand *commands, uint32_t count);

static bool runExecute(Run *run, const DriverCommand *command) {
  DriverCommandList *list = command->execute.list;
  const uint32_t count = command->execute.count;
  const DriverCommand *commands = list ? list->commands + command->execute.first : command->execute.commands;
  if (command->execute.range) {
    uint32_t range[2];
    if (!readWords(run, command->execute.range, range, 2)) return false;
    if (range[0] > count || range[1] > count - range[0]) {
      *run->message = mslFormat("%u indirect commands from %u on are outside of %u", range[1], range[0], count);
      return false;
    }
    if (list) return runAll(run, commands + range[0], range[1]);
    /* The bytes of those that do not run have their places, too. */
    run->bytes = stageAll(commands, range[0], NULL, run->bytes);
    const bool ok = runAll(run, commands + range[0], range[1]);
    run->bytes = stageAll(commands + range[0] + range[1], count - range[0] - range[1], NULL, run->bytes);
    return ok;
  }
  if (!list || cudaChecksEach()) return runAll(run, commands, count);
  const CudaGraphOutcome outcome =
      cudaGraphRun(run->queue->device, run->queue->stream, list, command->execute.first, count, run->message);
  return outcome == CudaGraphDeclined ? runAll(run, commands, count) : outcome == CudaGraphStarted;
}

static bool runCommand(Run *run, const DriverCommand *command) {
  switch (command->kind) {
    case DriverCommandNone:
    case DriverCommandBarrier: return true; /* a stream is in order */
    case DriverCommandDispatch: return runDispatch(run, command);
    case DriverCommandCopy: return runCopy(run, command);
    case DriverCommandFill: return runFill(run, command);
    case DriverCommandExecute: return runExecute(run, command);
    /* A list is the CPU's, and what was started before has read it. */
    case DriverCommandResetList:
    case DriverCommandCopyList: driverListRun(command); return true;
  }
  return true;
}

/* Waits for a command, so that what it breaks is not laid on a later one. */
static bool check(Run *run, const DriverCommand *command) {
  if (command->kind == DriverCommandExecute) return true; /* its commands were checked */
  const CudaResult result = cudaApi()->StreamSynchronize(run->queue->stream);
  if (result == CudaSuccess) return true;
  *run->message = command->kind == DriverCommandDispatch
                      ? cudaDispatchFailure(run->queue->device, result, command, "The device failed in")
                      : cudaFailure(run->queue->device, result, "The device failed in a copy or a fill");
  return false;
}

static bool runAll(Run *run, const DriverCommand *commands, uint32_t count) {
  const bool checksEach = cudaChecksEach();
  for (uint32_t i = 0; i < count; i++) {
    if (!runCommand(run, &commands[i])) return false;
    if (checksEach && !check(run, &commands[i])) return false;
  }
  return true;
}

/* Native kernels that nobody has used yet are compiled side by side, and not each when its turn comes. What fails here fails
 * again then. */
static void foresee(const Run *run, const DriverCommand *commands, uint32_t count) {
  size_t at = 0;
  for (uint32_t i = 0; i < count; i++) {
    const DriverCommand *command = &commands[i];
    if (command->kind == DriverCommandExecute) return;
    const size_t next = stageBytes(command, NULL, at);
    CudaDispatch dispatch;
    char *message = NULL;
    if (command->kind == DriverCommandDispatch && !command->dispatch.indirectGroups && !cudaDispatchIsEmpty(command) &&
        readDispatch(run, command, at, &dispatch, &message))
      cudaNativeForesee(run->queue->device, command, &dispatch);
    free(message);
    at = next;
  }
}

/* ---- starting and finishing ---------------------------------------------------------------------------------------- */

void *cudaStart(void *pointer, const DriverCommand *commands, uint32_t count, char **message) {
  Queue *queue = pointer;
  const CudaApi *api = cudaApi();
  *message = NULL;
  if (!cudaEnter(queue->device, message)) return NULL;
  Work *work = takeWork(queue, message);
  if (work) {
    Run run = {.queue = queue, .work = work, .message = message};
    CudaResult result = api->EventRecord(work->begin, queue->stream);
    bool ok = result == CudaSuccess && bringBytes(&run, commands, count);
    if (ok && count > 1) foresee(&run, commands, count);
    ok = ok && runAll(&run, commands, count);
    if (ok) result = api->EventRecord(work->end, queue->stream);
    if (result != CudaSuccess) *message = cudaFailure(queue->device, result, "Cannot record an event");
    if (!ok || result != CudaSuccess) {
      /* What has been started uses memory that goes now. */
      api->StreamSynchronize(queue->stream);
      giveWork(queue, work);
      work = NULL;
    }
  }
  cudaLeave();
  return work;
}

/* Looks for a while, so that the end of short work is known at once, and then lets the processor go. */
static CudaResult waitFor(CudaEvent event) {
  const CudaApi *api = cudaApi();
  const uint64_t end = clockNanoseconds() + LookNanoseconds;
  CudaResult result;
  do result = api->EventQuery(event);
  while (result == CudaErrorNotReady && clockNanoseconds() < end);
  return result == CudaErrorNotReady ? api->EventSynchronize(event) : result;
}

bool cudaFinish(void *pointer, void *started, double *seconds, char **message) {
  Queue *queue = pointer;
  Work *work = started;
  const CudaApi *api = cudaApi();
  float milliseconds = 0;
  *seconds = 0;
  *message = NULL;
  const bool isEntered = cudaEnter(queue->device, message);
  CudaResult result = CudaSuccess;
  if (isEntered) {
    result = waitFor(work->end);
    if (result != CudaSuccess) {
      *message = cudaFailure(queue->device, result, "The device failed while it ran commands%s",
                             cudaChecksEach() ? "" : ", of which BUN_METAL_CUDA_CHECK=sync tells the one");
      api->StreamSynchronize(queue->stream); /* nothing that is still running may lose its memory */
    } else if (api->EventElapsedTime(&milliseconds, work->begin, work->end) == CudaSuccess) {
      *seconds = (double)milliseconds * 1e-3;
    }
    cudaLeave();
  }
  giveWork(queue, work);
  return isEntered && result == CudaSuccess;
}

/* dispatch.c: see dispatch.h. */
#include "dispatch.h"
#include "check.h"
#include "fiber.h"
#include "pool.h"
#include "../clock.h"
#include "../msl/text.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

typedef struct Dispatch {
  const DriverCommand *command;
  uint32_t groups[3];
  uint32_t *order; /* of the threadgroups, where it is shuffled */
  _Atomic(const char *) error;
} Dispatch;

static void prepare(CpuLaunch *launch, const Dispatch *d) {
  const DriverCommand *c = d->command;
  for (uint32_t i = 0; i < c->dispatch.function->argumentCount; i++) {
    const DriverArgument *a = &c->dispatch.function->arguments[i];
    if (a->kind == DriverArgumentBuffer) launch->buffers[a->index] = (uint64_t)c->dispatch.buffers[a->index];
  }
  for (int k = 0; k < 3; k++) {
    launch->grid[k] = (uint32_t)c->dispatch.threads[k];
    launch->groups[k] = d->groups[k];
    launch->requested[k] = c->dispatch.threadsPerThreadgroup[k];
  }
}

static bool runGroups(void *context, uint64_t from, uint64_t to) {
  Dispatch *d = context;
  const DriverFunction *function = d->command->dispatch.function;
  CpuWorker *worker = cpuWorkerOfThread();
  const char *error = NULL;
  if (!worker) {
    error = "there is no memory for a thread that runs it";
  } else {
    CpuLaunch *launch = cpuWorkerLaunch(worker);
    prepare(launch, d);
    if (!cpuWorkerPlaceMemory(worker, function, d->command->dispatch.threadgroupLengths))
      error = "it uses more than 32768 bytes of threadgroup memory";
    for (uint64_t i = from; i < to && !error; i++) {
      const uint64_t index = d->order ? d->order[i] : i;
      const uint64_t row = index / d->groups[0];
      launch->position[0] = (uint32_t)(index - row * d->groups[0]);
      launch->position[2] = (uint32_t)(row / d->groups[1]);
      launch->position[1] = (uint32_t)(row - (uint64_t)launch->position[2] * d->groups[1]);
      for (int k = 0; k < 3; k++) {
        const uint64_t left = d->command->dispatch.threads[k] - (uint64_t)launch->position[k] * launch->requested[k];
        launch->size[k] = left < launch->requested[k] ? (uint32_t)left : launch->requested[k];
      }
      error = cpuWorkerRun(worker, function->implementation);
    }
    if (!error && !cpuWorkerStacksHold(worker))
      error = "the variables of its threads do not fit on stacks of 32768 bytes";
  }
  if (!error) return true;
  atomic_store(&d->error, error);
  return false;
}

bool cpuDispatch(const DriverCommand *command, char **message) {
  Dispatch d = {.command = command};
  atomic_init(&d.error, NULL);
  uint64_t count = 1;
  for (int k = 0; k < 3; k++) {
    const uint32_t size = command->dispatch.threadsPerThreadgroup[k];
    if (command->dispatch.threads[k] == 0 || size == 0) return true;
    d.groups[k] = (uint32_t)((command->dispatch.threads[k] + size - 1) / size);
    if (command->dispatch.threads[k] > UINT32_MAX || count > (uint64_t)1 << 40) {
      *message = mslFormat("The grid of kernel '%s' is too large", command->dispatch.function->name);
      return false;
    }
    count *= d.groups[k];
  }
  if (cpuChecks() & CpuCheckShuffle && count > 1 && count <= UINT32_MAX) {
    d.order = malloc(count * sizeof *d.order);
    if (d.order) cpuCheckShuffled(d.order, (uint32_t)count);
  }

  /* The first threadgroups tell what the rest will take. */
  uint64_t done = 0, taken = 0;
  const uint64_t start = clockNanoseconds(), threads = cpuPoolWidth();
  const uint64_t worth = cpuPoolWorth();
  bool shared = false;
  for (uint64_t batch = 1; done < count && !atomic_load_explicit(&d.error, memory_order_relaxed); batch *= 2) {
    const uint64_t to = count - done < batch ? count : done + batch;
    if (!runGroups(&d, done, to)) break;
    done = to;
    taken = clockNanoseconds() - start;
    if (threads > 1 && count - done > 1 && taken * (count - done) / done > worth) {
      shared = true;
      break;
    }
  }
  if (shared) cpuPoolRun(runGroups, &d, done, count, (float)taken / (float)done);
  free(d.order);
  const char *error = atomic_load(&d.error);
  if (error) *message = mslFormat("Kernel '%s' failed: %s", command->dispatch.function->name, error);
  return !error;
}

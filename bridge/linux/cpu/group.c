/* group.c: see group.h. */
#include "group.h"
#include "check.h"
#include "dispatch.h"
#include "library.h"
#include "native/native.h"
#include "native/thread.h"
#include "pool.h"

#include <stdatomic.h>
#include <string.h>

enum {
  MostParts = 16, /* dispatches that share a fork and join */
  Alignment = 64
};

/** A dispatch that a native kernel runs. */
typedef struct Part {
  const NativeKernel *kernel;
  NativePlan plan;
  NativeRun run; /* but for the thread */
} Part;

typedef struct Group {
  Part parts[MostParts];
  uint32_t count;
  uint32_t phase;
  uint64_t ends[MostParts]; /* of each part's pieces in this phase, all parts' in a row */
  uint64_t threadBytes;
  atomic_bool isOutOfMemory;
} Group;

static _Atomic uint64_t groups;

static bool runPieces(void *context, uint64_t from, uint64_t to) {
  Group *group = context;
  NativeThread *thread = nativeThread(group->threadBytes);
  if (!thread) {
    atomic_store(&group->isOutOfMemory, true);
    return false;
  }
  uint64_t start = 0;
  for (uint32_t i = 0; i < group->count && from < to; start = group->ends[i++]) {
    if (from >= group->ends[i]) continue;
    const uint64_t end = to < group->ends[i] ? to : group->ends[i];
    NativeRun run = group->parts[i].run;
    run.thread = thread;
    group->parts[i].kernel->run(&run, group->phase, (uint32_t)(from - start), (uint32_t)(end - start));
    from = end;
  }
  return true;
}

static void runPhase(Group *group) {
  uint64_t pieces = 0;
  float nanoseconds = 0;
  for (uint32_t i = 0; i < group->count; i++) {
    const NativePlan *plan = &group->parts[i].plan;
    const NativePhase none = {0}, *phase = group->phase < plan->phaseCount ? &plan->phases[group->phase] : &none;
    pieces += phase->pieces;
    nanoseconds += (float)phase->pieces * phase->nanoseconds;
    group->ends[i] = pieces;
  }
  if (pieces == 0) return;
  if (nanoseconds < (float)cpuPoolWorth()) {
    runPieces(group, 0, pieces);
    return;
  }
  cpuPoolRun(runPieces, group, 0, pieces, nanoseconds / (float)pieces);
}

/** The first part that prepares what this one would: itself, if there is no other. */
static uint32_t preparedBy(const Group *group, uint32_t part) {
  const Part *p = &group->parts[part];
  uint32_t i = 0;
  while (i < part && !nativePreparesAlike(group->parts[i].kernel, &group->parts[i].plan, p->kernel, &p->plan)) i++;
  return i;
}

/** Shared memory of a part that nothing else prepares. */
static uint64_t ownBytes(const Group *group, uint32_t part) {
  return preparedBy(group, part) < part ? 0 : (group->parts[part].plan.sharedBytes + Alignment - 1) / Alignment * Alignment;
}

static bool runParts(Group *group, char **message) {
  uint64_t shared = 0;
  uint32_t phases = 0;
  const uint64_t id = atomic_fetch_add(&groups, 1) + 1;
  for (uint32_t i = 0; i < group->count; i++) {
    const NativePlan *plan = &group->parts[i].plan;
    shared += ownBytes(group, i);
    if (plan->threadBytes > group->threadBytes) group->threadBytes = plan->threadBytes;
    if (plan->phaseCount > phases) phases = plan->phaseCount;
  }
  char *memory = nativeSharedMemory(shared);
  if (memory && (cpuChecks() & CpuCheckPoison)) memset(memory, 0xff, shared);
  for (uint32_t i = 0; memory && i < group->count; i++) {
    Part *part = &group->parts[i];
    part->run = (NativeRun){.command = part->run.command, .plan = &part->plan, .shared = memory, .group = id};
    memory += ownBytes(group, i);
    const uint32_t other = preparedBy(group, i);
    if (other == i) continue;
    part->run.shared = group->parts[other].run.shared;
    part->plan.phases[0].pieces = 0;
  }
  atomic_init(&group->isOutOfMemory, memory == NULL);
  for (group->phase = 0; group->phase < phases && !atomic_load(&group->isOutOfMemory); group->phase++) runPhase(group);
  group->count = 0;
  group->threadBytes = 0;
  if (!atomic_load(&group->isOutOfMemory)) return true;
  *message = strdup("There is no memory for what native kernels keep while they run");
  return false;
}

/** Makes the dispatch a part of the group, if a native kernel can run it. */
static bool addPart(Group *group, const DriverCommand *command) {
  const CpuFunction *function = command->dispatch.function->implementation;
  Part *part = &group->parts[group->count];
  for (int i = 0; i < NativeMaxKernels && function->native[i]; i++) {
    part->kernel = function->native[i];
    part->plan = (NativePlan){.width = cpuPoolWidth()};
    if (!part->kernel->plan(command, &part->plan)) continue;
    part->run.command = command;
    group->count++;
    return true;
  }
  return false;
}

static bool isEmpty(const DriverCommand *command) {
  for (int i = 0; i < 3; i++)
    if (command->dispatch.threads[i] == 0 || command->dispatch.threadsPerThreadgroup[i] == 0) return true;
  return false;
}

/** The grid of an indirect dispatch is what the buffer says now. A count of 0 means nothing to do. */
static bool runIndirect(const DriverCommand *command, char **message) {
  DriverCommand direct = *command;
  direct.dispatch.indirectGroups = NULL;
  for (int i = 0; i < 3; i++)
    direct.dispatch.threads[i] =
        (uint64_t)command->dispatch.indirectGroups[i] * command->dispatch.threadsPerThreadgroup[i];
  return cpuGroupRun(&direct, 1, message);
}

bool cpuGroupRun(const DriverCommand *commands, uint32_t count, char **message) {
  Group group;
  group.count = 0;
  group.threadBytes = 0;
  bool ok = true;
  for (uint32_t i = 0; ok && i < count; i++) {
    if (commands[i].dispatch.indirectGroups) {
      ok = runIndirect(&commands[i], message);
      continue;
    }
    if (isEmpty(&commands[i])) continue;
    if (!addPart(&group, &commands[i])) ok = cpuDispatch(&commands[i], message);
    if (group.count == MostParts) ok = ok && runParts(&group, message);
  }
  return ok && (group.count == 0 || runParts(&group, message));
}

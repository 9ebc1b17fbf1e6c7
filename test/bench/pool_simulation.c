/*
 * pool_simulation: how a step of a model would scale to machines that are not at hand. `make build/bench/pool_simulation`, then
 *   build/bench/pool_simulation [--cores 1,2,4] [--model 1.1b] [--type q4_k] [--rows 1] [--depth 512] [--before 1]
 *     [--bandwidth 200] [--core-bandwidth 12] [--near 16] [--prepare 0.4] [--transfer 80] [--read 10] [--wake 2000] [--latency 8000]
 *
 * Events, not time: the dispatches are those of model_step.h, their pieces the kernels' own plans for so many threads, and how
 * many threads are asked and what parts they take is sharing.c, as in pool.c. What things cost are options.
 * Measured on this machine unless given:
 *   near     GB/s of weights that a core multiplies with one row
 *   prepare  ns of an element of the row, which each thread prepares for itself
 *   transfer ns until a core has a line that another one wrote; changes of one line come one after the other
 * Assumed unless given:
 *   bandwidth, core-bandwidth  GB/s of memory, all of it and at most for one core
 *   read     ns between two cores that read the same changed line
 *   wake     ns that it costs to wake a thread; latency: until it runs
 * Other kernels take what their plans say.
 * A step begins with all workers asleep. Not in the model: caches that hold weights, memory of several sockets, clocks that
 * fall with the number of cores, other processes. --before: the pool and the pieces of products as they were before (one lock,
 * one counter, all threads asked, whoever calls wakes all).
 *
 * The ideal is the work on all cores at once, or what memory gives; efficiency is that over the simulated time. Lost is the
 * difference, by dispatch.
 */
#include "cpu/sharing.h"
#include "model_step.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

enum { WokenBefore = 7, PieceBytesBefore = 32768 };

typedef struct Costs {
  double bandwidth, coreBandwidth, near, prepare, transfer, read, wake, latency;
} Costs;

/** All times are nanoseconds. */
typedef struct Machine {
  Costs costs;
  uint32_t cores;
  bool isBefore;
  double time;                    /* of the caller */
  double awake[CpuMostThreads];   /* from when on a thread looks for work; INFINITY while it sleeps */
} Machine;

// ---- what this machine's costs are ---------------------------------------------------------------------------------

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

/** Two threads that wait for each other. */
typedef struct PingPong {
  _Alignas(128) atomic_uint turn;
  uint32_t turns;
} PingPong;

static void play(PingPong *p, uint32_t self) {
  for (uint32_t i = self; i < p->turns; i += 2) {
    for (uint32_t spins = 0; atomic_load(&p->turn) != i;)
      if (++spins % 4096 == 0) sched_yield(); /* there may be one processor alone */
    atomic_store(&p->turn, i + 1);
  }
}
static void *playSecond(void *p) {
  play(p, 1);
  return NULL;
}

static double measureTransfer(void) {
  double least = INFINITY;
  for (uint32_t round = 0; round < 20; round++) {
    PingPong p = {.turns = 2000};
    pthread_t other;
    pthread_create(&other, NULL, playSecond, &p);
    const double start = now();
    play(&p, 0);
    pthread_join(other, NULL);
    least = fmin(least, (now() - start) / p.turns);
  }
  return least;
}

/** The least time of a product of one row with this matrix on this thread. */
static double timeProduct(const WeightType *type, uint32_t n, uint32_t k) {
  const uint64_t bytes = matrixBytes(type, n, k);
  ModelStep step = {.room = 1, .weights = stepMemory(bytes)};
  step.commands = calloc(1, sizeof *step.commands);
  step.what = calloc(1, sizeof *step.what);
  step.functions = calloc(1, sizeof *step.functions);
  step.implementations = calloc(1, sizeof *step.implementations);
  Random random = {1};
  randomWeights(type, (uint8_t *)(uintptr_t)step.weights, bytes / type->bytes, -4, &random);
  float *x = stepFloats(k), *norm = stepFloats(k), *out = stepFloats(n);
  for (uint32_t i = 0; i < k; i++) norm[i] = x[i] = randomFloat(&random);
  addFused(&step, "", type, n, k, x, norm, 0, NULL, out, true);
  NativePlan plan = {.width = 1};
  const NativeKernel *kernel = step.implementations[0].native[0];
  if (!kernel->plan(step.commands, &plan)) exit(1);
  NativeThread thread = {.memory = aligned_alloc(64, (plan.threadBytes + 63) / 64 * 64), .capacity = plan.threadBytes};
  double least = INFINITY;
  for (uint32_t i = 1; i < 300; i++) {
    const NativeRun run = {.command = step.commands, .plan = &plan, .thread = &thread, .group = i};
    const double start = now();
    kernel->run(&run, 0, 0, plan.phases[0].pieces);
    least = fmin(least, now() - start);
  }
  return least;
}

static Costs measureCosts(const WeightType *type) {
  enum { K = 4096 };
  const double one = timeProduct(type, 2, K), many = timeProduct(type, 66, K);
  const double near = (double)matrixBytes(type, 64, K) / (many - one);
  const double prepare = (one - (double)matrixBytes(type, 2, K) / near) / K;
  return (Costs){.bandwidth = 200, .coreBandwidth = 12, .near = near, .prepare = prepare, .transfer = measureTransfer(), .read = 10,
                 .wake = 2000, .latency = 8000};
}

// ---- threads -------------------------------------------------------------------------------------------------------

/** Those that are woken wake others. From the caller's time on, `count` workers; the caller loses what it takes it. */
static void wakeByTree(Machine *m, uint32_t count) {
  double ready[CpuMostThreads]; /* who can wake, and when */
  uint32_t left[CpuMostThreads], wakers = 0;
  ready[wakers] = m->time, left[wakers++] = CpuWokenAtOnce;
  for (uint32_t i = 1; i <= count; i++) {
    if (m->awake[i] != INFINITY) continue;
    uint32_t best = 0;
    for (uint32_t w = 1; w < wakers; w++)
      if (left[w] > 0 && (left[best] == 0 || ready[w] < ready[best])) best = w;
    ready[best] += m->costs.wake;
    left[best]--;
    m->awake[i] = ready[best] + m->costs.latency + CpuWokenAtOnce * m->costs.wake;
    ready[wakers] = ready[best] + m->costs.latency, left[wakers++] = CpuWokenAtOnce;
  }
  m->time = ready[0];
}

/** The caller wakes them all. */
static void wakeByCaller(Machine *m, uint32_t count) {
  for (uint32_t i = 1; i <= count && i < m->cores; i++) {
    if (m->awake[i] != INFINITY) continue;
    m->time += m->costs.wake;
    m->awake[i] = m->time + m->costs.latency;
  }
}

/** A phase of dispatches that run together. */
typedef struct Phase {
  uint64_t pieces;
  double work;    /* of one core */
  double bytes;   /* from memory */
  double prepare; /* of each thread */
} Phase;

/** What `pieces` of it take where so many threads read memory. */
static double partTime(const Machine *m, const Phase *phase, uint64_t pieces, uint32_t threads) {
  const double share = (double)pieces / (double)phase->pieces;
  const double speed = fmin(m->costs.coreBandwidth, m->costs.bandwidth / threads);
  return fmax(phase->work * share, phase->bytes * share / speed);
}

typedef struct Counter {
  uint64_t next, end;
  double free; /* from when on its line can be changed */
  uint32_t last; /* thread that changed it */
} Counter;

static const double Near = 5; /* a change of a line that the core has */

static double change(const Machine *m, Counter *counter, uint32_t thread, double time) {
  const double start = fmax(time, counter->free);
  counter->free = start + (counter->last == thread ? Near : m->costs.transfer);
  counter->last = thread;
  return counter->free;
}

/** Threads take parts in the order of time until there are none. `times`: when each may begin, then when it was done. */
static void takeParts(const Machine *m, const Phase *phase, const CpuSharing *sharing, Counter *counters, double *times, uint32_t threads) {
  uint32_t at[CpuMostThreads], seen[CpuMostThreads] = {0};
  bool hasPart[CpuMostThreads] = {false};
  for (uint32_t i = 0; i < threads; i++) at[i] = cpuFirstShard(sharing, i);
  for (;;) {
    uint32_t first = UINT32_MAX;
    for (uint32_t i = 0; i < threads; i++)
      if (seen[i] < sharing->shards && times[i] != INFINITY && (first == UINT32_MAX || times[i] < times[first])) first = i;
    if (first == UINT32_MAX) return;
    Counter *counter = &counters[at[first]];
    if (counter->next >= counter->end) {
      if (++seen[first] < sharing->shards) at[first] = (at[first] + 1) % sharing->shards;
      times[first] += seen[first] == 1 ? m->costs.transfer : Near; /* lines are read at once, but for the first */
      continue;
    }
    const uint64_t part = cpuPartOf(sharing, counter->end - counter->next);
    times[first] = change(m, counter, first, times[first]);
    counter->next += part;
    if (!hasPart[first]) times[first] += phase->prepare;
    hasPart[first] = true;
    times[first] += partTime(m, phase, part, sharing->threads);
  }
}

static void runAlone(Machine *m, const Phase *phase) { m->time += phase->prepare + partTime(m, phase, phase->pieces, 1); }

static void runPhase(Machine *m, const Phase *phase, double planned) {
  const Costs *c = &m->costs;
  const CpuSharing sharing = cpuSharing(0, phase->pieces, (float)(planned / (double)phase->pieces), m->cores);
  const bool isAwake = m->cores > 1 && m->awake[1] <= m->time;
  if (sharing.threads == 1 || planned < (isAwake ? CpuWorthAsking : CpuWorthWaking)) {
    runAlone(m, phase);
    return;
  }
  const uint32_t bells = (sharing.threads + CpuWorkersPerBell - 2) / CpuWorkersPerBell;
  uint32_t threads = 1 + bells * CpuWorkersPerBell;
  if (threads > m->cores) threads = m->cores;
  m->time += 2 * c->transfer; /* the job's lines, and those of bells and counters */
  Counter counters[CpuMostShards];
  for (uint32_t i = 0; i < sharing.shards; i++)
    counters[i] = (Counter){cpuShardStart(&sharing, i), cpuShardStart(&sharing, i + 1), m->time, 0};
  const double rung = m->time;
  if (planned >= CpuWorthWaking) wakeByTree(m, threads - 1);
  double times[CpuMostThreads] = {m->time};
  for (uint32_t i = 1; i < threads; i++) {
    /* It reads the bell, writes its own line, and reads the job's, as all others do. */
    const double seen = rung + c->transfer + (i - 1) % CpuWorkersPerBell * c->read;
    times[i] = fmax(seen, m->awake[i]) + 2 * c->transfer + i * c->read;
  }
  const double called = m->time;
  takeParts(m, phase, &sharing, counters, times, threads);
  double end = times[0];
  for (uint32_t i = 1; i < threads; i++)
    if (times[i] != INFINITY) end = fmax(end, times[i] + c->transfer); /* it writes its own line */
  m->time = fmax(end, called) + c->transfer + (threads - 1) * c->transfer / 8; /* lines of workers are read several at a time */
}

/** One lock, one counter, one count of who is inside. */
static void runPhaseBefore(Machine *m, const Phase *phase, double planned) {
  const Costs *c = &m->costs;
  const bool isAwake = m->cores > 1 && m->awake[1] <= m->time;
  if (m->cores == 1 || phase->pieces < 2 || planned < (isAwake ? CpuWorthAsking : CpuWorthWaking)) {
    runAlone(m, phase);
    return;
  }
  const uint64_t smallest = (uint64_t)(3000 / planned * (double)phase->pieces);
  const CpuSharing sharing = {.count = phase->pieces, .threads = m->cores, .shards = 1, .smallest = smallest ? smallest : 1, .largest = UINT64_MAX};
  Counter lock = {.free = m->time}, inside = {.free = m->time}, next = {.end = phase->pieces, .free = m->time};
  m->time = change(m, &lock, 0, m->time) + c->transfer;
  const double rung = m->time;
  wakeByCaller(m, m->cores - 1);
  const double called = m->time;
  double times[CpuMostThreads] = {m->time};
  for (uint32_t i = 1; i < m->cores; i++) {
    /* It counts itself out of those that spin, and takes the lock: twice a line, while all others want it. */
    double time = fmax(rung + c->transfer + i * c->read, m->awake[i]);
    time = change(m, &inside, i, time);
    time = change(m, &lock, i, time);
    times[i] = change(m, &lock, UINT32_MAX, time);
  }
  takeParts(m, phase, &sharing, &next, times, m->cores);
  double end = change(m, &lock, 0, times[0]);
  for (uint32_t i = 1; i < m->cores; i++) end = fmax(end, change(m, &inside, i, times[i]));
  m->time = fmax(end, called) + c->transfer;
}

// ---- steps ---------------------------------------------------------------------------------------------------------

typedef struct Part {
  const char *what;
  double time, ideal;
} Part;
enum { MostParts = 32 };

static Part *partOf(Part *parts, const char *what) {
  uint32_t i = 0;
  while (i + 1 < MostParts && parts[i].what && strcmp(parts[i].what, what) != 0) i++;
  parts[i].what = what;
  return &parts[i];
}

/** Runs commands [from, to), which do not wait for each other. */
static void runGroup(Machine *m, const ModelStep *step, uint32_t from, uint32_t to, Part *parts) {
  NativePlan plans[64] = {0};
  const NativeKernel *kernels[64];
  uint32_t phases = 0;
  for (uint32_t i = from; i < to; i++) {
    const CpuFunction *function = step->commands[i].dispatch.function->implementation;
    for (int k = 0; k < NativeMaxKernels && function->native[k]; k++) {
      plans[i - from] = (NativePlan){.width = m->isBefore ? 1 : m->cores};
      kernels[i - from] = function->native[k];
      if (function->native[k]->plan(&step->commands[i], &plans[i - from])) break;
    }
    if (plans[i - from].phaseCount == 0) {
      fprintf(stderr, "%s is not planned\n", function->native[0]->name);
      exit(1);
    }
    if (plans[i - from].phaseCount > phases) phases = plans[i - from].phaseCount;
    for (uint32_t j = 0; j < i - from && !m->isBefore; j++)
      if (nativePreparesAlike(kernels[j], &plans[j], kernels[i - from], &plans[i - from])) plans[i - from].phases[0].pieces = 0;
  }
  const double start = m->time, planning = 150;
  m->time += planning * (to - from);
  double ideal = 0;
  for (uint32_t p = 0; p < phases; p++) {
    Phase phase = {0};
    double planned = 0;
    for (uint32_t i = from; i < to; i++) {
      const NativePhase *of = &plans[i - from].phases[p];
      if (p >= plans[i - from].phaseCount) continue;
      const DriverCommand *c = &step->commands[i];
      const double time = (double)of->pieces * (double)of->nanoseconds;
      planned += time;
      phase.pieces += of->pieces;
      if (strncmp(c->dispatch.function->name, "matvec_fused", 12) == 0) {
        const double bytes = (double)(c->dispatch.bufferLengths[0] + c->dispatch.bufferLengths[1]);
        phase.work += bytes / m->costs.near;
        phase.bytes += bytes;
        phase.prepare = m->costs.prepare * (double)(c->dispatch.bufferLengths[2] / 4);
      } else {
        phase.work += time;
        if (strncmp(c->dispatch.function->name, "attention", 9) == 0 && step->commands[i].dispatch.threads[1] == 1)
          phase.bytes += p == 0 ? (double)(c->dispatch.bufferLengths[1] + c->dispatch.bufferLengths[2]) : 0;
      }
    }
    if (m->isBefore && phase.bytes > PieceBytesBefore && phase.prepare > 0) phase.pieces = (uint64_t)(phase.bytes / PieceBytesBefore);
    ideal += fmax(phase.work / m->cores, phase.bytes / fmin(m->costs.bandwidth, m->cores * m->costs.coreBandwidth));
    if (m->isBefore) runPhaseBefore(m, &phase, planned);
    else runPhase(m, &phase, planned);
  }
  Part *part = partOf(parts, step->what[from]);
  part->time += m->time - start;
  part->ideal += ideal;
}

static int byLoss(const void *a, const void *b) {
  const Part *x = a, *y = b;
  const double lossX = x->time - x->ideal, lossY = y->time - y->ideal;
  return (lossX < lossY) - (lossX > lossY);
}

/** Simulates a step, and says how long it takes. */
static double simulate(Costs costs, const ModelStep *step, uint32_t cores, bool isBefore, double one) {
  Machine m = {.costs = costs, .cores = cores, .isBefore = isBefore};
  Part parts[MostParts] = {0};
  for (uint32_t i = 1; i < cores; i++) m.awake[i] = INFINITY;
  if (cores > 1 && isBefore) wakeByCaller(&m, WokenBefore);
  else if (cores > 1) wakeByTree(&m, cores - 1 < CpuWorkersPerBell ? cores - 1 : CpuWorkersPerBell);
  for (uint32_t from = 0, to; from < step->count; from = to) {
    for (to = from + 1; to < step->count && !step->commands[to].waits && to - from < 16;) to++;
    runGroup(&m, step, from, to, parts);
  }
  double ideal = 0;
  for (uint32_t i = 0; i < MostParts; i++) ideal += parts[i].ideal;
  if (one == 0) one = m.time;
  printf("%5u %9.3f %8.2f %9.3f %10.0f%%  ", cores, m.time / 1e6, one / m.time, ideal / 1e6, 100 * ideal / m.time);
  qsort(parts, MostParts, sizeof *parts, byLoss);
  for (uint32_t i = 0; i < 4 && parts[i].what; i++)
    printf("%s%s %.3f", i ? ", " : "", parts[i].what, (parts[i].time - parts[i].ideal) / 1e6);
  printf("\n");
  return m.time;
}

int main(int count, char **arguments) {
  enum { MostCounts = 64 };
  uint32_t cores[MostCounts] = {1, 2, 4, 8, 16, 24, 32, 48, 64}, counts = 9, rows = 1, depth = 512;
  const char *model = "1.1b", *type = "q4_k";
  bool isBefore = false;
  Costs given = {0};
  const struct { const char *name; double *place; } numbers[] = {
      {"--bandwidth", &given.bandwidth}, {"--core-bandwidth", &given.coreBandwidth}, {"--near", &given.near}, {"--prepare", &given.prepare},
      {"--transfer", &given.transfer}, {"--read", &given.read}, {"--wake", &given.wake}, {"--latency", &given.latency}};
  enum { Numbers = sizeof numbers / sizeof *numbers };
  for (int i = 1; i < count; i += 2) {
    const char *name = arguments[i];
    char *value = i + 1 < count ? arguments[i + 1] : "";
    uint32_t known = 0;
    while (known < Numbers && strcmp(numbers[known].name, name) != 0) known++;
    if (known < Numbers) *numbers[known].place = strtod(value, NULL);
    else if (strcmp(name, "--model") == 0) model = value;
    else if (strcmp(name, "--type") == 0) type = value;
    else if (strcmp(name, "--rows") == 0) rows = (uint32_t)strtoul(value, NULL, 10);
    else if (strcmp(name, "--depth") == 0) depth = (uint32_t)strtoul(value, NULL, 10);
    else if (strcmp(name, "--before") == 0) isBefore = strtoul(value, NULL, 10) != 0;
    else if (strcmp(name, "--cores") == 0)
      for (counts = 0; counts < MostCounts && *value; value = *value ? value + 1 : value) cores[counts++] = (uint32_t)strtoul(value, &value, 10);
    else rows = 0;
  }
  const ModelShape *shape = NULL;
  const WeightType *weightType = weightTypeNamed(type);
  for (uint32_t i = 0; i < ModelShapes; i++)
    if (strcmp(modelShapes[i].name, model) == 0) shape = &modelShapes[i];
  bool isPossible = shape && weightType && rows > 0 && shape->dim % weightType->elements == 0;
  for (uint32_t i = 0; i < counts; i++) isPossible = isPossible && cores[i] > 0 && cores[i] <= CpuMostThreads;
  if (!isPossible) {
    fprintf(stderr, "pool_simulation: the first lines of test/bench/pool_simulation.c say what there is to choose\n");
    return 2;
  }
  Costs costs = measureCosts(weightType);
  for (uint32_t i = 0; i < Numbers; i++) {
    double *cost = (double *)((char *)&costs + ((char *)numbers[i].place - (char *)&given));
    if (*numbers[i].place > 0) *cost = *numbers[i].place;
  }
  const ModelStep step = modelStep(shape, weightType, shape->layers, rows, rows > 1 ? 0 : depth, stepMemory(stepWeightBytes(shape, weightType, shape->layers)));
  printf("%s %s, %s, %u row%s%s: simulated. GB/s: memory %.0f, core %.0f, near %.1f; ns: prepare %.2f, transfer %.0f, read %.0f, wake %.0f, latency %.0f\n",
         model, type, nativeLevelName(), rows, rows > 1 ? "s" : "", isBefore ? ", as it was" : "", costs.bandwidth, costs.coreBandwidth, costs.near,
         costs.prepare, costs.transfer, costs.read, costs.wake, costs.latency);
  printf("%5s %9s %8s %9s %11s  %s\n", "cores", "ms", "speedup", "ideal ms", "efficiency", "lost ms");
  double one = 0;
  for (uint32_t i = 0; i < counts; i++) {
    const double time = simulate(costs, &step, cores[i], isBefore, one);
    if (i == 0) one = time;
  }
  return 0;
}

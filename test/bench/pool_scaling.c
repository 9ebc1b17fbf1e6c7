/*
 * pool_scaling: how the CPU device's threads scale on this machine. `make build/bench/pool_scaling`, then
 *   build/bench/pool_scaling [--threads 1,2,4] [--model 1.1b] [--type q4_k] [--layers 22] [--depth 128] [--rows 128] [--rounds 9] [--busy 0]
 *     [--profile 1]
 *
 * For each number of threads, in a process of its own:
 * - empty: a job without work, to all threads and back; `called`: until the last thread has begun, where all look for work, and
 *   `woken` where all sleep. Medians, in microseconds.
 * - token: the dispatches of a token with native kernels, weights from memory; prompt: those of so many rows through four
 *   layers. Milliseconds, the least of the rounds; how many times as fast as with the first number of threads; and for the
 *   token how much memory it reads. With --busy N so many other processes keep processors busy meanwhile, and the mean counts.
 * With --profile 1 the dispatches run one by one, and what each kind takes is printed, in milliseconds of the best round.
 * The environment's BUN_METAL_CPU_NATIVE chooses the instructions.
 */
#include "cpu/pool.h"
#include "model_step.h"

#include <sched.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PromptLayers = 4, MostRounds = 1000, EmptyRounds = 2000, CalledRounds = 300, WokenRounds = 60 };

typedef struct Options {
  const ModelShape *shape;
  const WeightType *type;
  uint32_t layers, depth, rows, rounds, busy, profile;
} Options;

typedef struct Figures {
  double empty, called, woken, token, prompt; /* seconds */
} Figures;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}
static double median(double *values, uint32_t count) {
  qsort(values, count, sizeof *values, ascending);
  return values[count / 2];
}

static bool doNothing(void *context, uint64_t from, uint64_t to) {
  (void)context, (void)from, (void)to;
  return true;
}

/** Each of as many items as threads waits for all others, but not for long: a thread may have taken two. */
static bool meet(void *context, uint64_t from, uint64_t to) {
  atomic_uint *met = context;
  atomic_fetch_add(met, (uint32_t)(to - from));
  const double until = now() + 0.01;
  while (atomic_load(met) < cpuPoolWidth() && now() < until) continue;
  return true;
}

/** Items that are worth a thread each. */
static const float Worth = 1e6f;

static double timeEmpty(void) {
  static double times[EmptyRounds];
  for (uint32_t i = 0; i < EmptyRounds; i++) {
    const double start = now();
    cpuPoolRun(doNothing, NULL, 0, cpuPoolWidth(), Worth);
    times[i] = now() - start;
  }
  return median(times, EmptyRounds);
}

static double timeMeeting(uint32_t rounds, uint32_t pause) {
  static double times[CalledRounds];
  for (uint32_t i = 0; i < rounds; i++) {
    atomic_uint met = 0;
    usleep(pause);
    const double start = now();
    cpuPoolRun(meet, &met, 0, cpuPoolWidth(), Worth);
    times[i] = now() - start;
  }
  return median(times, rounds);
}

static double timeStep(const ModelStep *step, uint32_t rounds, bool isMean) {
  double least = INFINITY, sum = 0;
  for (uint32_t i = 0; i <= rounds; i++) {
    char *message = NULL;
    fillStep(step);
    const double start = now();
    if (!cpuDriver.execute(0, step->commands, step->count, &message)) {
      fprintf(stderr, "%s\n", message ? message : "it failed");
      exit(1);
    }
    const double taken = i > 0 ? now() - start : 0; /* the first one warms up */
    if (i > 0) least = fmin(least, taken);
    sum += taken;
  }
  return isMean ? sum / rounds : least;
}

/** What each kind of dispatch takes, of the round that takes least of it; the names are those of the step. */
static void profileStep(const char *title, const ModelStep *step, uint32_t rounds) {
  enum { MostKinds = 32 };
  const char *kinds[MostKinds];
  double least[MostKinds];
  uint32_t count = 0;
  for (uint32_t round = 0; round <= rounds; round++) {
    double sums[MostKinds] = {0};
    fillStep(step);
    for (uint32_t i = 0; i < step->count; i++) {
      char *message = NULL;
      uint32_t kind = 0;
      while (kind < count && strcmp(kinds[kind], step->what[i]) != 0) kind++;
      if (kind == MostKinds) continue;
      if (kind == count) kinds[count] = step->what[i], least[count++] = INFINITY;
      const double start = now();
      if (!cpuDriver.execute(0, &step->commands[i], 1, &message)) exit(1);
      sums[kind] += now() - start;
    }
    for (uint32_t kind = 0; round > 0 && kind < count; kind++) least[kind] = fmin(least[kind], sums[kind]);
  }
  printf("%s:", title);
  for (uint32_t kind = 0; kind < count; kind++) printf("%s %s %.2f", kind ? "," : "", kinds[kind], 1e3 * least[kind]);
  printf("\n");
  fflush(stdout);
}

/** Random weights: a stretch of them again and again, in a file that is mapped as models are, and so in small pages. */
static uint8_t *makeWeights(const WeightType *type, uint64_t bytes) {
  const uint64_t stretch = (uint64_t)65536 * type->bytes;
  const int file = memfd_create("weights", 0);
  uint8_t *weights = MAP_FAILED;
  if (file >= 0 && ftruncate(file, (off_t)(bytes + stretch)) == 0)
    weights = mmap(NULL, bytes + stretch, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (weights == MAP_FAILED) {
    fprintf(stderr, "there are no %llu MB of memory for a file of weights\n", (unsigned long long)(bytes >> 20));
    exit(1);
  }
  Random random = {1};
  randomWeights(type, weights, 65536, -4, &random);
  for (uint64_t done = stretch; done < bytes; done += stretch) memcpy(weights + done, weights, stretch);
  return weights;
}

static Figures measure(const Options *o) {
  Figures f = {.empty = timeEmpty(), .called = timeMeeting(CalledRounds, 0), .woken = timeMeeting(WokenRounds, 2000)};
  const uint8_t *weights = makeWeights(o->type, stepWeightBytes(o->shape, o->type, o->layers));
  const ModelStep token = modelStep(o->shape, o->type, o->layers, 1, o->depth, weights);
  f.token = timeStep(&token, o->rounds, o->busy > 0);
  const uint32_t layers = o->layers < PromptLayers ? o->layers : PromptLayers;
  const ModelStep prompt = modelStep(o->shape, o->type, layers, o->rows, 0, weights);
  f.prompt = timeStep(&prompt, o->rounds / 3 + 1, o->busy > 0);
  if (o->profile) profileStep("token", &token, o->rounds);
  if (o->profile) profileStep("prompt", &prompt, o->rounds / 3 + 1);
  return f;
}

/** A process that keeps a processor busy until this one is gone. */
static void startBusy(void) {
  const pid_t parent = getpid();
  if (fork() != 0) return;
  for (volatile uint64_t counted = 0; getppid() == parent;)
    for (int i = 0; i < 10000000; i++) counted += 1;
  _exit(0);
}

/** Numbers of threads: 1, 2, 4, ... and as many as there are processors. */
static uint32_t usualThreads(uint32_t *counts, uint32_t most) {
  cpu_set_t set;
  const uint32_t processors = sched_getaffinity(0, sizeof set, &set) == 0 ? (uint32_t)CPU_COUNT(&set) : 1;
  uint32_t count = 0;
  for (uint32_t n = 1; n < processors && count + 1 < most; n *= 2) counts[count++] = n;
  counts[count++] = processors;
  return count;
}

/** In a process of its own, as a pool keeps its width. */
static Figures measureApart(const Options *o, uint32_t threads) {
  Figures f = {0};
  int ends[2] = {-1, -1}, status = 1;
  const pid_t child = pipe(ends) == 0 ? fork() : -1;
  if (child == 0) {
    char text[16];
    snprintf(text, sizeof text, "%u", threads);
    setenv("BUN_METAL_CPU_THREADS", text, 1);
    f = measure(o);
    _exit(write(ends[1], &f, sizeof f) == sizeof f ? 0 : 1);
  }
  close(ends[1]);
  const bool said = child > 0 && read(ends[0], &f, sizeof f) == sizeof f;
  if (child < 0 || waitpid(child, &status, 0) != child || status != 0 || !said) {
    fprintf(stderr, "it failed with %u threads\n", threads);
    exit(1);
  }
  close(ends[0]);
  return f;
}

static int fail(const char *what) {
  fprintf(stderr, "pool_scaling: %s; the first lines of test/bench/pool_scaling.c say what there is\n", what);
  return 2;
}

int main(int count, char **arguments) {
  enum { MostCounts = 32 };
  uint32_t threads[MostCounts], counts = usualThreads(threads, MostCounts);
  Options o = {.shape = &modelShapes[0], .depth = 128, .rows = 128, .rounds = 9};
  const char *model = "1.1b", *type = "q4_k";
  for (int i = 1; i < count; i++) {
    const char *name = arguments[i], *value = i + 1 < count ? arguments[i + 1] : "";
    const uint32_t number = (uint32_t)strtoul(value, NULL, 10);
    i++;
    if (strcmp(name, "--model") == 0) model = value;
    else if (strcmp(name, "--type") == 0) type = value;
    else if (strcmp(name, "--layers") == 0) o.layers = number;
    else if (strcmp(name, "--depth") == 0) o.depth = number;
    else if (strcmp(name, "--rows") == 0) o.rows = number;
    else if (strcmp(name, "--rounds") == 0) o.rounds = number;
    else if (strcmp(name, "--busy") == 0) o.busy = number;
    else if (strcmp(name, "--profile") == 0) o.profile = number;
    else if (strcmp(name, "--threads") == 0) {
      char *at = arguments[i];
      for (counts = 0; counts < MostCounts && at && *at; at = *at ? at + 1 : at) threads[counts++] = (uint32_t)strtoul(at, &at, 10);
    } else return fail(name);
  }
  o.shape = NULL;
  for (uint32_t i = 0; i < ModelShapes; i++)
    if (strcmp(modelShapes[i].name, model) == 0) o.shape = &modelShapes[i];
  o.type = weightTypeNamed(type);
  if (!o.shape || !o.type) return fail("no such model, or no such type of weights");
  if (o.shape->dim % o.type->elements != 0 || o.rows < 2 || o.rounds < 1 || o.rounds > MostRounds) return fail("these numbers cannot be meant");
  if (o.layers == 0 || o.layers > o.shape->layers) o.layers = o.shape->layers;
  for (uint32_t i = 0; i < o.busy; i++) startBusy();
  const char *level = nativeLevelName();
  printf("%s %s, %u layers, %s; a token behind %u, a prompt of %u through %u layers\n", model, type, o.layers, level ? level : "no native kernels",
         o.depth, o.rows, o.layers < PromptLayers ? o.layers : PromptLayers);
  printf("%7s %9s %9s %9s %10s %8s %8s %10s %8s\n", "threads", "empty us", "called us", "woken us", "token ms", "speedup", "GB/s", "prompt ms",
         "speedup");
  Figures first = {0};
  const double bytes = (double)stepWeightBytes(o.shape, o.type, o.layers);
  for (uint32_t i = 0; i < counts; i++) {
    const Figures f = measureApart(&o, threads[i]);
    if (i == 0) first = f;
    printf("%7u %9.2f %9.2f %9.2f %10.2f %8.2f %8.1f %10.2f %8.2f\n", threads[i], 1e6 * f.empty, 1e6 * f.called, 1e6 * f.woken, 1e3 * f.token,
           first.token / f.token, bytes / f.token / 1e9, 1e3 * f.prompt, first.prompt / f.prompt);
    fflush(stdout);
  }
  return 0;
}

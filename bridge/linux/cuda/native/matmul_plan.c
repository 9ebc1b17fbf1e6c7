/* matmul_plan.c: how matrix-matrix products run on matmul.cu. */
#include "matmul.h"
#include "plan.h"

typedef struct Type {
  const char *name;           /* of the command */
  const char *kernels[3];     /* for tiles of 64, 128 and 256 outputs; some are missing */
  uint32_t elements, bytes;   /* of a block */
  uint32_t rowPlanes;         /* of converted x */
} Type;

#define SMALL_TILES(name, elements, bytes, planes) \
  {"matmul_" #name, {"matmul_" #name "_64", NULL, NULL}, elements, bytes, planes}
#define BOTH_TILES(name, elements, bytes, planes) \
  {"matmul_" #name, {"matmul_" #name "_64", "matmul_" #name "_128", NULL}, elements, bytes, planes}

static const Type types[] = {
    {"matmul_f16", {"matmul_f16_64", "matmul_f16_128", "matmul_f16_256"}, 1, 2, 1},
    SMALL_TILES(f32, 1, 4, 2),      SMALL_TILES(bf16, 1, 2, 2),

    BOTH_TILES(q4_0, 32, 18, 1),    SMALL_TILES(q4_1, 32, 20, 1),   SMALL_TILES(q5_0, 32, 22, 1),
    SMALL_TILES(q5_1, 32, 24, 1),   BOTH_TILES(q8_0, 32, 34, 1),    SMALL_TILES(iq4_nl, 32, 18, 1),
    SMALL_TILES(mxfp4, 32, 17, 1),

    SMALL_TILES(q2_k, 256, 84, 1),  SMALL_TILES(q3_k, 256, 110, 1), BOTH_TILES(q4_k, 256, 144, 1),
    BOTH_TILES(q5_k, 256, 176, 1),  BOTH_TILES(q6_k, 256, 210, 1),  SMALL_TILES(iq4_xs, 256, 136, 1),
};

static const Type *typeOf(const char *name) {
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (strcmp(types[i].name, name) == 0) return &types[i];
  return NULL;
}

static uint64_t aligned(uint64_t bytes) { return divideUp(bytes, 256) * 256; }

static bool hasGroups(const CudaNativeDevice *device) { return device->capability == 90; }
static bool hasPreparers(const CudaNativeDevice *device, const Type *type) {
  return hasGroups(device) && (type->elements > 1 || type->bytes == 4);
}

/** Shared memory of a block; matmul.cu says what is in it. */
static uint32_t sharedBytes(const CudaNativeDevice *device, const Type *type, uint32_t outputs) {
  const uint32_t rowBytes = 2 * MatmulTileDepth, stages = hasPreparers(device, type) ? MatmulPreparedStages : MatmulStages;
  uint32_t weights;
  if (type->elements > 1)
    weights = 2 * outputs * (rowBytes + MATMUL_PITCH(MatmulSegment / type->elements * type->bytes)) + 16;
  else if (type->bytes == 2) weights = stages * outputs * rowBytes;
  else weights = 2 * 2 * outputs * rowBytes;
  return MatmulControlBytes + MatmulTileAlignment + stages * type->rowPlanes * MatmulTileRows * rowBytes + weights;
}

/** How the work is cut. */
typedef struct Cut {
  uint32_t size; /* tiles have 64 << size outputs */
  uint32_t rowTiles, outputTiles /* 0: none fits */, parts, stepsOfPart;
} Cut;

/**
 * How long a step of k takes with a tile of each size, as measured on an H200, in hundredths of one of 128 outputs; and with two
 * tiles on one multiprocessor, where it has room for two blocks.
 */
typedef struct StepCosts {
  uint32_t one[3], pair[3];
} StepCosts;
static const StepCosts copiedCosts = {{80, 100, 178}, {120, 180, 0}}, preparedCosts = {{75, 100, 0}, {0, 0, 0}},
                       warpCosts = {{67, 100, 0}, {100, 0, 0}};

/** How long it takes to join the sums of parts, which one block of each tile does. */
static uint64_t joinCost(const Cut *cut) { return cut->parts > 1 ? 1000 + 40 * ((uint64_t)cut->parts << cut->size) : 0; }

static const StepCosts *costsOf(const CudaNativeDevice *device, const Type *type) {
  return hasPreparers(device, type) ? &preparedCosts : hasGroups(device) ? &copiedCosts : &warpCosts;
}
/** `pair` is 0 where a multiprocessor has no room for two. */
static uint64_t stepCost(const CudaNativeDevice *device, uint32_t one, uint32_t pair, uint64_t blocks) {
  const uint64_t most = device->multiprocessors, rest = blocks % (2 * most);
  if (pair == 0) return one * divideUp(blocks, most);
  return blocks / (2 * most) * pair + (rest == 0 ? 0 : rest <= most ? one : pair);
}

/** Cuts the work for tiles of a size; and k, if it may be, and there is room for twice as many blocks, into parts of four steps
 * at least. Returns how long it takes, or UINT64_MAX where such tiles cannot be. */
static uint64_t cutForSize(const CudaNativeDevice *device, const Type *type, const MatmulParameters *p, uint32_t jobs,
                           uint32_t size, bool cutsDepth, Cut *cut) {
  const uint32_t outputs = 64u << size, steps = p->depth / MatmulTileDepth, segmentSteps = MatmulSegment / MatmulTileDepth;
  if (!type->kernels[size] || sharedBytes(device, type, outputs) > device->sharedBytes) return UINT64_MAX;
  if (outputs > 128 && !hasGroups(device)) return UINT64_MAX; /* only four warps together have the registers */
  *cut = (Cut){.size = size, .rowTiles = (uint32_t)divideUp(p->mostRows, MatmulTileRows), .parts = 1, .stepsOfPart = steps};
  for (uint32_t i = 0; i < jobs; i++) cut->outputTiles += (uint32_t)divideUp(p->jobs[i].n, outputs);
  const uint64_t tiles = (uint64_t)cut->rowTiles * cut->outputTiles;
  const StepCosts *costs = costsOf(device, type);
  const uint32_t pair = 2 * (sharedBytes(device, type, outputs) + 1024) <= device->sharedBytes + 1024 ? costs->pair[size] : 0;
  const uint64_t room = (pair > 0 ? 2ull : 1ull) * device->multiprocessors;
  if (cutsDepth && 2 * tiles <= room) {
    cut->stepsOfPart = (uint32_t)divideUp(divideUp(steps, room / tiles), segmentSteps) * segmentSteps;
    cut->parts = (uint32_t)divideUp(steps, cut->stepsOfPart);
  }
  return stepCost(device, costs->one[size], pair, tiles * cut->parts) * cut->stepsOfPart + joinCost(cut);
}

static Cut cutWork(const CudaNativeDevice *device, const Type *type, const MatmulParameters *p, uint32_t jobs) {
  Cut best = {0};
  uint64_t least = UINT64_MAX;
  for (uint32_t choice = 6; choice-- > 0;) {
    Cut cut;
    const uint64_t taken = cutForSize(device, type, p, jobs, choice / 2, choice % 2 == 0, &cut);
    if (taken >= least) continue;
    least = taken;
    best = cut;
  }
  return best;
}

enum { W, X, Out, RowCount, Arguments };

/** Reads a command as one more job. The grid covers so many rows; rowCount[0] of them, no more than there is memory for, are
 * multiplied. False where it is not for these kernels. */
static bool readJob(const CudaNativeCommand *command, const Type *type, MatmulParameters *p, uint32_t job) {
  const struct MatrixArgs *args = argumentsOf(command, Arguments, sizeof *args);
  if (!args || command->bufferLengths[RowCount] < 4) return false;
  const uint32_t n = args->n, k = args->k;
  const uint64_t rowBytes = (uint64_t)(k / type->elements) * type->bytes;
  /* x is read by 16 bytes, and so are rows of weights that are floats. */
  const uint32_t elementsAtOnce = type->elements > 1 ? type->elements : type->bytes == 2 ? 8 : 4;
  if (n == 0 || k == 0 || k % elementsAtOnce != 0 || rowBytes > 1u << 23) return false;
  if (command->buffers[W] % 16 != 0 || command->buffers[X] % 16 != 0 || command->buffers[Out] % 8 != 0) return false;
  if (command->bufferLengths[W] / rowBytes < n || command->threadsPerThreadgroup[1] != 1) return false;
  uint64_t rows = command->threads[1] * 32;
  if (rows > command->bufferLengths[X] / 4 / k) rows = command->bufferLengths[X] / 4 / k;
  if (rows > command->bufferLengths[Out] / 4 / n) rows = command->bufferLengths[Out] / 4 / n;
  if (rows == 0 || rows > 1u << 20) return false;
  if (job > 0 && (command->buffers[X] != p->x || command->buffers[RowCount] != p->rowCount || k != p->k || rows != p->mostRows))
    return false;
  p->jobs[job] = (MatmulJob){.w = command->buffers[W], .out = command->buffers[Out], .n = n};
  p->x = command->buffers[X];
  p->rowCount = command->buffers[RowCount];
  p->k = k;
  p->mostRows = (uint32_t)rows;
  p->rowBytes = (uint32_t)rowBytes;
  p->depth = (uint32_t)divideUp(k, MatmulTileDepth) * MatmulTileDepth;
  return true;
}

uint32_t cudaMatmulPlan(const CudaNativeDevice *device, const CudaNativeCommand *commands, uint32_t count,
                        CudaNativeLaunch *out) {
  const Type *type = typeOf(commands->function->name);
  MatmulParameters p = {0};
  if (!type || !readJob(commands, type, &p, 0)) return 0;
  /* Q, K and V, or gate and up, of weights of one type. */
  uint32_t jobs = 1;
  while (jobs < count && jobs < MatmulMostJobs && !commands[jobs].waits &&
         strcmp(commands[jobs].function->name, commands->function->name) == 0 && readJob(&commands[jobs], type, &p, jobs))
    jobs++;

  const Cut cut = cutWork(device, type, &p, jobs);
  if (cut.outputTiles == 0 || cut.outputTiles > 65535) return 0;
  const uint64_t tiles = (uint64_t)cut.rowTiles * cut.outputTiles;
  for (uint32_t i = 1; i < MatmulMostJobs; i++)
    p.jobs[i].firstTile = i < jobs ? p.jobs[i - 1].firstTile + (uint32_t)divideUp(p.jobs[i - 1].n, 64u << cut.size)
                                      : cut.outputTiles;
  p.stepsOfPart = cut.stepsOfPart;
  p.factorsOffset = (uint64_t)cut.rowTiles * MatmulTileRows * 2 * type->rowPlanes * p.depth;
  p.partsOffset = p.factorsOffset + aligned(4ull * p.mostRows);

  *out = (CudaNativeLaunch){
      .kernel = type->kernels[cut.size],
      .grid = {cut.rowTiles, cut.outputTiles, cut.parts},
      .block = {hasPreparers(device, type) ? 2 * MatmulThreads : MatmulThreads, 1, 1},
      .sharedBytes = sharedBytes(device, type, 64u << cut.size),
      .scratchBytes = 4 * (MatmulFirstCounter + cut.rowTiles + (cut.parts > 1 ? tiles : 0)),
      .scratchOffset = offsetof(MatmulParameters, counters),
      .partialBytes = p.partsOffset + (cut.parts > 1 ? tiles * cut.parts * MatmulTileRows * 4 * (64ull << cut.size) : 0),
      .partialOffset = offsetof(MatmulParameters, partial),
      .overlaps = true,
      .parameterBytes = sizeof p,
  };
  memcpy(out->parameters, &p, sizeof p);
  return jobs;
}

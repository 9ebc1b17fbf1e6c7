/* matmul_plan.c: how matrix-matrix products run on matmul.cu. */
#include "matmul.h"
#include "native.h"

#include <stddef.h>

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

static uint32_t parts(uint64_t total, uint64_t part) { return (uint32_t)((total + part - 1) / part); }
static uint64_t aligned(uint64_t bytes) { return (bytes + 255) / 256 * 256; }

static bool hasGroups(const CudaNativeDevice *device) { return device->capability == 90; }
static bool hasPreparers(const CudaNativeDevice *device, const Type *type) {
  return hasGroups(device) && (type->elements > 1 || type->bytes == 4);
}

/** Shared memory of a block; matmul.cu says what is in it. */
static uint32_t sharedBytes(const CudaNativeDevice *device, const Type *type, uint32_t outputs) {
  const uint32_t rowBytes = 2 * MatmulTileDepth, stages = hasGroups(device) ? MatmulGroupStages : MatmulStages;
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

/** How long all tiles of a size take, if one of 128 outputs takes 100: they are shared out to the multiprocessors, which have
 * one at a time, or two of the smallest. */
static uint64_t cost(const CudaNativeDevice *device, const Type *type, uint32_t size, uint64_t tiles) {
  static const uint32_t costs[] = {56, 100, 190};
  const uint32_t outputs = 64u << size;
  if (!type->kernels[size] || sharedBytes(device, type, outputs) > device->sharedBytes) return UINT64_MAX;
  if (outputs > 128 && !hasGroups(device)) return UINT64_MAX; /* only four warps together have the registers */
  return (uint64_t)costs[size] * parts(tiles, device->multiprocessors);
}

/** Where there is room for twice as many tiles, or more, k is cut, too, into parts of four steps at least. */
static Cut cutWork(const CudaNativeDevice *device, const Type *type, const MatmulParameters *p, uint32_t jobs) {
  const uint32_t steps = p->depth / MatmulTileDepth, segmentSteps = MatmulSegment / MatmulTileDepth;
  Cut cut = {.rowTiles = parts(p->mostRows, MatmulTileRows), .parts = 1, .stepsOfPart = steps};
  uint64_t least = UINT64_MAX;
  for (uint32_t size = 3; size-- > 0;) {
    uint32_t outputTiles = 0;
    for (uint32_t i = 0; i < jobs; i++) outputTiles += parts(p->jobs[i].n, 64u << size);
    const uint64_t taken = cost(device, type, size, (uint64_t)cut.rowTiles * outputTiles);
    if (taken >= least) continue;
    least = taken;
    cut.size = size;
    cut.outputTiles = outputTiles;
  }
  const bool areTwo = cut.size == 0 && !hasPreparers(device, type);
  const uint64_t tiles = (uint64_t)cut.rowTiles * cut.outputTiles, room = (areTwo ? 2ull : 1ull) * device->multiprocessors;
  if (tiles > 0 && 2 * tiles <= room) {
    cut.stepsOfPart = parts(parts(steps, room / tiles), segmentSteps) * segmentSteps;
    cut.parts = parts(steps, cut.stepsOfPart);
  }
  return cut;
}

enum { W, X, Out, RowCount, Arguments };

/** Reads a command as one more job. The grid covers so many rows; rowCount[0] of them, no more than there is memory for, are
 * multiplied. False where it is not for these kernels. */
static bool readJob(const CudaNativeCommand *command, const Type *type, MatmulParameters *p, uint32_t job) {
  const uint32_t *arguments = command->constants[Arguments];
  if (!arguments || command->bufferLengths[Arguments] < 8 || command->bufferLengths[RowCount] < 4) return false;
  const uint32_t n = arguments[0], k = arguments[1];
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
  p->depth = parts(k, MatmulTileDepth) * MatmulTileDepth;
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
    p.jobs[i].firstTile = i < jobs ? p.jobs[i - 1].firstTile + parts(p.jobs[i - 1].n, 64u << cut.size) : cut.outputTiles;
  p.stepsOfPart = cut.stepsOfPart;
  p.factorsOffset = (uint64_t)cut.rowTiles * MatmulTileRows * 2 * type->rowPlanes * p.depth;
  p.partsOffset = p.factorsOffset + aligned(4ull * p.mostRows);

  out->kernel = type->kernels[cut.size];
  out->grid[0] = cut.rowTiles, out->grid[1] = cut.outputTiles, out->grid[2] = cut.parts;
  out->block[0] = hasPreparers(device, type) ? 2 * MatmulThreads : MatmulThreads, out->block[1] = out->block[2] = 1;
  out->sharedBytes = sharedBytes(device, type, 64u << cut.size);
  out->scratchBytes = 4 * (MatmulFirstCounter + cut.rowTiles + (cut.parts > 1 ? tiles : 0));
  out->scratchOffset = offsetof(MatmulParameters, counters);
  out->partialBytes = p.partsOffset + (cut.parts > 1 ? tiles * cut.parts * MatmulTileRows * 4 * (64ull << cut.size) : 0);
  out->partialOffset = offsetof(MatmulParameters, partial);
  out->overlaps = true;
  out->parameterBytes = sizeof p;
  memcpy(out->parameters, &p, sizeof p);
  return jobs;
}

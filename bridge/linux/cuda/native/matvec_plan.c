/* matvec_plan.c: which products matvec.cu makes, and several that read the same x as one. */
#include "matvec.h"
#include "native.h"

#include <stdio.h>

typedef struct WeightType {
  const char *name;
  uint32_t sliceElements, sliceBytes, blockElements, recordBytes;
} WeightType;
#define TYPE(name, sliceElements, sliceBytes, blockElements, recordBytes) \
  {#name, sliceElements, sliceBytes, blockElements, recordBytes},
static const WeightType types[] = {MATVEC_TYPES(TYPE)};
enum { TypeCount = sizeof types / sizeof *types };

/** What shaders/tiles.h says of a SIMD group, and the most blocks in the second direction of a grid. */
enum { OutputsPerSimdgroup = 4, SimdWidth = 32, MostRows = 65535 };
/** Keeps sums of a block in few bytes of shared memory. */
enum { MostTilesOfBlock = 128 };

/** A product as its command says it. */
typedef struct Product {
  const WeightType *type;
  bool isFused;
  uint32_t n, k, rows, ending;
  float eps;
  uint64_t x, norm; /* norm: 0 without */
  uint64_t rowBytes;
  MatvecJob job;
} Product;

static const WeightType *typeOf(const char *name) {
  for (uint32_t i = 0; i < TypeCount; i++)
    if (strcmp(types[i].name, name) == 0) return &types[i];
  return NULL;
}

static bool holds(const CudaNativeCommand *command, uint32_t index, uint64_t bytes) {
  return command->buffers[index] != 0 && command->bufferLengths[index] >= bytes;
}

/** False where a command is none of these, or one that only the MSL can do. */
static bool readProduct(const CudaNativeCommand *command, Product *product) {
  static const char fused[] = "matvec_fused_", plain[] = "matvec_";
  const char *name = command->function->name;
  *product = (Product){.isFused = strncmp(name, fused, sizeof fused - 1) == 0};
  if (product->isFused) name += sizeof fused - 1;
  else if (strncmp(name, plain, sizeof plain - 1) == 0) name += sizeof plain - 1;
  else return false;
  product->type = typeOf(name);
  const uint32_t argumentIndex = product->isFused ? 6 : 3, outIndex = product->isFused ? 5 : 2, xIndex = product->isFused ? 2 : 1;
  if (!product->type || !command->constants[argumentIndex]) return false;
  uint32_t arguments[5] = {0};
  memcpy(arguments, command->constants[argumentIndex], product->isFused ? 20 : 8);
  const uint32_t n = arguments[0], k = arguments[1];
  product->n = n, product->k = k, product->ending = arguments[4];
  memcpy(&product->eps, &arguments[3], 4);
  if (n == 0 || k == 0 || k % product->type->blockElements != 0 || product->ending > MatvecGelu) return false;

  const uint32_t *group = command->threadsPerThreadgroup;
  if (group[0] == 0 || group[1] != 1 || group[2] != 1 || command->threads[2] != 1) return false;
  const uint64_t groups = (command->threads[0] + group[0] - 1) / group[0];
  const uint64_t outputs = groups * ((group[0] + SimdWidth - 1) / SimdWidth) * OutputsPerSimdgroup;
  if (outputs < n || command->threads[1] == 0 || command->threads[1] > MostRows) return false;
  product->rows = (uint32_t)command->threads[1];

  const uint64_t xBytes = 4 * (uint64_t)k * product->rows, outBytes = 4 * (uint64_t)n * product->rows;
  const WeightType *type = product->type;
  product->rowBytes = (uint64_t)k / type->blockElements * (type->sliceBytes / (type->sliceElements / type->blockElements));
  const uint64_t weightBytes = product->rowBytes * n; /* below 2^66, of a k and an n that are: */
  if (product->rowBytes > UINT32_MAX || !holds(command, 0, weightBytes) || command->buffers[0] % 16 != 0) return false;
  if (!holds(command, xIndex, xBytes) || !holds(command, outIndex, outBytes)) return false;
  product->x = command->buffers[xIndex];
  product->job = (MatvecJob){.weights = (const uint8_t *)command->buffers[0], .out = (float *)command->buffers[outIndex], .n = n};
  if (product->ending >= MatvecSilu) {
    if (!holds(command, 1, weightBytes) || command->buffers[1] % 16 != 0) return false;
    product->job.second = (const uint8_t *)command->buffers[1];
  }
  if (product->ending == MatvecAdd) {
    if (!holds(command, 4, outBytes)) return false;
    product->job.residual = (const float *)command->buffers[4];
  }
  if (arguments[2] != 0) {
    if (!holds(command, 3, 4 * (uint64_t)k)) return false;
    product->norm = command->buffers[3];
  }
  return true;
}

/** They can be one launch. */
static bool areAlike(const Product *a, const Product *b) {
  return a->type == b->type && a->k == b->k && a->rows == b->rows && a->x == b->x && a->norm == b->norm &&
         (a->norm == 0 || memcmp(&a->eps, &b->eps, 4) == 0) && a->ending == b->ending && a->ending < MatvecSilu;
}

/** The kernel's name, as matvec.cu makes it. */
static const char *kernelName(const WeightType *type, bool isAligned) {
#define NAMES(name, sliceElements, sliceBytes, blockElements, recordBytes) {"matvec_" #name "_any", "matvec_" #name "_aligned"},
  static const char *const names[][2] = {MATVEC_TYPES(NAMES)};
  return names[type - types][isAligned];
}

uint32_t cudaMatvecPlan(const CudaNativeDevice *device, const CudaNativeCommand *commands, uint32_t count,
                        CudaNativeLaunch *out) {
  Product first;
  if (!readProduct(&commands[0], &first)) return 0;
  const WeightType *type = first.type;
  MatvecParameters p = {.x = (const float *)first.x, .norm = (const float *)first.norm, .rowBytes = first.rowBytes, .k = first.k,
                        .slices = (first.k + type->sliceElements - 1) / type->sliceElements, .ending = first.ending, .eps = first.eps};
  uint32_t taken = 0;
  for (Product product = first; taken < MatvecMaxJobs;) {
    p.tiles += (product.n + MatvecTileRows - 1) / MatvecTileRows;
    product.job.endTile = p.tiles;
    for (uint32_t i = taken; i < MatvecMaxJobs; i++) p.jobs[i] = product.job;
    taken++;
    if (taken == count || commands[taken].waits || !readProduct(&commands[taken], &product) || !areAlike(&first, &product)) break;
  }

  const bool isAligned = type->sliceBytes % 16 == 0 && first.rowBytes % 16 == 0;
  const uint32_t unitBytes = MATVEC_UNIT(type->sliceBytes, isAligned), matrices = first.ending >= MatvecSilu ? 2 : 1;
  const uint64_t recordBytes = (uint64_t)p.slices * type->recordBytes;
  if (recordBytes > device->sharedBytes) return 0;
  /* As many blocks as the device has room for at once, with the same number of tiles but for one. A multiprocessor has 1 KB of
   * shared memory more than a block can have, and takes that from each. */
  uint32_t blocks = 0, sharedBytes = 0;
  for (uint32_t resident = 2; resident > 0; resident--) {
    blocks = device->multiprocessors * resident;
    if (blocks > p.tiles) blocks = p.tiles;
    if ((p.tiles + blocks - 1) / blocks > MostTilesOfBlock) blocks = (p.tiles + MostTilesOfBlock - 1) / MostTilesOfBlock;
    const uint32_t sums = (p.tiles + blocks - 1) / blocks * matrices;
    const uint64_t unitsOfWarp = ((uint64_t)sums * p.slices + MatvecWarps - 1) / MatvecWarps;
    p.ringBytes = (unitsOfWarp < MatvecStages ? (uint32_t)unitsOfWarp : MatvecStages) * unitBytes;
    p.recordsAt = MatvecWarps * p.ringBytes;
    p.resultsAt = p.recordsAt + (uint32_t)recordBytes;
    p.piecesAt = p.resultsAt + sums * 4 * MatvecTileRows;
    sharedBytes = p.piecesAt + 4 * (MatvecWarps * MatvecTileRows + MatvecWarps);
    if (resident * (sharedBytes + 1024) <= device->sharedBytes + 1024) break;
  }
  if (sharedBytes > device->sharedBytes) return 0;

  out->kernel = kernelName(type, isAligned);
  out->grid[0] = blocks, out->grid[1] = first.rows, out->grid[2] = 1;
  out->block[0] = MatvecThreads, out->block[1] = out->block[2] = 1;
  out->sharedBytes = sharedBytes;
  out->overlaps = true;
  out->parameterBytes = sizeof p;
  memcpy(out->parameters, &p, sizeof p);
  return taken;
}

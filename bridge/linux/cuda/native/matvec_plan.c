/* matvec_plan.c: which products matvec.cu makes, and several that read the same x as one. */
#include "matvec.h"
#include "plan.h"

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
/** Offsets in a tile have 32 bits. */
enum { MostRowBytes = UINT32_MAX / MatvecTileRows };
/** Keeps sums of a block in few bytes of shared memory. */
enum { MostTilesOfBlock = 128 };
/** Blocks of 16 warps where x is long, one for each multiprocessor, which then has x once; else, and where there are so few tiles
 * that some multiprocessors would have twice as many as others, of 8 warps, two for each. */
enum { LongInput = 4096, TilesForLong = 2 };
static uint32_t warpsFor(const CudaNativeDevice *device, uint32_t k, uint32_t tiles) {
  return k >= LongInput && tiles >= TilesForLong * device->multiprocessors ? MatvecMostWarps : MatvecMostWarps / 2;
}

/** The kernels of shaders/matvec.metal and matvec_fused.metal for single rows, and where they have what. */
typedef struct Family {
  const char *prefix; /* the type comes behind it */
  uint32_t x, out, arguments, argumentBytes;
} Family;
enum { Experts, Fused, Tiled, Plain, Families };
static const Family families[Families] = {
    {"matvec_experts_", 1, 3, 4, 16}, {"matvec_fused_", 2, 5, 6, 20}, {"matvec_tiled_", 1, 2, 3, 8}, {"matvec_", 1, 2, 3, 8}};

/** A product as its command says it. */
typedef struct Product {
  const WeightType *type;
  uint32_t n, k, rows, ending;
  float eps;
  uint64_t x, norm, ids; /* norm, ids: 0 without */
  uint32_t experts, share;
  bool readsEarly; /* nobody writes the weights, and it is known which they are */
  uint64_t rowBytes;
  MatvecJob job;
} Product;

static const WeightType *typeOf(const char *name) {
  for (uint32_t i = 0; i < TypeCount; i++)
    if (strcmp(types[i].name, name) == 0) return &types[i];
  return NULL;
}

/** Of the matrix, or of all experts'. */
static bool readWeights(const CudaNativeCommand *command, uint32_t index, const Product *product, const uint8_t **weights) {
  const uint64_t matrixBytes = product->rowBytes * product->n; /* both below 2^32 */
  if (matrixBytes > UINT64_MAX / product->experts || !isBound(command, index, matrixBytes * product->experts, 16)) return false;
  *weights = (const uint8_t *)command->buffers[index];
  return true;
}

/** False where a command is none of these, or one that only the MSL can do. */
static bool readProduct(const CudaNativeCommand *command, Product *product) {
  const char *name = command->function->name;
  uint32_t kind = 0;
  while (kind < Families && strncmp(name, families[kind].prefix, strlen(families[kind].prefix)) != 0) kind++;
  if (kind == Families) return false;
  const Family *family = &families[kind];
  *product = (Product){.type = typeOf(name + strlen(family->prefix)), .experts = 1, .share = 1};
  const uint32_t *arguments = argumentsOf(command, family->arguments, family->argumentBytes);
  if (!product->type || !arguments) return false;
  const uint32_t n = arguments[0], k = arguments[1];
  const WeightType *type = product->type;
  product->n = n, product->k = k;
  if (n == 0 || k == 0 || k % type->blockElements != 0) return false;

  const uint32_t *group = command->threadsPerThreadgroup;
  if (group[0] == 0 || group[1] != 1 || group[2] != 1 || command->threads[2] != 1) return false;
  const uint64_t groups = groupsAlong(command, 0);
  const uint64_t outputs = groups * ((group[0] + SimdWidth - 1) / SimdWidth) * OutputsPerSimdgroup;
  if (outputs < n || command->threads[1] == 0 || command->threads[1] > MostRows) return false;
  product->rows = (uint32_t)command->threads[1];

  if (kind == Experts) {
    product->experts = arguments[2], product->share = arguments[3];
    if (product->experts == 0 || product->share == 0 || !isBound(command, 2, 4 * (uint64_t)product->rows, 1)) return false;
    product->ids = command->buffers[2];
  }
  const uint64_t xRows = (product->rows - 1) / product->share + 1;
  const uint64_t xBytes = 4 * (uint64_t)k * xRows, outBytes = 4 * (uint64_t)n * product->rows;
  product->rowBytes = (uint64_t)k / type->blockElements * (type->sliceBytes / (type->sliceElements / type->blockElements));
  if (product->rowBytes > MostRowBytes || !readWeights(command, 0, product, &product->job.weights)) return false;
  if (!isBound(command, family->x, xBytes, 1) || !isBound(command, family->out, outBytes, 1)) return false;
  product->x = command->buffers[family->x];
  product->job.out = (float *)command->buffers[family->out];
  product->job.n = n;
  product->readsEarly = kind != Experts && (command->unwritten & 1) != 0;
  if (kind != Fused) return true;

  product->ending = arguments[4];
  memcpy(&product->eps, &arguments[3], 4);
  if (product->ending > EndingGelu) return false;
  if (product->ending >= EndingSilu) {
    if (!readWeights(command, 1, product, &product->job.second)) return false;
    product->readsEarly = (command->unwritten & 3) == 3;
  }
  if (product->ending == EndingAdd) {
    if (!isBound(command, 4, outBytes, 1)) return false;
    product->job.residual = (const float *)command->buffers[4];
  }
  if (arguments[2] != 0) {
    if (!isBound(command, 3, 4 * (uint64_t)k, 1)) return false;
    product->norm = command->buffers[3];
  }
  return true;
}

/** They can be one launch, if there is a kernel for their types. */
static bool areAlike(const Product *a, const Product *b) {
  return a->k == b->k && a->rows == b->rows && a->x == b->x && a->norm == b->norm &&
         (a->norm == 0 || memcmp(&a->eps, &b->eps, 4) == 0) && a->ending == b->ending && a->ending < EndingSilu && a->ids == 0 && b->ids == 0;
}

/** A kernel of matvec.cu. */
typedef struct Kernel {
  const char *name, *types[2]; /* the second NULL where there is one */
  bool isAligned;              /* that of the first; of two, each has the alignment that it always has */
} Kernel;
enum { any = false, aligned = true };
#define KERNEL(name, alignment) {"matvec_" #name "_" #alignment, {#name, NULL}, alignment},
#define PAIR(first, firstAlignment, second, secondAlignment) \
  {"matvec_" #first "_" #firstAlignment "_" #second "_" #secondAlignment, {#first, #second}, firstAlignment},
static const Kernel kernels[] = {MATVEC_KERNELS(KERNEL) MATVEC_PAIRS(PAIR)};

static const Kernel *kernelOf(const WeightType *first, const WeightType *second, bool isAligned) {
  for (uint32_t i = 0; i < sizeof kernels / sizeof *kernels; i++) {
    const Kernel *kernel = &kernels[i];
    if (kernel->isAligned != isAligned || strcmp(kernel->types[0], first->name) != 0) continue;
    if (second ? kernel->types[1] && strcmp(kernel->types[1], second->name) == 0 : !kernel->types[1]) return kernel;
  }
  return NULL;
}

static bool isAligned(const WeightType *type, uint64_t rowBytes) { return type->sliceBytes % 16 == 0 && rowBytes % 16 == 0; }

/** Kernels load four activations at once, but for those that take floats which begin anywhere. */
static bool canLoad(const Product *product) {
  const bool isAny = product->type->blockElements == 1 && !isAligned(product->type, product->rowBytes);
  return isAny || (product->x | product->norm) % 16 == 0;
}

/** The jobs of a type. */
typedef struct Part {
  const WeightType *type; /* NULL where there are none */
  uint64_t rowBytes;
  uint32_t tiles, jobCount;
  MatvecJob jobs[MatvecMaxJobs];
} Part;

static void addJob(Part *part, const Product *product) {
  part->type = product->type;
  part->rowBytes = product->rowBytes;
  part->tiles += (product->n + MatvecTileRows - 1) / MatvecTileRows;
  part->jobs[part->jobCount] = product->job;
  part->jobs[part->jobCount++].endTile = part->tiles;
}

/** The part that a product may be added to: that of its type, or a new one, if there is a kernel for the two; else NULL. */
static Part *partFor(Part parts[2], const Product *product) {
  if (product->type == parts[0].type) return &parts[0];
  if (product->type == parts[1].type) return &parts[1];
  if (parts[1].type) return NULL;
  const WeightType *type = product->type;
  const bool isFirst = kernelOf(type, parts[0].type, isAligned(type, product->rowBytes)) != NULL;
  if (!isFirst && !kernelOf(parts[0].type, type, isAligned(parts[0].type, parts[0].rowBytes))) return NULL;
  if (!isFirst) return &parts[1];
  parts[1] = parts[0];
  parts[0] = (Part){0};
  return &parts[0];
}

/** Shares out the tiles of a part to blocks, and says what shared memory these have. None has more tiles than sums are kept
 * for, so there may be more blocks than asked for. */
static uint64_t planPart(const Part *part, uint32_t k, uint32_t matrices, uint32_t warps, uint32_t stages,
                         uint32_t *blocksOfPart, MatvecPart *out) {
  uint32_t blocks = *blocksOfPart;
  if (divideUp(part->tiles, blocks) > MostTilesOfBlock) blocks = (uint32_t)divideUp(part->tiles, MostTilesOfBlock);
  const uint32_t slices = (uint32_t)divideUp(k, part->type->sliceElements), sums = (uint32_t)divideUp(part->tiles, blocks) * matrices;
  const uint64_t unitsOfWarp = divideUp((uint64_t)sums * slices, warps);
  const uint32_t unitBytes = MATVEC_UNIT(part->type->sliceBytes, isAligned(part->type, part->rowBytes));
  out->rowBytes = (uint32_t)part->rowBytes;
  out->tilesOfBlock = part->tiles / blocks, out->blocksWithMore = part->tiles % blocks;
  *blocksOfPart = blocks;
  out->stages = stages;
  out->ringBytes = (unitsOfWarp < stages ? (uint32_t)unitsOfWarp : stages) * unitBytes;
  const uint64_t recordsAt = (uint64_t)warps * out->ringBytes, resultsAt = recordsAt + (uint64_t)slices * part->type->recordBytes;
  const uint64_t piecesAt = resultsAt + sums * 4 * MatvecTileRows;
  out->recordsAt = (uint32_t)recordsAt, out->resultsAt = (uint32_t)resultsAt, out->piecesAt = (uint32_t)piecesAt;
  return piecesAt + 4 * (warps * MatvecTileRows + warps);
}

/** How long rings may be, and how many times the blocks of a launch have to find room in the multiprocessors, from the best on. */
static const struct Way {
  uint32_t stages, launches;
} ways[] = {{MatvecMostStages, 2}, {3, 2}, {2, 2}, {MatvecMostStages, 1}, {3, 1}, {2, 1}};

/** So many blocks for each part as it has of all weights. */
static uint32_t blocksOf(const Part parts[2], uint32_t i, uint32_t blocks) {
  if (parts[0].tiles + parts[1].tiles <= blocks) return parts[i].tiles;
  if (!parts[1].type) return blocks;
  const double first = (double)parts[0].tiles * (double)parts[0].rowBytes, second = (double)parts[1].tiles * (double)parts[1].rowBytes;
  uint32_t share = (uint32_t)(blocks * (first / (first + second)) + 0.5);
  if (i == 1) share = blocks > share ? blocks - share : 0;
  if (share == 0) share = 1;
  return share < parts[i].tiles ? share : parts[i].tiles;
}

uint32_t cudaMatvecPlan(const CudaNativeDevice *device, const CudaNativeCommand *commands, uint32_t count,
                        CudaNativeLaunch *out) {
  Product first;
  if (!readProduct(&commands[0], &first) || !canLoad(&first)) return 0;
  Part parts[2] = {0};
  addJob(&parts[0], &first);
  uint32_t taken = 1;
  for (Product product; taken < count && taken < MatvecMaxJobs; taken++) {
    if (commands[taken].waits || !readProduct(&commands[taken], &product) || !areAlike(&first, &product)) break;
    Part *part = partFor(parts, &product);
    if (!part) break;
    first.readsEarly = first.readsEarly && product.readsEarly;
    addJob(part, &product);
  }
  if ((uint64_t)parts[0].tiles + parts[1].tiles > UINT32_MAX / MatvecTileRows) return 0;

  MatvecParameters p = {.x = (const float *)first.x,
                        .norm = (const float *)first.norm,
                        .ids = (const uint32_t *)first.ids,
                        .k = first.k,
                        .ending = first.ending,
                        .experts = first.experts,
                        .share = first.share,
                        .readsEarly = first.readsEarly,
                        .eps = first.eps,
                        .inverseOfK = 1.0f / (float)first.k};
  for (uint32_t i = 0, job = 0; i < 2; i++)
    for (uint32_t j = 0; j < parts[i].jobCount; j++, job++)
      for (uint32_t copy = job; copy < MatvecMaxJobs; copy++) {
        p.jobs[copy] = parts[i].jobs[j];
        p.jobs[copy].endTile += i == 1 ? parts[0].tiles : 0;
      }

  /* All blocks have the same number of tiles but for one, and as long rings as leave room for as many of the next launch, which
   * then begin early. Where that is for too little on its way, all the room. A multiprocessor has 1 KB of shared memory more than
   * a block can have, and takes that from each. */
  const uint32_t warps = warpsFor(device, first.k, parts[0].tiles + parts[1].tiles), each = MatvecMostWarps / warps;
  const uint32_t matrices = first.ending >= EndingSilu ? 2 : 1;
  uint64_t sharedBytes = 0;
  uint32_t blocks[2] = {0, 0};
  for (uint32_t i = 0; i < sizeof ways / sizeof *ways; i++) {
    sharedBytes = 0;
    for (uint32_t j = 0; j < 2 && parts[j].type; j++) {
      blocks[j] = blocksOf(parts, j, each * device->multiprocessors);
      const uint64_t bytes = planPart(&parts[j], first.k, matrices, warps, ways[i].stages, &blocks[j], &p.parts[j]);
      if (bytes > sharedBytes) sharedBytes = bytes;
    }
    if (sharedBytes <= (device->sharedBytes + 1024) / (each * ways[i].launches) - 1024) break;
  }
  if (sharedBytes > device->sharedBytes) return 0;
  p.parts[1].firstTile = parts[0].tiles, p.parts[1].firstBlock = blocks[0];

  *out = (CudaNativeLaunch){
      .kernel = kernelOf(parts[0].type, parts[1].type, isAligned(parts[0].type, parts[0].rowBytes))->name,
      .grid = {blocks[0] + blocks[1], first.rows, 1},
      .block = {32 * warps, 1, 1},
      .sharedBytes = (uint32_t)sharedBytes,
      .overlaps = true,
      .parameterBytes = sizeof p,
  };
  memcpy(out->parameters, &p, sizeof p);
  return taken;
}

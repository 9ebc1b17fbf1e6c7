/* matmul_plan.c: how matrix-matrix products run on matmul.cu. */
#include "matmul_plan.h"

#include "matmul.h"

#include <stddef.h>

typedef struct Type {
  const char *name;           /* of the command */
  const char *kernels[2];     /* for tiles of 64 and of 128 outputs; the latter may be missing */
  uint32_t elements, bytes;   /* of a block */
  uint32_t rowPlanes;         /* of converted x */
} Type;

#define TYPE(name, elements, bytes, planes) \
  {"matmul_" #name, {"matmul_" #name "_64", "matmul_" #name "_128"}, elements, bytes, planes}

static const Type types[] = {
    {"matmul_f32", {"matmul_f32_64", NULL}, 1, 4, 2},
    TYPE(f16, 1, 2, 1), TYPE(bf16, 1, 2, 2),
    TYPE(q4_0, 32, 18, 1), TYPE(q4_1, 32, 20, 1), TYPE(q5_0, 32, 22, 1), TYPE(q5_1, 32, 24, 1), TYPE(q8_0, 32, 34, 1),
    TYPE(iq4_nl, 32, 18, 1), TYPE(mxfp4, 32, 17, 1),
    TYPE(q2_k, 256, 84, 1), TYPE(q3_k, 256, 110, 1), TYPE(q4_k, 256, 144, 1), TYPE(q5_k, 256, 176, 1), TYPE(q6_k, 256, 210, 1),
    TYPE(iq4_xs, 256, 136, 1),
};

static const Type *typeOf(const char *name) {
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (strcmp(types[i].name, name) == 0) return &types[i];
  return NULL;
}

static uint32_t parts(uint64_t total, uint64_t part) { return (uint32_t)((total + part - 1) / part); }
static uint64_t aligned(uint64_t bytes) { return (bytes + 255) / 256 * 256; }

/** Shared memory of a block; matmul.cu says what is in it. */
static uint32_t sharedBytes(const Type *type, uint32_t outputs) {
  const uint32_t rowBytes = 2 * MatmulTileDepth, rows = MatmulStages * type->rowPlanes * MatmulTileRows * rowBytes;
  uint32_t weights;
  if (type->elements > 1)
    weights = 2 * outputs * (rowBytes + MATMUL_PITCH(MatmulSegment / type->elements * type->bytes)) + 16;
  else if (type->bytes == 2) weights = MatmulStages * outputs * rowBytes;
  else weights = 2 * 2 * outputs * rowBytes;
  return MatmulControlBytes + rows + weights;
}

/** How the work is cut. */
typedef struct Cut {
  uint32_t outputs; /* of a tile */
  uint32_t rowTiles, outputTiles, parts, stepsOfPart;
} Cut;

/**
 * Of large tiles, a multiprocessor has one at a time; small ones take a bit more than half as long, two at a time. Where not even
 * these keep half of the multiprocessors busy, k is cut, too, into parts of four steps at least.
 */
static Cut cutWork(const CudaNativeDevice *device, const Type *type, const MatmulParameters *p) {
  const uint32_t smallPercent = 56, steps = p->depth / MatmulTileDepth, segmentSteps = MatmulSegment / MatmulTileDepth;
  Cut cut = {.outputs = 64, .rowTiles = parts(p->mostRows, MatmulTileRows), .parts = 1, .stepsOfPart = steps};
  const uint64_t small = (uint64_t)cut.rowTiles * parts(p->n, 64), large = (uint64_t)cut.rowTiles * parts(p->n, 128);
  if (type->kernels[1] && sharedBytes(type, 128) <= device->sharedBytes &&
      100ull * parts(large, device->multiprocessors) <= (uint64_t)smallPercent * parts(small, device->multiprocessors))
    cut.outputs = 128;
  cut.outputTiles = parts(p->n, cut.outputs);
  const uint64_t tiles = (uint64_t)cut.rowTiles * cut.outputTiles;
  if (2 * tiles <= device->multiprocessors) {
    cut.stepsOfPart = parts(parts(steps, device->multiprocessors / tiles), segmentSteps) * segmentSteps;
    cut.parts = parts(steps, cut.stepsOfPart);
  }
  return cut;
}

enum { W, X, Out, RowCount, Arguments };

uint32_t matmulPlan(const CudaNativeDevice *device, const CudaNativeCommand *commands, uint32_t count, CudaNativeLaunch *out) {
  (void)count;
  const CudaNativeCommand *command = commands;
  const Type *type = typeOf(command->function->name);
  const uint32_t *arguments = command->constants[Arguments];
  if (!type || !arguments || command->bufferLengths[Arguments] < 8 || command->bufferLengths[RowCount] < 4) return 0;

  const uint32_t n = arguments[0], k = arguments[1];
  const uint64_t rowBytes = (uint64_t)(k / type->elements) * type->bytes;
  /* x is read by 16 bytes, and so are rows of weights that are floats. */
  const uint32_t elementsAtOnce = type->elements > 1 ? type->elements : type->bytes == 2 ? 8 : 4;
  if (n == 0 || k == 0 || k % elementsAtOnce != 0 || rowBytes > 1u << 23) return 0;
  if (command->buffers[W] % 16 != 0 || command->buffers[X] % 16 != 0 || command->buffers[Out] % 8 != 0) return 0;
  if (command->bufferLengths[W] / rowBytes < n) return 0;

  /* The grid covers so many rows; rowCount[0] of them, no more than there is memory for, are multiplied. */
  uint64_t rows = command->threads[1] * 32;
  if (rows > command->bufferLengths[X] / 4 / k) rows = command->bufferLengths[X] / 4 / k;
  if (rows > command->bufferLengths[Out] / 4 / n) rows = command->bufferLengths[Out] / 4 / n;
  if (rows == 0 || rows > 1u << 20 || command->threadsPerThreadgroup[1] != 1) return 0;

  MatmulParameters p = {.w = command->buffers[W],
                        .x = command->buffers[X],
                        .out = command->buffers[Out],
                        .rowCount = command->buffers[RowCount],
                        .n = n,
                        .k = k,
                        .mostRows = (uint32_t)rows,
                        .rowBytes = (uint32_t)rowBytes,
                        .depth = parts(k, MatmulTileDepth) * MatmulTileDepth};
  const Cut cut = cutWork(device, type, &p);
  if (sharedBytes(type, cut.outputs) > device->sharedBytes || cut.outputTiles > 65535) return 0;
  const uint64_t tiles = (uint64_t)cut.rowTiles * cut.outputTiles;
  p.stepsOfPart = cut.stepsOfPart;
  p.factorsOffset = (uint64_t)cut.rowTiles * MatmulTileRows * 2 * type->rowPlanes * p.depth;
  p.partsOffset = p.factorsOffset + aligned(4 * rows);

  out->kernel = type->kernels[cut.outputs == 128];
  out->grid[0] = cut.rowTiles, out->grid[1] = cut.outputTiles, out->grid[2] = cut.parts;
  out->block[0] = MatmulBlockThreads, out->block[1] = out->block[2] = 1;
  out->sharedBytes = sharedBytes(type, cut.outputs);
  out->scratchBytes = 4 * (MatmulFirstCounter + cut.rowTiles + (cut.parts > 1 ? tiles : 0));
  out->scratchOffset = offsetof(MatmulParameters, counters);
  out->partialBytes = p.partsOffset + (cut.parts > 1 ? tiles * cut.parts * MatmulTileRows * cut.outputs * 4 : 0);
  out->partialOffset = offsetof(MatmulParameters, partial);
  out->overlaps = true;
  out->parameterBytes = sizeof p;
  memcpy(out->parameters, &p, sizeof p);
  return 1;
}

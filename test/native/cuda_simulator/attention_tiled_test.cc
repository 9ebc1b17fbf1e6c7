/* Attention of many rows on CUDA devices: its plan and its kernels, against float64. */
#include "run.h"

#include "cuda/native/attention_tiled.cu"
#include "cuda/native/shader_args.h"

#include <time.h>

extern "C" CudaNativePlan cudaAttentionTiledPlan;

#define SIMULATED_TILED(width, type, queries, ...) SIMULATED(attention_tiled_##width##_##type##_##queries),
static const SimulatedKernel kernels[] = {ATTENTION_TILED_KERNELS(SIMULATED_TILED)};

static Random numbers;

/* What is stored in a cache, and what it means. */
struct StoredCache {
  SimulatedBuffer<u8> bytes;
  SimulatedBuffer<double> values;

  StoredCache(u32 type, const SimulatedBuffer<float> &numbers)
      : bytes(type == AttentionTiled_f32   ? numbers.count * 4
              : type == AttentionTiled_f16 ? numbers.count * 2
                                           : numbers.count / 32 * 34),
        values(numbers.count) {
    if (type == AttentionTiled_q8_0) {
      for (u64 block = 0; block < numbers.count / 32; block++) {
        float largest = 0;
        for (u64 i = 0; i < 32; i++) largest = fmaxf(largest, fabsf(numbers[block * 32 + i]));
        const u16 scale = floatToHalf(largest / 127);
        memcpy(bytes.items + block * 34, &scale, 2);
        for (u64 i = 0; i < 32; i++) {
          const double quant = largest > 0 ? rint((double)numbers[block * 32 + i] * 127 / (double)largest) : 0;
          bytes[block * 34 + 2 + i] = (u8)(i8)quant;
          values[block * 32 + i] = (double)halfToFloat(scale) * quant;
        }
      }
      return;
    }
    for (u64 i = 0; i < numbers.count; i++) {
      const u16 half = floatToHalf(numbers[i]);
      if (type == AttentionTiled_f16) memcpy(bytes.items + 2 * i, &half, 2);
      else memcpy(bytes.items + 4 * i, &numbers[i], 4);
      values[i] = (double)(type == AttentionTiled_f16 ? halfToFloat(half) : numbers[i]);
    }
  }
};

struct Rows {
  u32 count;
  struct {
    u32 sequence, position;
  } rows[160];
};

struct Shape {
  const char *name;
  u32 heads, kvHeads, headDim, blockSize;
  Rows rows;
  u32 window = NoWindow;
  float softCap = 0;
  float keySize = 1, valueSize = 1, querySize = 2; /* of the numbers that are drawn */
  /* The numbers of position p are 2^(growth * p) times as large. */
  float growth = 0;
  bool isShared = false, isWide = false;
  /* The keys of the last position are infinite: its row has no numbers, and those that do not see it are as they were. */
  bool isLastInfinite = false;
};

/* Rows at positions first .. first + count - 1 of a sequence. */
static Rows range(u32 first, u32 count, u32 sequence = 0) {
  Rows rows;
  rows.count = count;
  for (u32 i = 0; i < count; i++) rows.rows[i] = {sequence, first + i};
  return rows;
}
static Rows operator+(Rows a, const Rows &b) {
  for (u32 i = 0; i < b.count; i++) a.rows[a.count++] = b.rows[i];
  return a;
}
static Rows alternating(const Rows &a, const Rows &b) {
  Rows rows;
  rows.count = 0;
  for (u32 i = 0; i < a.count || i < b.count; i++) {
    if (i < a.count) rows.rows[rows.count++] = a.rows[i];
    if (i < b.count) rows.rows[rows.count++] = b.rows[i];
  }
  return rows;
}

struct Errors {
  double squares = 0, sizes = 0, worst = 0; /* worst: in units of what is allowed */
};

/*
 * Runs a shape and compares. What is allowed of an output: with unit = 2^-11, the rounding of a half, and eta the same of a type of
 * caches that is rounded (0 of F16), a score errs by about sqrt(unit^2 + eta^2) of the root of its terms' squares, and a product of
 * weight and value by sqrt(unit^2 + eta^2) of itself. Twice that, added over the keys as if they all erred alike.
 */
static Errors compare(u32 type, const Shape &shape, const SimulatedBuffer<float> &keys, const SimulatedBuffer<float> &values,
                      const SimulatedBuffer<u32> &tables, u32 blocksPerSequence) {
  const u32 heads = shape.heads, kvHeads = shape.kvHeads, headDim = shape.headDim, rows = shape.rows.count;
  const StoredCache keyCache(type, keys), valueCache(type, values);
  SimulatedBuffer<float> q((u64)rows * heads * headDim), out((u64)rows * heads * headDim);
  SimulatedBuffer<u32> positions(rows), sequences(rows), rowCount(1);
  for (u64 i = 0; i < q.count; i++) q[i] = numbers.normal() * shape.querySize;
  for (u32 r = 0; r < rows; r++) positions[r] = shape.rows.rows[r].position, sequences[r] = shape.rows.rows[r].sequence;
  rowCount[0] = rows;

  const float scale = 1 / sqrtf((float)headDim);
  const AttentionArgs arguments = {heads, kvHeads,       headDim,      shape.blockSize, blocksPerSequence,
                                   scale, shape.softCap, shape.window, 1};
  const char *const types[] = {"f32", "f16", "q8_0"};
  const u32 width = headDim <= 64 ? 64 : headDim <= 128 ? 128 : 256, simdGroups = width == 256 ? 2 : 4;
  char name[64];
  snprintf(name, sizeof name, "attention_tiled_%u_%s", width, types[type]);
  SimulatedCommand command(name);
  command.bind(0, q), command.bind(1, keyCache.bytes), command.bind(2, valueCache.bytes), command.bind(3, positions);
  command.bind(4, sequences), command.bind(5, tables), command.bind(6, out), command.bind(7, rowCount);
  command.constant(8, arguments);
  const u32 queries = (rows + 3) * heads / kvHeads; /* a grid for more rows than there are */
  command.dispatch(kvHeads * simdGroups * 32, (queries + simdGroups * 8 - 1) / (simdGroups * 8), 1, simdGroups * 32, 1, 1);
  command.command.unwritten = numbers.below(2) ? 0xffffffff : 0;
  /* A GPU that the tiles of queries keep busy, or one on which several blocks share out the keys of each. */
  CudaNativeDevice device = simulatedH200;
  const u32 blocks = kvHeads * ((queries + 63) / 64);
  device.multiprocessors = shape.isShared ? 5 * blocks : shape.isWide ? 1 : blocks;
  CHECK_NUMBER(simulatePlan(cudaAttentionTiledPlan, &device, &command.command, 1, kernels, numbers.next()), 1);

  const double unit = 0x1p-11, each = type == AttentionTiled_f16 ? unit : unit * sqrt(2);
  Errors errors;
  SimulatedBuffer<double> scores(blocksPerSequence * shape.blockSize), deviations(scores.count);
  for (u32 r = 0; r < rows; r++)
    for (u32 h = 0; h < heads; h++) {
      if (shape.isLastInfinite && r == rows - 1) {
        CHECK(isnan(out[((u64)r * heads + h) * headDim]));
        continue;
      }
      const float *query = q.items + ((u64)r * heads + h) * headDim;
      const u32 end = shape.rows.rows[r].position + 1, begin = end - (end < shape.window ? end : shape.window);
      const auto at = [&](u32 p) {
        const u64 slot = (u64)tables[shape.rows.rows[r].sequence * blocksPerSequence + p / shape.blockSize] * shape.blockSize +
                         p % shape.blockSize;
        return (slot * kvHeads + h / (heads / kvHeads)) * headDim;
      };
      double largest = -INFINITY, total = 0;
      for (u32 p = begin; p < end; p++) {
        double score = 0, squares = 0;
        for (u32 d = 0; d < headDim; d++) {
          const double term = (double)query[d] * keyCache.values[at(p) + d] * (double)arguments.scale;
          score += term, squares += term * term;
        }
        if (shape.softCap > 0) score = (double)shape.softCap * tanh(score / (double)shape.softCap);
        scores[p - begin] = score;
        deviations[p - begin] = each * sqrt(squares);
        largest = fmax(largest, score);
      }
      for (u32 j = 0; j < end - begin; j++) total += scores[j] = exp(scores[j] - largest);
      for (u32 d = 0; d < headDim; d++) {
        double expected = 0, allowed = 0;
        for (u32 p = begin; p < end; p++) expected += scores[p - begin] / total * valueCache.values[at(p) + d];
        for (u32 p = begin; p < end; p++) {
          const double value = valueCache.values[at(p) + d];
          allowed += scores[p - begin] / total * (deviations[p - begin] * fabs(value - expected) + each * fabs(value));
        }
        const double error = fabs((double)out[((u64)r * heads + h) * headDim + d] - expected);
        errors.squares += error * error, errors.sizes += expected * expected;
        if (!(error <= 2 * allowed)) errors.worst = fmax(errors.worst, isnan(error) ? INFINITY : error / (2 * allowed));
        else errors.worst = fmax(errors.worst, error / (2 * allowed));
      }
    }
  return errors;
}

static Shape shared(Shape shape) {
  shape.isShared = true;
  return shape;
}

static void judge(u32 type, const Shape &shape) {
  u32 blocksPerSequence = 1, sequenceCount = 1;
  for (u32 r = 0; r < shape.rows.count; r++) {
    const u32 blocks = shape.rows.rows[r].position / shape.blockSize + 1, count = shape.rows.rows[r].sequence + 1;
    if (blocks > blocksPerSequence) blocksPerSequence = blocks;
    if (count > sequenceCount) sequenceCount = count;
  }
  /* Blocks of all sequences in random order, one to spare between them. */
  SimulatedBuffer<u32> tables(sequenceCount * blocksPerSequence), order(tables.count + 1);
  numbers.order(order.items, (u32)order.count);
  for (u32 i = 0; i < tables.count; i++) tables[i] = order[i];

  const u64 slotFloats = (u64)shape.kvHeads * shape.headDim;
  SimulatedBuffer<float> keys(order.count * shape.blockSize * slotFloats), values(keys.count);
  for (u64 i = 0; i < keys.count; i++) keys[i] = numbers.normal() * shape.keySize, values[i] = numbers.normal() * shape.valueSize;
  if (shape.growth != 0)
    for (u32 s = 0; s < sequenceCount; s++)
      for (u32 p = 0; p < blocksPerSequence * shape.blockSize; p++) {
        const u64 slot = (u64)tables[s * blocksPerSequence + p / shape.blockSize] * shape.blockSize + p % shape.blockSize;
        for (u64 i = 0; i < slotFloats; i++) {
          keys[slot * slotFloats + i] *= exp2f(shape.growth * (float)p);
          values[slot * slotFloats + i] *= exp2f(shape.growth * (float)p);
        }
      }
  if (shape.isLastInfinite) {
    const u32 last = shape.rows.rows[shape.rows.count - 1].position;
    const u64 slot = (u64)tables[last / shape.blockSize] * shape.blockSize + last % shape.blockSize;
    for (u64 i = 0; i < slotFloats; i++) keys[slot * slotFloats + i] = INFINITY;
  }
  const Errors errors = compare(type, shape, keys, values, tables, blocksPerSequence);
  if (!(errors.worst <= 1)) {
    checkFailures++;
    printf("%s, type %u: an error is %g of what is allowed\n", shape.name, type, errors.worst);
  }
  if (tellsErrors())
    printf("%s, type %u: %.2e of the typical output; at most %.2f of what is allowed\n", shape.name, type,
           sqrt(errors.squares / errors.sizes), errors.worst);
}

/* Heads of all widths, groups of heads, rows that fill no tile, and contexts before the first row. */
static void heads() {
  for (u32 type = AttentionTiled_f32; type <= AttentionTiled_q8_0; type++) {
    judge(type, {"one row", 1, 1, 32, 32, range(0, 1)});
    judge(type, {"64", 4, 2, 64, 16, range(90, 35)});
    judge(type, {"96", 3, 1, 96, 5, range(130, 25)});
    judge(type, {"128", 7, 1, 128, 32, range(50, 19)});
    judge(type, {"256", 2, 1, 256, 32, range(60, 20)});
    if (type == AttentionTiled_q8_0) continue;
    judge(type, {"40", 2, 1, 40, 32, range(60, 20)});
    judge(type, {"80", 2, 2, 80, 16, range(0, 33)});
    judge(type, {"200", 1, 1, 200, 32, range(0, 35)});
  }
  judge(AttentionTiled_q8_0, {"odd blocks", 3, 3, 96, 8, range(3, 20)});
  judge(AttentionTiled_q8_0, {"160", 2, 2, 160, 16, range(0, 33)});
}

/* Several blocks for the keys of a tile: of one run, of runs that end anywhere, and more blocks than there are keys for. */
static void sharesOutKeys() {
  for (u32 type = AttentionTiled_f32; type <= AttentionTiled_q8_0; type++) {
    judge(type, shared({"one run", 4, 1, 64, 32, range(300, 9)}));
    judge(type, shared({"many runs", 8, 2, 64, 16, range(300, 1) + range(0, 1, 1) + range(100, 2, 2) + range(201, 1, 3)}));
  }
  judge(AttentionTiled_f16, shared({"few keys", 2, 1, 128, 32, range(70, 12)}));
  judge(AttentionTiled_f32, shared({"window", 3, 1, 96, 32, range(290, 12), 150}));
  judge(AttentionTiled_f16, shared({"wide", 2, 2, 256, 32, range(100, 40)}));
  judge(AttentionTiled_f32, shared({"growing", 2, 1, 64, 32, range(200, 20), NoWindow, 0, 1e-3f, 1, 0.02f, 0.07f}));
}

/* As many queries as there are for long prompts on GPUs that are small beside them. */
static void takesManyQueries() {
  for (u32 type = AttentionTiled_f32; type <= AttentionTiled_q8_0; type++) {
    Shape shape = {"many queries", 4, 2, 64, 16, range(100, 70) + range(0, 9, 1), 60};
    shape.isWide = true;
    judge(type, shape);
    shape.headDim = 128;
    shape.rows = range(40, 67);
    judge(type, shape);
  }
}

static void windowsAndCaps() {
  judge(AttentionTiled_f16, {"short", 2, 1, 64, 16, range(90, 80), 11});
  judge(AttentionTiled_f32, {"longer than a tile", 2, 1, 128, 16, range(150, 70), 70});
  judge(AttentionTiled_f16, {"one key", 1, 1, 32, 8, range(3, 9), 1});
  judge(AttentionTiled_f16, {"cap", 4, 2, 128, 8, range(100, 20), NoWindow, 5});
  judge(AttentionTiled_q8_0, {"window and cap", 6, 3, 96, 16, range(250, 40), 100, 20});
}

static void sequences() {
  for (u32 type = AttentionTiled_f32; type <= AttentionTiled_f16; type++) {
    judge(type, {"in a row", 2, 1, 64, 32, range(0, 7) + range(130, 1, 1) + range(40, 100, 2)});
    judge(type, {"alternating", 3, 3, 96, 16, alternating(range(60, 9), range(0, 9, 1)), 20});
  }
}

/* Numbers that are no halves: caches of F32 and Q8_0 that grow from tile to tile, are large, or small. */
static void magnitudes() {
  for (u32 type = AttentionTiled_f32; type <= AttentionTiled_q8_0; type += AttentionTiled_q8_0 - AttentionTiled_f32) {
    judge(type, {"growing", 2, 1, 64, 32, range(200, 20), NoWindow, 0, 1e-3f, 1, 0.02f, 0.07f});
    judge(type, {"large", 2, 1, 64, 32, range(60, 40), NoWindow, 0, 1e5f, 1e6f, 1e-5f});
  }
  judge(AttentionTiled_f32, {"very large", 2, 1, 64, 32, range(60, 40), NoWindow, 0, 1e20f, 1e30f, 1e-20f});
  judge(AttentionTiled_f32, {"small", 2, 1, 64, 32, range(60, 40), NoWindow, 0, 1e-20f, 1e-30f, 1e20f});
  judge(AttentionTiled_f16, {"large scores", 2, 1, 64, 32, range(60, 40), NoWindow, 0, 100, 1, 1e4f});
}

static void infinities() {
  for (u32 type = AttentionTiled_f32; type <= AttentionTiled_f16; type++) {
    Shape shape = {"infinite keys", 2, 1, 64, 32, range(60, 20)};
    shape.isLastInfinite = true;
    judge(type, shape);
  }
}

/* What the kernels were not written for is the shader's: buffers that are not there or not aligned, and arguments that are no heads. */
static void declines() {
  AttentionArgs arguments = {4, 2, 64, 16, 4, 0.125f, 0, NoWindow, 1};
  SimulatedBuffer<float> numbers(64 * 1024);
  SimulatedCommand command("attention_tiled_64_f32");
  for (u32 i = 0; i < 8; i++) command.bind(i, numbers);
  command.constant(8, arguments);
  command.dispatch(2 * 128, 4, 1, 128, 1, 1);
  const auto isTaken = [&] { return takenBy(cudaAttentionTiledPlan, &command.command, 1) == 1; };
  CHECK(isTaken());
  for (u32 i = 0; i < 8; i++) {
    command.command.buffers[i] = 0;
    CHECK(!isTaken());
    command.bind(i, numbers);
  }
  for (u32 i = 0; i < 3; i++) {
    command.bind(i, numbers, 1); /* four bytes further */
    CHECK(!isTaken());
    command.bind(i, numbers);
  }
  arguments.headDim = 60;
  CHECK(!isTaken());
  arguments.headDim = 264;
  CHECK(!isTaken());
  arguments.headDim = 64, arguments.kvHeads = 3;
  CHECK(!isTaken());
  arguments.kvHeads = 0;
  CHECK(!isTaken());
  arguments.kvHeads = 2, arguments.blockSize = 0;
  CHECK(!isTaken());
  arguments.blockSize = 16;
  CHECK(isTaken());
  command.command.constants[8] = nullptr;
  CHECK(!isTaken());
}

int main(int count, char **arguments) {
  numbers.state = seedOf(count, arguments, (u64)time(nullptr));
  RUN_CASE(heads);
  RUN_CASE(sharesOutKeys);
  RUN_CASE(takesManyQueries);
  RUN_CASE(windowsAndCaps);
  RUN_CASE(sequences);
  RUN_CASE(magnitudes);
  RUN_CASE(infinities);
  RUN_CASE(declines);
  return finishCases();
}

/* Native products of one row with weights of all types (bridge/linux/cuda/native/matvec.cu), against sums in double precision. */
#include "gguf.h"
#include "run.h"

#include "cuda/native/matvec.cu"

#include <time.h>

extern "C" CudaNativePlan cudaMatvecPlan;

#define KERNEL(name, alignment) SIMULATED(matvec_##name##_##alignment),
#define PAIR(first, firstAlignment, second, secondAlignment) SIMULATED(matvec_##first##_##firstAlignment##_##second##_##secondAlignment),
static const SimulatedKernel kernels[] = {MATVEC_KERNELS(KERNEL) MATVEC_PAIRS(PAIR)};

/** So few multiprocessors that blocks have several tiles, and warps more units than their rings have room for. */
static const CudaNativeDevice smallDevice = {1, 90, 227 << 10};

static gguf::Random numbers;
enum Ending : u32 { None, Add, Silu, Gelu };

struct Shape {
  u32 rows, n, k;
};
struct Case {
  const gguf::WeightType *type;
  Shape shape;
  bool isFused, normalises;
  Ending ending;
  int exponent;    /* of the weights' scales */
  float size;      /* of x */
  float special;   /* takes the place of the last x, unless it is 0 */
};
static const float Eps = 1e-5f;

static u64 rowBytesOf(const Case &c) { return (u64)c.shape.k / c.type->elements * c.type->bytes; }

/** What a command is bound to. */
struct Operands {
  SimulatedBuffer<u8> w, second;
  SimulatedBuffer<float> residual, out;
  u32 arguments[5];
  explicit Operands(const Case &c)
      : w(rowBytesOf(c) * c.shape.n), second(w.count), residual((u64)c.shape.rows * c.shape.n), out(residual.count),
        arguments{c.shape.n, c.shape.k, c.normalises, bitsOf(Eps), c.ending} {
    const u64 blocks = w.count / c.type->bytes;
    gguf::randomWeights(c.type, w.items, blocks, c.exponent, &numbers);
    gguf::randomWeights(c.type, second.items, blocks, c.exponent, &numbers);
    for (u64 i = 0; i < residual.count; i++) residual[i] = gguf::randomFloat(&numbers);
  }
};
struct Activations {
  SimulatedBuffer<float> x, norm;
  explicit Activations(const Case &c) : x((u64)c.shape.rows * c.shape.k), norm(c.shape.k) {
    for (u64 i = 0; i < x.count; i++) x[i] = gguf::randomFloat(&numbers) * c.size;
    for (u64 i = 0; i < norm.count; i++) norm[i] = gguf::randomFloat(&numbers) + 1;
    if (c.special != 0) x[x.count - 1] = c.special;
  }
};

/** As programs have it: threadgroups of two SIMD groups. */
static void setCommand(SimulatedCommand &command, const Case &c, const Operands &o, const Activations &a) {
  if (c.isFused) {
    command.bind(0, o.w), command.bind(1, o.second), command.bind(2, a.x), command.bind(3, a.norm), command.bind(4, o.residual);
    command.bind(5, o.out);
    command.constant(6, o.arguments);
  } else {
    command.bind(0, o.w), command.bind(1, a.x), command.bind(2, o.out);
    const u32(&two)[2] = *(const u32(*)[2])o.arguments;
    command.constant(3, two);
  }
  command.dispatch((c.shape.n + 7) / 8 * 64, c.shape.rows, 1, 64, 1, 1);
  command.command.unwritten = gguf::randomBits(&numbers) % 4;
}

static void nameOf(const Case &c, char (&name)[64]) { snprintf(name, sizeof name, "matvec_%s%s", c.isFused ? "fused_" : "", c.type->name); }

/** A number, and how far from it a result may be. */
struct Expected {
  double value, bound;
};
static Expected product(const Case &c, const u8 *row, const double *x) {
  Expected e = {0, 1e-36};
  for (u32 start = 0; start < c.shape.k; start += 32) {
    double most = 0, size = 0;
    for (u32 i = start; i < c.shape.k && i < start + 32; i++) {
      const double w = c.type->element(row + i / c.type->elements * c.type->bytes, i % c.type->elements);
      e.value += w * x[i];
      size += fabs(x[i]);
      most = fmax(most, fabs(w));
    }
    e.bound += most * size * 1e-6;
  }
  return e;
}
static Expected expectedOf(const Case &c, const Operands &o, const double *x, u32 r, u32 output) {
  Expected e = product(c, o.w.items + rowBytesOf(c) * output, x);
  if (c.ending == Add) e.value += (double)o.residual[(u64)r * c.shape.n + output], e.bound += 1e-6;
  if (c.ending < Silu) return e;
  const Expected factor = product(c, o.second.items + rowBytesOf(c) * output, x);
  const double g = e.value, y = c.ending == Silu ? g : 1.5957691216057308 * (g + 0.044715 * g * g * g), activated = g / (1 + exp(-y));
  return {activated * factor.value,
          1.2 * e.bound * (fabs(factor.value) + factor.bound) + fabs(activated) * (factor.bound + 2e-6 * fabs(factor.value)) + 1e-30};
}

static void compare(const Case &c, const Operands &o, const Activations &a) {
  double *x = (double *)malloc(8 * c.shape.k);
  for (u32 r = 0; r < c.shape.rows; r++) {
    double squares = 0;
    for (u32 i = 0; i < c.shape.k; i++) {
      x[i] = (double)a.x[(u64)r * c.shape.k + i];
      squares += x[i] * x[i];
    }
    for (u32 i = 0; c.normalises && i < c.shape.k; i++) x[i] *= (double)a.norm[i] / sqrt(squares / c.shape.k + (double)Eps);
    for (u32 output = 0; output < c.shape.n; output++) {
      const Expected e = expectedOf(c, o, x, r, output);
      const double actual = (double)o.out[(u64)r * c.shape.n + output];
      if (isfinite(e.value) ? fabs(actual - e.value) <= e.bound : !isfinite(actual)) continue;
      checkFailures++;
      printf("%s %u x %u x %u fused %d norm %d ending %u scale 2^%d size %g special %g: [%u, %u] is %.9g, not %.9g +- %.3g\n",
             c.type->name, c.shape.rows, c.shape.n, c.shape.k, c.isFused, c.normalises, c.ending, c.exponent, (double)c.size,
             (double)c.special, r, output, actual, e.value, e.bound);
      break;
    }
  }
  free(x);
}

static void runProduct(const Case &c, const CudaNativeDevice &device) {
  char name[64];
  nameOf(c, name);
  const Operands o(c);
  const Activations a(c);
  SimulatedCommand command(name);
  setCommand(command, c, o, a);
  CHECK_NUMBER(simulatePlan(cudaMatvecPlan, &device, &command.command, 1, kernels, gguf::randomBits(&numbers)), 1);
  compare(c, o, a);
}

/** A part of a slice, several with a part at the end, a whole number of them; tiles that are not whole. */
static void products() {
  for (const gguf::WeightType &type : gguf::weightTypes) {
    const u32 block = type.elements == 1 ? 1 : type.elements;
    const Shape shapes[] = {{1, 1, block}, {2, 13, 5 * block}, {1, 150, 1280}, {1, 9, block == 256 ? 2304u : 2336u}};
    for (const Shape &shape : shapes) runProduct({&type, shape, false, false, None, -4, 1, 0}, smallDevice);
  }
}

/** Blocks of all warps: with and without a part of a slice at the end, and sums of one warp and of several. */
static void longProducts() {
  for (const gguf::WeightType &type : gguf::weightTypes) {
    const u32 block = type.elements == 1 ? 4 : type.elements, k = 4096 + block;
    runProduct({&type, {1, 20, k}, false, false, None, -4, 1, 0}, smallDevice);
    runProduct({&type, {1, 16, k}, true, true, Silu, -4, 1, 0}, smallDevice);
  }
  const gguf::WeightType &halves = gguf::weightTypes[1];
  runProduct({&halves, {1, 530, 4096}, true, false, Add, -4, 1, 0}, smallDevice); // more outputs than threads
}

static void fusedProducts() {
  const Ending endings[] = {None, Add, Silu, Gelu};
  for (const gguf::WeightType &type : gguf::weightTypes)
    for (u32 normalises = 0; normalises < 2; normalises++)
      for (Ending ending : endings) {
        if (&type - gguf::weightTypes > 3 && normalises != (ending == Silu)) continue;
        runProduct({&type, {1, 21, 768}, true, normalises != 0, ending, -4, 1, 0}, simulatedH200);
      }
}

static void sizesAndSpecialNumbers() {
  const float sizes[] = {0, 1e-20f, 1e20f}, specials[] = {(float)NAN, (float)INFINITY};
  for (const gguf::WeightType &type : gguf::weightTypes) {
    for (float size : sizes) runProduct({&type, {1, 5, 512}, false, false, None, -4, size, 0}, simulatedH200);
    for (float special : specials) {
      runProduct({&type, {1, 5, 512}, false, false, None, -4, 1, special}, simulatedH200);
      runProduct({&type, {1, 5, 512}, true, true, Silu, -4, 1, special}, simulatedH200);
    }
  }
}

/** Rows of outputs have experts of their own, of which one is not there: the last stands in, as in the MSL. */
static void productsOfExperts() {
  const u32 types[] = {1, 7, 12}, experts = 3, rows = 4, share = 2, chosen[rows] = {2, 0, 1, 7};
  for (u32 type : types) {
    const Case all = {&gguf::weightTypes[type], {rows / share, experts * 9, 512}, false, false, None, -4, 1, 0};
    const Operands o(all);
    const Activations a(all);
    SimulatedBuffer<u32> ids(rows);
    SimulatedBuffer<float> out(rows * 9);
    for (u32 i = 0; i < rows; i++) ids[i] = chosen[i];
    const u32 arguments[4] = {9, 512, experts, share};
    char name[64];
    snprintf(name, sizeof name, "matvec_experts_%s", all.type->name);
    SimulatedCommand command(name);
    command.bind(0, o.w), command.bind(1, a.x), command.bind(2, ids), command.bind(3, out);
    command.constant(4, arguments);
    command.dispatch(2 * 64, rows, 1, 64, 1, 1);
    CHECK_NUMBER(simulatePlan(cudaMatvecPlan, &smallDevice, &command.command, 1, kernels, 3), 1);
    double x[512];
    for (u32 r = 0; r < rows; r++) {
      for (u32 i = 0; i < 512; i++) x[i] = (double)a.x[r / share * 512 + i];
      for (u32 i = 0; i < 9; i++) {
        const u32 expert = chosen[r] < experts ? chosen[r] : experts - 1;
        const Expected e = product(all, o.w.items + rowBytesOf(all) * (expert * 9 + i), x);
        CHECK(fabs((double)out[r * 9 + i] - e.value) <= e.bound);
      }
    }
    command.command.bufferLengths[0]--;
    CudaNativeLaunch launch = {};
    CHECK_NUMBER(cudaMatvecPlan(&smallDevice, &command.command, 1, &launch), 0);
  }
}

/** Products of the same x are one launch, up to a barrier, and to what reads something else. */
static void productsOfTheSameRow() {
  const gguf::WeightType &q8 = gguf::weightTypes[7], &q4 = gguf::weightTypes[10];
  const Case q = {&q8, {1, 64, 512}, true, true, None, -4, 1, 0}, k = {&q8, {1, 13, 512}, true, true, None, -4, 1, 0};
  const Case other = {&q4, {1, 16, 512}, true, true, None, -4, 1, 0};
  const Operands qs(q), ks(k), vs(k), others(other);
  const Activations a(q);
  SimulatedCommand commands[] = {SimulatedCommand("matvec_fused_q8_0"), SimulatedCommand("matvec_fused_q8_0"),
                                 SimulatedCommand("matvec_fused_q8_0"), SimulatedCommand("matvec_fused_q4_k")};
  setCommand(commands[0], q, qs, a), setCommand(commands[1], k, ks, a), setCommand(commands[2], k, vs, a);
  setCommand(commands[3], other, others, a);
  CudaNativeCommand list[] = {commands[0].command, commands[1].command, commands[2].command, commands[3].command};
  CHECK_NUMBER(simulatePlan(cudaMatvecPlan, &smallDevice, list, 4, kernels, 1), 3);
  compare(q, qs, a), compare(k, ks, a), compare(k, vs, a);
  CudaNativeLaunch launch = {};
  list[2].waits = true;
  CHECK_NUMBER(cudaMatvecPlan(&smallDevice, list, 4, &launch), 2);
  list[0].unwritten = 1, list[1].unwritten = 2; /* one's weights are another's results */
  CHECK_NUMBER(cudaMatvecPlan(&smallDevice, list, 4, &launch), 2);
  CHECK(!((const MatvecParameters *)launch.parameters)->readsEarly);
  list[1].unwritten = 3;
  CHECK_NUMBER(cudaMatvecPlan(&smallDevice, list, 4, &launch), 2);
  CHECK(((const MatvecParameters *)launch.parameters)->readsEarly);
  list[1].buffers[2] += 16;
  list[1].bufferLengths[2] += 16;
  CHECK_NUMBER(cudaMatvecPlan(&smallDevice, list, 4, &launch), 1);
}

/** Of two types, too, which come in any order. */
static void productsOfTheSameRowMixed() {
  const u32 orders[][3] = {{10, 10, 12}, {12, 10, 10}, {11, 12, 12}, {11, 10, 11}};
  for (const u32(&order)[3] : orders) {
    const Case cases[] = {{&gguf::weightTypes[order[0]], {1, 64, 512}, true, true, None, -4, 1, 0},
                          {&gguf::weightTypes[order[1]], {1, 13, 512}, true, true, None, -4, 1, 0},
                          {&gguf::weightTypes[order[2]], {1, 13, 512}, true, true, None, -4, 1, 0}};
    const Operands operands[] = {Operands(cases[0]), Operands(cases[1]), Operands(cases[2])};
    const Activations a(cases[0]);
    CudaNativeCommand list[3];
    DriverFunction functions[3];
    char names[3][64];
    for (u32 i = 0; i < 3; i++) {
      nameOf(cases[i], names[i]);
      SimulatedCommand command(names[i]);
      setCommand(command, cases[i], operands[i], a);
      functions[i] = command.function;
      list[i] = command.command;
      list[i].function = &functions[i];
    }
    CHECK_NUMBER(simulatePlan(cudaMatvecPlan, order[0] == 11 ? &simulatedH200 : &smallDevice, list, 3, kernels, 1), 3);
    for (u32 i = 0; i < 3; i++) compare(cases[i], operands[i], a);
  }
}

/** What is too short, or not to be known, is for the MSL. */
static void refusals() {
  const Case c = {&gguf::weightTypes[7], {1, 12, 64}, true, true, Silu, -4, 1, 0};
  const Operands o(c);
  const Activations a(c);
  SimulatedCommand command("matvec_fused_q8_0");
  setCommand(command, c, o, a);
  CudaNativeLaunch launch = {};
  CHECK_NUMBER(cudaMatvecPlan(&simulatedH200, &command.command, 1, &launch), 1);
  for (u32 i = 0; i < 7; i++) {
    CudaNativeCommand shorter = command.command;
    shorter.bufferLengths[i]--;
    CHECK_NUMBER(cudaMatvecPlan(&simulatedH200, &shorter, 1, &launch), i == 4 ? 1 : 0);
  }
  CudaNativeCommand unknown = command.command, narrow = unknown, odd = unknown;
  unknown.constants[6] = NULL;
  narrow.threads[0] = 64;
  odd.buffers[0] += 2;
  CHECK_NUMBER(cudaMatvecPlan(&simulatedH200, &unknown, 1, &launch), 0);
  CHECK_NUMBER(cudaMatvecPlan(&simulatedH200, &narrow, 1, &launch), 0);
  CHECK_NUMBER(cudaMatvecPlan(&simulatedH200, &odd, 1, &launch), 0);
  const u32 huge[5] = {0xffffffff, 0xffffffe0, 0, 0, 0};
  command.constant(6, huge);
  CHECK_NUMBER(cudaMatvecPlan(&simulatedH200, &command.command, 1, &launch), 0);
}

int main(int count, char **arguments) {
  numbers.state = seedOf(count, arguments, (u64)time(nullptr)) | 1;
  RUN_CASE(products);
  RUN_CASE(longProducts);
  RUN_CASE(fusedProducts);
  RUN_CASE(sizesAndSpecialNumbers);
  RUN_CASE(productsOfExperts);
  RUN_CASE(productsOfTheSameRow);
  RUN_CASE(productsOfTheSameRowMixed);
  RUN_CASE(refusals);
  return finishCases();
}

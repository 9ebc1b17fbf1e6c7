/* Programs: what they compute, what in their bytes is refused, and what lives as long as they need it. */
#include "bridge_fixture.h"

static bm_handle device, library, scaleAdd, increment, groupSum, queue;

static uint32_t *wordsOf(bm_handle buffer) {
  return bm_buffer_contents(buffer);
}

static void dispatchesComputeWithDynamicWords(void) {
  enum { Count = 1000 };
  bm_handle a = bm_buffer_new(device, Count * 4, 0), b = bm_buffer_new(device, Count * 4, 0),
            out = bm_buffer_new(device, Count * 4, 0);
  float *x = bm_buffer_contents(a), *y = bm_buffer_contents(b), *z = bm_buffer_contents(out);
  for (int i = 0; i < Count; i++) x[i] = (float)i, y[i] = 0.5f;
  Words words;
  startProgram(&words, 3); // [unused, n, scale]
  startDispatch(&words, scaleAdd, 0, 64, 2, 64);
  put(&words, 4);
  putBinding(&words, 0, a, 0);
  putBinding(&words, 1, b, 0);
  putBinding(&words, 2, out, 0);
  putBinding(&words, 3, BM_DYNAMIC_WORDS, 4);
  put(&words, 0);
  put(&words, 0);
  endOperation(&words);
  bm_handle program = makeProgram(device, &words);
  CHECK(program != 0);
  for (uint32_t n = 0; n <= Count; n += 111) {
    memset(z, 0xFF, Count * 4);
    float scale = (float)n * 0.25f;
    uint32_t dynamic[3] = {0, n, 0};
    memcpy(&dynamic[2], &scale, 4);
    CHECK_OK(bm_program_run(queue, program, dynamic, 3));
    for (uint32_t i = 0; i < n; i++) CHECK(z[i] == scale * (x[i] + y[i]));
    for (uint32_t i = n; i < Count; i++) CHECK(isnan(z[i]));
  }
  CHECK(bm_queue_gpu_seconds(queue, 0) >= 0);
  CHECK_FAILS(bm_program_run(queue, program, NULL, 3) != BM_OK, BM_ERROR_ARGUMENT, "NULL");
  uint32_t many[4] = {0};
  CHECK_FAILS(bm_program_run(queue, program, many, 4) != BM_OK, BM_ERROR_ARGUMENT, "\"4\" dynamic words");
  CHECK_FAILS(bm_program_run(queue, program, NULL, 0) != BM_OK, BM_ERROR_ARGUMENT, "declares \"3\"");
  CHECK_FAILS(bm_program_run(program, program, many, 3) != BM_OK, BM_ERROR_HANDLE, "not a queue");
  CHECK_FAILS(bm_program_submit(queue, a, many, 3) == 0, BM_ERROR_HANDLE, "not a program");
  bm_release(program);
  bm_release(a);
  bm_release(b);
  bm_release(out);
}

/* Encoders change between the operations, and barriers stand within both kinds. */
static void operationsRunInTheOrderOfBarriers(void) {
  bm_handle a = bm_buffer_new(device, 256, 0), b = bm_buffer_new(device, 256, BM_STORAGE_PRIVATE),
            c = bm_buffer_new(device, 256, 0);
  Words words;
  startProgram(&words, 1);
  putFill(&words, a, 0, 256, 1); // 0x01010101
  putBarrier(&words);
  putFill(&words, a, 128, 128, 2);
  putBarrier(&words);
  putIncrement(&words, increment, a, 64, 0, 10, 0);
  putBarrier(&words);
  putIncrement(&words, increment, a, 32, 0, 0, 1);
  putBarrier(&words);
  putCopy(&words, a, 0, b, 0, 256);
  putBarrier(&words);
  putIncrement(&words, increment, b, 64, 0, 1, 0);
  putBarrier(&words);
  putCopy(&words, b, 0, c, 0, 256);
  bm_handle program = makeProgram(device, &words);
  CHECK(program != 0);
  bm_release(b); // the program keeps it
  for (uint32_t run = 0; run < 20; run++) {
    CHECK_OK(bm_program_run(queue, program, &run, 1));
    for (int i = 0; i < 64; i++) CHECK_NUMBER(wordsOf(c)[i], (i < 32 ? 0x01010101u + run : 0x02020202u) + 11);
  }
  bm_release(program);
  bm_release(a);
  bm_release(c);
}

static void threadgroupMemoryIsSetAndClearedAgain(void) {
  bm_handle x = bm_buffer_new(device, 1024 * 4, 0), out = bm_buffer_new(device, 4 * 4, 0);
  for (uint32_t i = 0; i < 1024; i++) wordsOf(x)[i] = i;
  Words words;
  startProgram(&words, 0);
  for (uint32_t index = 0; index < 2; index++) { // the second does not need what the first one set
    startDispatch(&words, groupSum, 0, 4, 0, 256);
    put(&words, 2);
    putBinding(&words, 0, x, 0);
    putBinding(&words, 1, out, 0);
    put(&words, 0);
    put(&words, index == 0 ? 2 : 1);
    put(&words, 0);
    put(&words, 256 * 4 - 3); // rounded up
    if (index == 0) {
      put(&words, 5);
      put(&words, 20000);
    }
    endOperation(&words);
    putBarrier(&words);
  }
  bm_handle program = makeProgram(device, &words);
  CHECK(program != 0);
  CHECK_OK(bm_program_run(queue, program, NULL, 0));
  for (uint32_t i = 0; i < 4; i++) CHECK_NUMBER(wordsOf(out)[i], 256 * (256 * i) + 255 * 128);
  bm_release(program);
  bm_release(x);
  bm_release(out);
}

static void emptyAndTooLargeGrids(void) {
  bm_handle x = bm_buffer_new(device, 256, 0);
  Words words;
  startProgram(&words, 2);
  startDispatch(&words, increment, 0, 1, 1, 64); // word 0: threadgroups of 64
  put(&words, 2);
  putBinding(&words, 0, x, 0);
  putBinding(&words, 1, BM_DYNAMIC_WORDS, 4);
  put(&words, 0);
  put(&words, 0);
  endOperation(&words);
  bm_handle program = makeProgram(device, &words);
  CHECK(program != 0);
  CHECK_OK(bm_program_run(queue, program, (uint32_t[]){0, 5}, 2));
  CHECK_NUMBER(wordsOf(x)[0], 0);
  CHECK_OK(bm_program_run(queue, program, (uint32_t[]){1, 5}, 2));
  CHECK_NUMBER(wordsOf(x)[63], 5);
  for (int i = 0; i < 200; i++) // a refused run leaves no command buffer behind, or the queue would hang
    CHECK_FAILS(bm_program_run(queue, program, (uint32_t[]){UINT32_MAX, 5}, 2) != BM_OK, BM_ERROR_RANGE, "2^32 - 1");
  CHECK_OK(bm_program_run(queue, program, (uint32_t[]){1, 5}, 2));
  CHECK_NUMBER(wordsOf(x)[63], 10);
  bm_release(program);
  startProgram(&words, 0);
  program = makeProgram(device, &words);
  CHECK_OK(bm_program_run(queue, program, NULL, 0));
  bm_release(program);
  bm_release(x);
}

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

static void refuse(const Words *words, bm_status status, const char *fragment) {
  CHECK_FAILS(makeProgram(device, words) == 0, status, fragment);
}

static void malformedHeadersAreRefused(void) {
  Words words;
  startProgram(&words, 0);
  CHECK_FAILS(bm_program_new(device, NULL, 16) == 0, BM_ERROR_ARGUMENT, "is not one");
  CHECK_FAILS(bm_program_new(device, words.at, 0) == 0, BM_ERROR_ARGUMENT, "shorter than its header");
  CHECK_FAILS(bm_program_new(device, words.at, 15) == 0, BM_ERROR_ARGUMENT, "whole words");
  CHECK_FAILS(bm_program_new(device, words.at, NAN) == 0, BM_ERROR_ARGUMENT, "whole number");
  words.at[0]++;
  refuse(&words, BM_ERROR_ARGUMENT, "starts with");
  startProgram(&words, BM_MAX_DYNAMIC_WORDS + 1);
  refuse(&words, BM_ERROR_RANGE, "dynamic words");
  startProgram(&words, 0);
  words.at[1] = 99;
  refuse(&words, BM_ERROR_ARGUMENT, "version \"99\"");
  startProgram(&words, 0);
  words.at[3] = UINT32_MAX;
  refuse(&words, BM_ERROR_ARGUMENT, "operations");
  startProgram(&words, 0);
  put(&words, 0);
  refuse(&words, BM_ERROR_ARGUMENT, "left after the program");
  startProgram(&words, 0);
  startOperation(&words, 77);
  endOperation(&words);
  refuse(&words, BM_ERROR_ARGUMENT, "no opcode \"77\"");
  startProgram(&words, 0);
  startOperation(&words, BM_OP_BARRIER);
  refuse(&words, BM_ERROR_ARGUMENT, "\"0\" words do not fit");
  startProgram(&words, 0);
  startOperation(&words, BM_OP_BARRIER);
  put(&words, 1);
  endOperation(&words);
  refuse(&words, BM_ERROR_ARGUMENT, "left after its operands");
}

static void copiesAndFillsOutOfRangeAreRefused(void) {
  bm_handle x = bm_buffer_new(device, 100, 0);
  Words words;
  const struct {
    uint64_t from, to, length;
    bm_status status;
    const char *fragment;
  } copies[] = {
      {0, 96, 8, BM_ERROR_RANGE, "outside"},         {UINT64_MAX - 3, 0, 8, BM_ERROR_RANGE, "outside"},
      {0, 1ull << 53, 4, BM_ERROR_RANGE, "outside"}, {0, 64, 0, BM_ERROR_RANGE, "is 0"},
      {0, 4, 8, BM_ERROR_ARGUMENT, "overlap"},       {1, 64, 4, BM_ERROR_ARGUMENT, "multiples"},
      {0, 64, 5, BM_ERROR_ARGUMENT, "multiples"},
  };
  for (size_t i = 0; i < sizeof copies / sizeof *copies; i++) {
    startProgram(&words, 0);
    putBarrier(&words);
    putCopy(&words, x, copies[i].from, x, copies[i].to, copies[i].length);
    refuse(&words, copies[i].status, copies[i].fragment);
    CHECK(strstr(lastMessage(), "Operation \"1\" of the program, a copy"));
  }
  startProgram(&words, 0);
  putFill(&words, x, 0, 4, 256);
  refuse(&words, BM_ERROR_ARGUMENT, "a byte");
  startProgram(&words, 0);
  putFill(&words, x, 100, 4, 0);
  refuse(&words, BM_ERROR_RANGE, "outside");
  startProgram(&words, 0);
  putFill(&words, x ^ 0x100000, 0, 4, 0);
  refuse(&words, BM_ERROR_HANDLE, "never existed");
  bm_release(x);
  startProgram(&words, 0);
  putFill(&words, x, 0, 4, 0);
  refuse(&words, BM_ERROR_HANDLE, "was released");
}

/* A dispatch of group_sum with one thing wrong at a time. */
typedef struct Dispatch {
  bm_handle pipeline;
  uint32_t flags, grid, word, threads, secondIndex;
  uint64_t offset;
  uint32_t memoryIndex, memoryLength;
  bool hasSecond, hasMemory, isSecondConstant, isSecondDynamic;
} Dispatch;

static void refuseDispatch(Dispatch d, bm_handle x, bm_status status, const char *fragment) {
  Words words;
  startProgram(&words, 2);
  startDispatch(&words, d.pipeline, d.flags, d.grid, d.word, d.threads);
  put(&words, d.hasSecond ? 2 : 1);
  putBinding(&words, 0, x, d.offset);
  if (d.hasSecond) putBinding(&words, d.secondIndex, d.isSecondDynamic ? BM_DYNAMIC_WORDS : x, 0);
  put(&words, d.isSecondConstant ? 1 : 0);
  if (d.isSecondConstant) {
    put(&words, d.secondIndex);
    put(&words, 4);
    put(&words, 0);
  }
  put(&words, d.hasMemory ? 1 : 0);
  if (d.hasMemory) {
    put(&words, d.memoryIndex);
    put(&words, d.memoryLength);
  }
  endOperation(&words);
  refuse(&words, status, fragment);
}

static void dispatchesThatCannotRunAreRefused(void) {
  bm_handle x = bm_buffer_new(device, 4096, 0);
  const Dispatch good = {.pipeline = groupSum,
                         .grid = 1,
                         .threads = 64,
                         .secondIndex = 1,
                         .hasSecond = true,
                         .hasMemory = true,
                         .memoryLength = 256};
  Dispatch d;
#define WRONG(status, fragment, ...) \
  d = good;                          \
  __VA_ARGS__;                       \
  refuseDispatch(d, x, status, fragment)
  WRONG(BM_ERROR_HANDLE, "not a pipeline", d.pipeline = x);
  WRONG(BM_ERROR_ARGUMENT, "unknown flags", d.flags = 6);
  WRONG(BM_ERROR_RANGE, "grid's size along x is 0", d.grid = 0);
  WRONG(BM_ERROR_RANGE, "dynamic word \"2\"", d.word = 3);
  WRONG(BM_ERROR_RANGE, "2^32 - 1", d.grid = UINT32_MAX);
  WRONG(BM_ERROR_RANGE, "threads per threadgroup along x", d.threads = 0);
  WRONG(BM_ERROR_RANGE, "threads per threadgroup along x", d.threads = UINT32_MAX);
  WRONG(BM_ERROR_RANGE, "this pipeline allows \"512\"", d.pipeline = increment; d.threads = 513);
  WRONG(BM_ERROR_ARGUMENT, "nothing is bound to argument \"out\"", d.hasSecond = false);
  WRONG(BM_ERROR_ARGUMENT, "nothing is bound to argument \"out\"", d.secondIndex = 7);
  WRONG(BM_ERROR_ARGUMENT, "bound twice", d.secondIndex = 0);
  WRONG(BM_ERROR_RANGE, "buffer index \"31\"", d.secondIndex = 31);
  WRONG(BM_ERROR_RANGE, "offset \"4096\"", d.offset = 4096);
  WRONG(BM_ERROR_RANGE, "offset", d.offset = UINT64_MAX);
  WRONG(BM_ERROR_ARGUMENT, "multiple of \"4\"", d.offset = 2);
  WRONG(BM_ERROR_ARGUMENT, "dynamic words cannot", d.isSecondDynamic = true);
  WRONG(BM_ERROR_ARGUMENT, "constant bytes cannot", d.hasSecond = false; d.isSecondConstant = true);
  WRONG(BM_ERROR_ARGUMENT, "threadgroup memory \"0\" has no length", d.hasMemory = false);
  WRONG(BM_ERROR_RANGE, "has 0 bytes", d.memoryLength = 0);
  WRONG(BM_ERROR_RANGE, "threadgroup memory", d.memoryLength = 1 << 20);
  WRONG(BM_ERROR_RANGE, "threadgroup memory", d.memoryLength = UINT32_MAX);
  WRONG(BM_ERROR_RANGE, "index \"31\"", d.memoryIndex = 31);
#undef WRONG
  Words words;
  startProgram(&words, 1); // scale_add's args take 8 bytes, one word gives 4
  startDispatch(&words, scaleAdd, 0, 1, 0, 1);
  put(&words, 4);
  for (uint32_t i = 0; i < 3; i++) putBinding(&words, i, x, i * 16);
  putBinding(&words, 3, BM_DYNAMIC_WORDS, 0);
  put(&words, 0);
  put(&words, 0);
  endOperation(&words);
  refuse(&words, BM_ERROR_RANGE, "takes at least \"8\" bytes");
  bm_release(x);
}

/* Every truncation, and random words in random places: refused or accepted, but never more than that. */
static void noProgramBytesCrash(void) {
  bm_handle x = bm_buffer_new(device, 4096, 0);
  Words words, broken;
  startProgram(&words, 4);
  putFill(&words, x, 0, 256, 1);
  putBarrier(&words);
  putIncrement(&words, increment, x, 64, 1, 0, 2);
  putIncrement(&words, increment, x, 64, 0, 3, 0);
  putCopy(&words, x, 0, x, 256, 256);
  startDispatch(&words, groupSum, 0, 4, 3, 64);
  put(&words, 2);
  putBinding(&words, 0, x, 0);
  putBinding(&words, 1, x, 1024);
  put(&words, 0);
  put(&words, 1);
  put(&words, 0);
  put(&words, 256);
  endOperation(&words);
  bm_handle program = makeProgram(device, &words);
  CHECK(program != 0);
  bm_release(program);
  for (uint32_t count = 0; count < words.count; count++) CHECK(bm_program_new(device, words.at, count * 4.0) == 0);
  uint32_t seed = 12345, accepted = 0;
  for (int round = 0; round < 20000; round++) {
    broken = words;
    for (int change = 0; change <= round % 3; change++) {
      seed = seed * 1664525 + 1013904223;
      uint32_t place = seed % broken.count;
      seed = seed * 1664525 + 1013904223;
      const uint32_t values[] = {seed,      0, 1, UINT32_MAX, broken.at[place] + 1, broken.at[place] ^ 1u << seed % 32,
                                 seed % 64, x};
      broken.at[place] = values[seed >> 29];
    }
    program = makeProgram(device, &broken);
    if (!program) continue;
    accepted++;
    bm_release(program);
  }
  CHECK(accepted > 0 && accepted < 20000);
  bm_release(x);
}

int main(void) {
  device = openDevice();
  library = compileKernels(device);
  scaleAdd = bm_pipeline_new(library, "scale_add");
  increment = bm_pipeline_new(library, "increment");
  groupSum = bm_pipeline_new(library, "group_sum");
  queue = bm_queue_new(device, NULL);
  CHECK(scaleAdd && increment && groupSum && queue);
  RUN_CASE(dispatchesComputeWithDynamicWords);
  RUN_CASE(operationsRunInTheOrderOfBarriers);
  RUN_CASE(threadgroupMemoryIsSetAndClearedAgain);
  RUN_CASE(emptyAndTooLargeGrids);
  RUN_CASE(malformedHeadersAreRefused);
  RUN_CASE(copiesAndFillsOutOfRangeAreRefused);
  RUN_CASE(dispatchesThatCannotRunAreRefused);
  RUN_CASE(noProgramBytesCrash);
  const bm_handle all[] = {device, library, scaleAdd, increment, groupSum, queue};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) CHECK_OK(bm_release(all[i]));
  return finishCases();
}

/* Thread-local variables: given values and zeroes, of each thread its own, and no register lost at the first use. */
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CASE(name) __attribute__((visibility("default"))) const char *case_##name(void)
#define EXPECT(condition) \
  if (!(condition)) return "thread_locals.c: not so: " #condition

_Thread_local int given = 41; /* not static: firstUse names it */
static _Thread_local struct {
  char before;
  uint64_t values[1000];
} zeroes;
static _Thread_local _Alignas(64) char aligned[3] = "ab";
static int other;
static _Thread_local int *pointer = &other;

static bool areInitial(void) {
  bool areZero = true;
  for (int i = 0; i < 1000; i++) areZero = areZero && zeroes.values[i] == 0;
  return given == 41 && areZero && (uintptr_t)aligned % 64 == 0 && aligned[0] == 'a' && aligned[2] == 0 &&
         pointer == &other;
}

static void *useOwn(void *result) {
  bool areSound = areInitial();
  given = 7;
  zeroes.values[999] = 1;
  aligned[1] = 'z';
  *(bool *)result = areSound && given == 7 && zeroes.values[999] == 1;
  return NULL;
}

CASE(threadsHaveVariablesOfTheirOwn) {
  EXPECT(areInitial());
  for (int i = 0; i < 20; i++) {
    pthread_t threads[4];
    bool results[4] = {false};
    for (int k = 0; k < 4; k++) EXPECT(pthread_create(&threads[k], NULL, useOwn, &results[k]) == 0);
    for (int k = 0; k < 4; k++) EXPECT(pthread_join(threads[k], NULL) == 0 && results[k]);
  }
  EXPECT(areInitial());
  return NULL;
}

/* Calls the variable's function as compiled code does, with a value in every register that it must keep. */
#if defined(__x86_64__)

static void *firstUse(void *result) {
  uint64_t kept[8], vectors[4], address;
  __asm__ volatile(
      "movq $11, %%rcx; movq $12, %%rdx; movq $13, %%rsi; movq $14, %%r8; movq $15, %%r9; movq $16, %%r10;"
      "movq $17, %%r11; movq $21, %%rax; movq %%rax, %%xmm0; movq $22, %%rax; movq %%rax, %%xmm7;"
      "movq $23, %%rax; movq %%rax, %%xmm15; movq $24, %%rax; movq %%rax, %%xmm8;"
      "movq _given@TLVP(%%rip), %%rdi; movq %%rdi, 56+%[kept]; callq *(%%rdi);"
      "movq %%rax, %[address];"
      "movq %%rcx, %[kept]; movq %%rdx, 8+%[kept]; movq %%rsi, 16+%[kept]; movq %%r8, 24+%[kept];"
      "movq %%r9, 32+%[kept]; movq %%r10, 40+%[kept]; movq %%r11, 48+%[kept]; subq %%rdi, 56+%[kept];"
      "movq %%xmm0, %[vectors]; movq %%xmm7, 8+%[vectors]; movq %%xmm15, 16+%[vectors]; movq %%xmm8, 24+%[vectors];"
      : [kept] "=o"(kept), [vectors] "=o"(vectors), [address] "=o"(address)
      :
      : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "xmm0", "xmm7", "xmm8", "xmm15", "memory", "cc");
  bool areKept = address != 0;
  for (uint64_t i = 0; i < 7; i++) areKept = areKept && kept[i] == 11 + i;
  for (uint64_t i = 0; i < 4; i++) areKept = areKept && vectors[i] == 21 + i;
  *(bool *)result = areKept && kept[7] == 0 && *(int *)address == 41;
  return NULL;
}

#else

static void *firstUse(void *result) {
  uint64_t kept[7], vectors[4], address;
  __asm__ volatile(
      "mov x1, #11\n"
      "mov x2, #12\n"
      "mov x7, #13\n"
      "mov x9, #14\n"
      "mov x10, #15\n"
      "mov x14, #16\n"
      "mov x15, #17\n"
      "mov x0, #21\n"
      "fmov d0, x0\n"
      "mov x0, #22\n"
      "fmov d7, x0\n"
      "mov x0, #23\n"
      "fmov d16, x0\n"
      "mov x0, #24\n"
      "fmov d31, x0\n"
      "adrp x0, _given@TLVPPAGE\n"
      "ldr x0, [x0, _given@TLVPPAGEOFF]\n"
      "ldr x8, [x0]\n"
      "blr x8\n"
      "str x0, [%[address]]\n"
      "stp x1, x2, [%[kept]]\n"
      "stp x7, x9, [%[kept], #16]\n"
      "stp x10, x14, [%[kept], #32]\n"
      "str x15, [%[kept], #48]\n"
      "stp d0, d7, [%[vectors]]\n"
      "stp d16, d31, [%[vectors], #16]\n"
      :
      : [kept] "r"(kept), [vectors] "r"(vectors), [address] "r"(&address)
      : "x0", "x1", "x2", "x7", "x8", "x9", "x10", "x14", "x15", "x16", "x17", "x30", "d0", "d7", "d16", "d31",
        "memory", "cc");
  bool areKept = true;
  for (uint64_t i = 0; i < 7; i++) areKept = areKept && kept[i] == 11 + i;
  for (uint64_t i = 0; i < 4; i++) areKept = areKept && vectors[i] == 21 + i;
  *(bool *)result = areKept && *(int *)address == 41;
  return NULL;
}

#endif

CASE(firstUseKeepsRegisters) {
  pthread_t thread;
  bool areKept = false;
  EXPECT(pthread_create(&thread, NULL, firstUse, &areKept) == 0 && pthread_join(thread, NULL) == 0);
  EXPECT(areKept);
  return NULL;
}

/*
 * fake_cuda.h: a libcuda.so.1 without a GPU, for tests of the CUDA device's bookkeeping, and how tests steer it.
 *
 * It is strict where the real library may let things pass. Memory of the "device" cannot be touched by the CPU. What is put on
 * a stream runs when somebody waits for it, and not before; a graph runs in an order that only its edges bound, the last node
 * that may run first. Kernels do not run: each is reported to a function of the test.
 * With FAKE_CUDA_GRAPHS set every graph that is made is written to the standard error. With FAKE_CUDA_STEP_US a stream is busy
 * for so many microseconds with each graph that is launched, and runs, too, when somebody looks who finds them over.
 */
#ifndef TEST_LINUX_FAKE_CUDA_H
#define TEST_LINUX_FAKE_CUDA_H

#include <stddef.h>
#include <stdint.h>

/** Objects that are alive, by kind; `memory` and `host` are allocations, `bytes` those of device memory. */
typedef struct FakeCounts {
  unsigned memory, host, registered, streams, events, modules, graphs, instances;
  size_t bytes;
} FakeCounts;

/** A kernel that has come to run. `parameter` is its one argument, of `size` bytes. */
typedef struct FakeKernel {
  const char *name;
  const void *parameter;
  size_t size;
  unsigned grid[3], block[3], shared;
  unsigned stream; /* its number, from 1 */
  unsigned target; /* that its module is for: 80, 90 */
  int overlaps;    /* whether that has instructions to wait for the kernel in front of it, and to let the next begin */
} FakeKernel;

/* What follows is found with dlsym, in the library that is loaded already. */

typedef void FakeCountsFunction(FakeCounts *out);                      /* "fakeCounts" */
/** Bytes of device memory, of which so many may be allocated from now on. */
typedef void FakeLimitFunction(size_t bytes);                          /* "fakeLimit" */
/** The `after`-th call from now (0: the next) of the function with that symbol fails with `result`, once. */
typedef void FakeFailFunction(const char *symbol, unsigned after, int result); /* "fakeFail" */
/** Called for each kernel when it comes to run; returns 0, or the error that it makes, which breaks the context. */
typedef int FakeKernelFunction(const FakeKernel *kernel);
typedef void FakeOnKernelFunction(FakeKernelFunction *function);       /* "fakeOnKernel" */
/** Where the fake keeps what is at an address of the device; NULL where there is nothing. */
typedef void *FakeMemoryFunction(uint64_t address);                    /* "fakeMemory" */
/** How often the function with that symbol was called. */
typedef unsigned FakeCallsFunction(const char *symbol);                /* "fakeCalls" */
/** The kernel nodes of the graph that was instantiated last, in the order in which they were added: their names, and
 * whether b comes after a by the edges. Returns their number. */
typedef unsigned FakeGraphFunction(const char **names, unsigned capacity);     /* "fakeGraph" */
typedef int FakeFollowsFunction(unsigned a, unsigned b);               /* "fakeFollows" */
/** Whether that kernel's edge lets it begin before the one in front of it has ended. */
typedef int FakeBeginsEarlyFunction(unsigned kernel);                  /* "fakeBeginsEarly" */
/** From the first call on, the processor time of a thread (as gettid has it) within functions of the fake is counted:
 * returns its seconds so far. */
typedef double FakeSpentFunction(unsigned thread);                     /* "fakeSpent" */
/** A broken context is as new. */
typedef void FakeMendFunction(void);                                   /* "fakeMend" */
/** The first misuse that was seen, or NULL. */
typedef const char *FakeMisuseFunction(void);                          /* "fakeMisuse" */

#endif

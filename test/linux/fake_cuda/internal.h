/* internal.h: what the files of the fake share. */
#ifndef TEST_LINUX_FAKE_CUDA_INTERNAL_H
#define TEST_LINUX_FAKE_CUDA_INTERNAL_H

#include "cuda/api.h"
#include "fake_cuda.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
enum { Invalid = 1, OutOfMemory = 2, NotInitialized = 3, InvalidContext = 201, NotFound = 500 };

typedef enum Kind { KindStream, KindEvent, KindModule, KindFunction, KindGraph, KindNode, KindInstance, KindCount } Kind;

/** What every object begins with; all of a process are in one list. */
typedef struct Object {
  Kind kind;
  struct Object *next;
} Object;

struct CUfunc_st {
  Object object;
  struct CUfunc_st *sibling; /* of the same module */
  char name[200];
  size_t parameterBytes;
  int most, dynamicShared, overlaps;
  unsigned target;
};

typedef enum Action { ActionCopy, ActionFill, ActionKernel, ActionEvent, ActionNothing } Action;

/** Something for a stream to do. A kernel's argument is a copy of its own. */
typedef struct Task {
  struct Task *next;
  Action action;
  CudaAddress to, from;
  size_t length;
  unsigned char value;
  struct CUfunc_st *function;
  unsigned grid[3], block[3], shared;
  unsigned char *parameter;
  CudaEvent event;
} Task;

extern pthread_mutex_t fakeLock; /* of everything; each call of the API takes it */

/** Begins a call: counts it, and gives the error that it is to fail with, or that the context has. */
CudaResult fakeBegin(const char *symbol, bool needsContext);
CudaResult fakeEnd(CudaResult result);
CudaResult fakeMisused(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** Breaks the context: all calls that need one give this error from now on. */
void fakeBreak(CudaResult result);

void *fakeNew(Kind kind, size_t size);
bool fakeIs(const void *object, Kind kind);

/** A graph was launched: with env FAKE_CUDA_STEP_US the stream is busy with it for so many microseconds. */
void fakeBusy(CudaStream stream);
void fakeFree(void *object);

/** Where the bytes at an address of either side are; NULL unless all of them are of one allocation. */
void *fakeBytes(CudaAddress address, size_t length);
/** Bytes of device memory that there are. */
size_t fakeTotal(void);
/** Counts what is allocated. */
void fakeCountMemory(FakeCounts *out);
/** Whether the CPU's memory there is none of the driver's. */
bool fakeIsPageable(CudaAddress address);

/** Checks a launch, and copies its argument. */
CudaResult fakeKernelTask(Task *task, CudaKernel function, const unsigned grid[3], const unsigned block[3],
                          unsigned shared, void **parameters);
CudaResult fakeCheckCopy(CudaAddress to, CudaAddress from, size_t length);
/** Does it, now. The error of a kernel breaks the context. */
void fakeRun(const Task *task, unsigned stream);
/** Puts a task behind those of a stream that there is. */
CudaResult fakePut(CudaStream stream, const Task *task);

/** Notes the time at which this thread's call begins, where somebody asks for it. */
void fakeEnter(void);

#define CALL(needsContext)                                      \
  fakeEnter();                                                  \
  pthread_mutex_lock(&fakeLock);                                \
  CudaResult begun = fakeBegin(__func__, needsContext);         \
  if (begun != CudaSuccess) return fakeEnd(begun)
#define RETURN(result) return fakeEnd(result)
#define NEED(condition, ...) \
  if (!(condition)) return fakeEnd(fakeMisused(__VA_ARGS__))

#endif

/* api.c: see api.h. */
#include "api.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static CudaApi api;
static bool isThere;
static char problem[256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Every function that is not optional, or none: a driver that lacks one is too old for the others. */
static bool readFunctions(void *library) {
#define CUDA_READ(name, symbol, parameters)                \
  *(void **)&api.name = dlsym(library, symbol);            \
  if (!api.name) return false;
  CUDA_FUNCTIONS(CUDA_READ)
#undef CUDA_READ
#define CUDA_READ(name, symbol, parameters) *(void **)&api.name = dlsym(library, symbol);
  CUDA_OPTIONAL_FUNCTIONS(CUDA_READ)
#undef CUDA_READ
  return true;
}

static void openLibrary(void) {
  const char *setting = getenv("BUN_METAL_CUDA");
  if (setting && strcmp(setting, "off") == 0) return;
  if (setting && *setting) {
    snprintf(problem, sizeof problem, "BUN_METAL_CUDA is \"%.100s\", which it cannot be: \"off\", or not set", setting);
    return;
  }
  void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  isThere = library && readFunctions(library) && api.Init(0) == CudaSuccess;
}

const CudaApi *cudaApi(void) {
  pthread_once(&once, openLibrary);
  return isThere ? &api : NULL;
}

const char *cudaApiProblem(void) {
  pthread_once(&once, openLibrary);
  return *problem ? problem : NULL;
}

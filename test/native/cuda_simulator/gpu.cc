/* gpu.cc: see gpu.h. */
#include "gpu.h"

extern "C" {
#include "cuda/api.h"
}

#include <dlfcn.h>

enum { MostModules = 64 };

static CudaModule modules[MostModules];
static u32 moduleCount;
static CudaResult (*allocateManaged)(CudaAddress *address, size_t length, unsigned flags);

static void fail(const char *what, const char *why) {
  printf("FAIL on the GPU: %s: %s\n", what, why);
  fflush(stdout);
  _Exit(1);
}

static void check(CudaResult result, const char *what) {
  const char *text = "";
  if (result == CudaSuccess) return;
  cudaApi()->GetErrorString(result, &text);
  fail(what, text);
}

static void loadModule(const char *path) {
  static char text[1 << 24];
  FILE *file = fopen(path, "re");
  const size_t length = file ? fread(text, 1, sizeof text - 1, file) : 0;
  if (!file || length == 0 || moduleCount == MostModules) fail(path, "it cannot be read");
  fclose(file);
  text[length] = 0;
  check(cudaApi()->ModuleLoadDataEx(&modules[moduleCount++], text, 0, nullptr, nullptr), path);
}

static void openGpu() {
  const CudaApi *api = cudaApi();
  if (!api) fail("libcuda.so.1", "there is no GPU");
  CudaDeviceNumber device = 0;
  CudaContext context = nullptr;
  check(api->DeviceGet(&device, 0), "cuDeviceGet");
  check(api->DevicePrimaryCtxRetain(&context, device), "cuDevicePrimaryCtxRetain");
  check(api->CtxPushCurrent(context), "cuCtxPushCurrent");
  void *library = dlopen("libcuda.so.1", RTLD_NOW);
  *(void **)&allocateManaged = library ? dlsym(library, "cuMemAllocManaged") : nullptr;
  if (!allocateManaged) fail("cuMemAllocManaged", "it is not there");
  const char *paths = getenv("CUDA_SIMULATOR_PTX");
  static char list[1 << 14];
  snprintf(list, sizeof list, "%s", paths ? paths : "");
  char *rest = list;
  for (char *path = strtok_r(rest, ":", &rest); path; path = strtok_r(nullptr, ":", &rest)) loadModule(path);
}

bool simulatorIsGpu() {
  static int isGpu = -1;
  if (isGpu < 0) {
    const char *setting = getenv("CUDA_SIMULATOR");
    isGpu = setting && strcmp(setting, "gpu") == 0;
    if (isGpu) openGpu();
  }
  return isGpu;
}

void *gpuAllocate(u64 bytes) {
  CudaAddress address = 0;
  check(allocateManaged(&address, bytes ? bytes : 1, 1), "cuMemAllocManaged");
  return (void *)(uintptr_t)address;
}

void gpuFree(void *memory) { check(cudaApi()->MemFree((uintptr_t)memory), "cuMemFree"); }

void gpuLaunch(const CudaNativeLaunch *launch) {
  const CudaApi *api = cudaApi();
  CudaKernel kernel = nullptr;
  for (u32 i = 0; i < moduleCount && !kernel; i++)
    if (api->ModuleGetFunction(&kernel, modules[i], launch->kernel) != CudaSuccess) kernel = nullptr;
  if (!kernel) check(CudaErrorInvalidValue, launch->kernel);
  check(api->FuncSetAttribute(kernel, CudaFunctionMaxDynamicSharedBytes, (int)launch->sharedBytes), launch->kernel);
  void *parameter = (void *)launch->parameters;
  check(api->LaunchKernel(kernel, launch->grid[0], launch->grid[1], launch->grid[2], launch->block[0], launch->block[1],
                          launch->block[2], launch->sharedBytes, nullptr, &parameter, nullptr),
        launch->kernel);
  check(api->StreamSynchronize(nullptr), launch->kernel);
}

/*
 * api.h: NVIDIA's driver library as far as this device uses it, opened at run time.
 *
 * Declared after the documentation of the CUDA driver API; no header of the toolkit is needed. Names are the API's own
 * without "cu". Where the library exports several versions of a function, the one whose signature is declared here is
 * named in the table; all of them are in drivers since CUDA 11.4.
 */
#ifndef BUN_METAL_CUDA_API_H
#define BUN_METAL_CUDA_API_H

#include <stddef.h>
#include <stdint.h>

typedef int CudaResult; /* CUresult; 0 is success */
typedef int CudaDeviceNumber;
typedef uint64_t CudaAddress; /* CUdeviceptr */
typedef struct CUctx_st *CudaContext;
typedef struct CUmod_st *CudaModule;
typedef struct CUfunc_st *CudaKernel; /* CUfunction */
typedef struct CUlib_st *CudaLibrary;
typedef struct CUstream_st *CudaStream;
typedef struct CUevent_st *CudaEvent;
typedef struct CUgraph_st *CudaGraphTemplate;     /* CUgraph */
typedef struct CUgraphNode_st *CudaGraphNode;
typedef struct CUgraphExec_st *CudaGraphInstance; /* CUgraphExec */

typedef struct CudaUuid {
  unsigned char bytes[16];
} CudaUuid;

enum {
  CudaSuccess = 0,
  CudaErrorInvalidValue = 1,
  CudaErrorOutOfMemory = 2,
  CudaErrorNotReady = 600,
  CudaErrorNotSupported = 801
};

enum {
  CudaAttributeMaxThreadsPerBlock = 1,
  CudaAttributeMaxBlockDimX = 2, /* Y and Z follow */
  CudaAttributeMaxGridDimX = 5,  /* Y and Z follow */
  CudaAttributeMaxSharedMemoryPerBlock = 8,
  CudaAttributeWarpSize = 10,
  CudaAttributeMultiprocessorCount = 16,
  CudaAttributeCanMapHostMemory = 19,
  CudaAttributeUnifiedAddressing = 41,
  CudaAttributeComputeCapabilityMajor = 75,
  CudaAttributeComputeCapabilityMinor = 76,
  CudaAttributeMaxSharedMemoryPerBlockOptin = 97,
  CudaAttributeReadOnlyHostRegister = 113
};

/* The carveout: shared memory's share of what it has in common with the first cache, in per cent of the most that it can be. */
enum { CudaFunctionMaxThreadsPerBlock = 0, CudaFunctionMaxDynamicSharedBytes = 8, CudaFunctionSharedCarveout = 9 };
enum { CudaHostPortable = 1, CudaHostDeviceMap = 2, CudaHostReadOnly = 8 /* of MemHostRegister alone */ };
enum { CudaStreamNonBlocking = 1 };
enum { CudaEventDefault = 0, CudaEventBlockingSync = 1 };
enum { CudaMemoryUnified = 4 }; /* CU_MEMORYTYPE_UNIFIED: the address itself tells where it is */

/* CUjit_option */
enum { CudaJitErrorLog = 5, CudaJitErrorLogBytes = 6 };

/** CUgraphEdgeData. */
typedef struct CudaEdge {
  unsigned char fromPort, toPort, type, reserved[5];
} CudaEdge;
enum { CudaPortProgrammatic = 1 };  /* of a kernel: it says itself when what comes behind it may begin */
enum { CudaEdgeProgrammatic = 1 };  /* CU_GRAPH_DEPENDENCY_TYPE_PROGRAMMATIC */

/** CUDA_KERNEL_NODE_PARAMS, first version. */
typedef struct CudaKernelNode {
  CudaKernel function;
  unsigned gridX, gridY, gridZ;
  unsigned blockX, blockY, blockZ;
  unsigned sharedBytes;
  void **parameters;
  void **extra;
} CudaKernelNode;

/** CUDA_MEMCPY3D. */
typedef struct CudaCopy3D {
  size_t sourceX, sourceY, sourceZ, sourceLevel;
  unsigned sourceType;
  const void *sourceHost;
  CudaAddress sourceDevice;
  void *sourceArray;
  void *reserved0;
  size_t sourcePitch, sourceHeight;
  size_t destinationX, destinationY, destinationZ, destinationLevel;
  unsigned destinationType;
  void *destinationHost;
  CudaAddress destinationDevice;
  void *destinationArray;
  void *reserved1;
  size_t destinationPitch, destinationHeight;
  size_t width, height, depth;
} CudaCopy3D;

/* name, symbol, parameters */
#define CUDA_FUNCTIONS(F)                                                                                              \
  F(Init, "cuInit", (unsigned flags))                                                                                  \
  F(GetErrorName, "cuGetErrorName", (CudaResult result, const char **name))                                            \
  F(GetErrorString, "cuGetErrorString", (CudaResult result, const char **text))                                        \
  F(DeviceGetCount, "cuDeviceGetCount", (int *count))                                                                  \
  F(DeviceGet, "cuDeviceGet", (CudaDeviceNumber * device, int ordinal))                                                \
  F(DeviceGetName, "cuDeviceGetName", (char *name, int length, CudaDeviceNumber device))                               \
  F(DeviceGetUuid, "cuDeviceGetUuid_v2", (CudaUuid * uuid, CudaDeviceNumber device))                                      \
  F(DeviceTotalMem, "cuDeviceTotalMem_v2", (size_t *bytes, CudaDeviceNumber device))                                   \
  F(DeviceGetAttribute, "cuDeviceGetAttribute", (int *value, int attribute, CudaDeviceNumber device))                  \
  F(DevicePrimaryCtxRetain, "cuDevicePrimaryCtxRetain", (CudaContext * context, CudaDeviceNumber device))              \
  F(CtxPushCurrent, "cuCtxPushCurrent_v2", (CudaContext context))                                                      \
  F(CtxPopCurrent, "cuCtxPopCurrent_v2", (CudaContext * context))                                                      \
  F(MemGetInfo, "cuMemGetInfo_v2", (size_t *available, size_t *total))                                                 \
  F(MemAlloc, "cuMemAlloc_v2", (CudaAddress * address, size_t length))                                                 \
  F(MemFree, "cuMemFree_v2", (CudaAddress address))                                                                    \
  F(MemHostAlloc, "cuMemHostAlloc", (void **memory, size_t length, unsigned flags))                                    \
  F(MemFreeHost, "cuMemFreeHost", (void *memory))                                                                      \
  F(MemHostRegister, "cuMemHostRegister_v2", (void *memory, size_t length, unsigned flags))                            \
  F(MemHostUnregister, "cuMemHostUnregister", (void *memory))                                                          \
  F(MemHostGetDevicePointer, "cuMemHostGetDevicePointer_v2", (CudaAddress * address, void *memory, unsigned flags))    \
  F(MemcpyAsync, "cuMemcpyAsync",                                                                                      \
    (CudaAddress destination, CudaAddress source, size_t length, CudaStream stream))                                   \
  F(MemsetD8Async, "cuMemsetD8Async",                                                                                  \
    (CudaAddress destination, unsigned char value, size_t length, CudaStream stream))                                  \
  F(StreamCreate, "cuStreamCreate", (CudaStream * stream, unsigned flags))                                             \
  F(StreamDestroy, "cuStreamDestroy_v2", (CudaStream stream))                                                          \
  F(StreamSynchronize, "cuStreamSynchronize", (CudaStream stream))                                                     \
  F(EventCreate, "cuEventCreate", (CudaEvent * event, unsigned flags))                                                 \
  F(EventDestroy, "cuEventDestroy_v2", (CudaEvent event))                                                              \
  F(EventRecord, "cuEventRecord", (CudaEvent event, CudaStream stream))                                                \
  F(EventQuery, "cuEventQuery", (CudaEvent event))                                                                     \
  F(EventSynchronize, "cuEventSynchronize", (CudaEvent event))                                                         \
  F(EventElapsedTime, "cuEventElapsedTime", (float *milliseconds, CudaEvent start, CudaEvent end))                     \
  F(ModuleLoadDataEx, "cuModuleLoadDataEx",                                                                            \
    (CudaModule * module, const void *image, unsigned count, int *options, void **values))                             \
  F(ModuleUnload, "cuModuleUnload", (CudaModule module))                                                               \
  F(ModuleGetFunction, "cuModuleGetFunction", (CudaKernel * function, CudaModule module, const char *name))            \
  F(FuncGetAttribute, "cuFuncGetAttribute", (int *value, int attribute, CudaKernel function))                          \
  F(FuncSetAttribute, "cuFuncSetAttribute", (CudaKernel function, int attribute, int value))                           \
  F(LaunchKernel, "cuLaunchKernel",                                                                                    \
    (CudaKernel function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX, unsigned blockY,            \
     unsigned blockZ, unsigned sharedBytes, CudaStream stream, void **parameters, void **extra))                       \
  F(GraphCreate, "cuGraphCreate", (CudaGraphTemplate * graph, unsigned flags))                                         \
  F(GraphDestroy, "cuGraphDestroy", (CudaGraphTemplate graph))                                                         \
  F(GraphAddKernelNode, "cuGraphAddKernelNode",                                                                        \
    (CudaGraphNode * node, CudaGraphTemplate graph, const CudaGraphNode *before, size_t count,                         \
     const CudaKernelNode *kernel))                                                                                    \
  F(GraphAddMemcpyNode, "cuGraphAddMemcpyNode",                                                                        \
    (CudaGraphNode * node, CudaGraphTemplate graph, const CudaGraphNode *before, size_t count,                         \
     const CudaCopy3D *copy, CudaContext context))                                                                     \
  F(GraphAddEmptyNode, "cuGraphAddEmptyNode",                                                                          \
    (CudaGraphNode * node, CudaGraphTemplate graph, const CudaGraphNode *before, size_t count))                        \
  F(GraphInstantiate, "cuGraphInstantiateWithFlags",                                                                   \
    (CudaGraphInstance * instance, CudaGraphTemplate graph, unsigned long long flags))                                 \
  F(GraphExecDestroy, "cuGraphExecDestroy", (CudaGraphInstance instance))                                              \
  F(GraphExecKernelNodeSetParams, "cuGraphExecKernelNodeSetParams",                                                    \
    (CudaGraphInstance instance, CudaGraphNode node, const CudaKernelNode *kernel))                                    \
  F(GraphLaunch, "cuGraphLaunch", (CudaGraphInstance instance, CudaStream stream))

/* Those that older drivers lack: NULL there. */
#define CUDA_OPTIONAL_FUNCTIONS(F)                                                                                     \
  F(GraphAddDependencies, "cuGraphAddDependencies_v2", /* CUDA 12.3 */                                                 \
    (CudaGraphTemplate graph, const CudaGraphNode *from, const CudaGraphNode *to, const CudaEdge *edges, size_t count))  \
  /* CUDA 12.0. The kernel of a library (CUkernel) is a handle, which a context has a function for. */                  \
  F(LibraryLoadData, "cuLibraryLoadData",                                                                              \
    (CudaLibrary * library, const void *code, int *jitOptions, void **jitValues, unsigned jitCount, int *options,      \
     void **values, unsigned count))                                                                                   \
  F(LibraryUnload, "cuLibraryUnload", (CudaLibrary library))                                                           \
  F(LibraryGetKernel, "cuLibraryGetKernel", (void **kernel, CudaLibrary library, const char *name))                    \
  F(KernelGetFunction, "cuKernelGetFunction", (CudaKernel * function, void *kernel))

#define CUDA_DECLARE(name, symbol, parameters) CudaResult(*name) parameters;
typedef struct CudaApi {
  CUDA_FUNCTIONS(CUDA_DECLARE)
  CUDA_OPTIONAL_FUNCTIONS(CUDA_DECLARE)
} CudaApi;
#undef CUDA_DECLARE

/** The library, initialised; NULL where there is none, where it has no driver to talk to, and with BUN_METAL_CUDA=off. */
const CudaApi *cudaApi(void);

/** NULL, or what is wrong with BUN_METAL_CUDA. The text lives as long as the process. */
const char *cudaApiProblem(void);

#endif

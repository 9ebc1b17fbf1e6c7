/* copy_plan.h: the launch that brings ranges of memory to where kernels read them fast. It stands in for no shader. */
#ifndef BUN_METAL_CUDA_NATIVE_COPY_PLAN_H
#define BUN_METAL_CUDA_NATIVE_COPY_PLAN_H

#include "copy.h"
#include "native.h"

#ifdef __cplusplus
extern "C" {
#endif

/** At most CopyMostRanges, and at least one. */
void cudaCopyPlan(const CopyRange *ranges, uint32_t count, CudaNativeLaunch *out);

#ifdef __cplusplus
}
#endif

#endif

/* matmul_plan.h: the plan of matrix-matrix products, matmul_*. */
#ifndef BUN_METAL_CUDA_NATIVE_MATMUL_PLAN_H
#define BUN_METAL_CUDA_NATIVE_MATMUL_PLAN_H

#include "native.h"

#ifdef __cplusplus
extern "C" {
#endif

CudaNativePlan matmulPlan;

#ifdef __cplusplus
}
#endif

#endif

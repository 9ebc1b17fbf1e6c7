/* plans.c: see native.h. */
#include "native.h"

CudaNativePlan cudaAttentionPlan, cudaMatvecPlan, matmulPlan, cudaSamplePlan;

CudaNativePlan *const cudaNativePlans[] = {cudaAttentionPlan, cudaMatvecPlan, matmulPlan, cudaSamplePlan, NULL};

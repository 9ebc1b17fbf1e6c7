/* plans.c: see native.h. */
#include "native.h"

CudaNativePlan cudaAttentionPlan, cudaAttentionTiledPlan, cudaMatvecPlan, matmulPlan, cudaSamplePlan;

CudaNativePlan *const cudaNativePlans[] = {cudaAttentionPlan, cudaAttentionTiledPlan, cudaMatvecPlan, matmulPlan, cudaSamplePlan, NULL};

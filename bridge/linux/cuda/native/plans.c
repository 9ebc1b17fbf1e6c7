/* plans.c: see native.h. */
#include "native.h"

CudaNativePlan cudaAttentionPlan, cudaAttentionTiledPlan, cudaRopeStorePlan, cudaNormPlan, cudaMatvecPlan, matmulPlan, cudaSamplePlan;

CudaNativePlan *const cudaNativePlans[] = {cudaAttentionPlan, cudaAttentionTiledPlan, cudaRopeStorePlan, cudaNormPlan, cudaMatvecPlan, matmulPlan, cudaSamplePlan, NULL};

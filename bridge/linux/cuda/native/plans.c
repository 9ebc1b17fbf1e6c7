/* plans.c: see native.h. */
#include "native.h"

CudaNativePlan cudaAttentionPlan, cudaAttentionTiledPlan, cudaEmbedPlan, cudaRopeStorePlan, cudaNormPlan, cudaMatvecPlan, matmulPlan, cudaSamplePlan;

CudaNativePlan *const cudaNativePlans[] = {cudaAttentionPlan, cudaAttentionTiledPlan, cudaRopeStorePlan, cudaNormPlan, cudaMatvecPlan, matmulPlan, cudaEmbedPlan, cudaSamplePlan, NULL};

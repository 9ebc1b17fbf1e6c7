/* plans.c: see native.h. */
#include "native.h"

CudaNativePlan cudaAttentionPlan, cudaAttentionTiledPlan, cudaRopeStorePlan, cudaNormPlan, cudaMatvecPlan, cudaSamplePlan, cudaActivationPlan, cudaEmbedPlan, cudaMatmulPlan;

CudaNativePlan *const cudaNativePlans[] = {cudaAttentionPlan, cudaAttentionTiledPlan, cudaRopeStorePlan, cudaNormPlan, cudaMatvecPlan, cudaSamplePlan, cudaActivationPlan, cudaEmbedPlan, cudaMatmulPlan, NULL};

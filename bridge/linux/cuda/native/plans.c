/* plans.c: see native.h. That of attention comes before those of what attention takes with it. */
#include "native.h"

CudaNativePlan cudaAttentionPlan, cudaAttentionTiledPlan, cudaRopeStorePlan, cudaNormPlan;
CudaNativePlan cudaMatvecPlan, cudaMatmulPlan, cudaActivationPlan, cudaEmbedPlan, cudaSamplePlan;

CudaNativePlan *const cudaNativePlans[] = {
    cudaAttentionPlan, cudaAttentionTiledPlan, cudaRopeStorePlan, cudaNormPlan, cudaMatvecPlan,
    cudaMatmulPlan,    cudaActivationPlan,     cudaEmbedPlan,     cudaSamplePlan, NULL};

/* plans.c: see native.h. */
#include "native.h"

CudaNativePlan cudaAttentionPlan, cudaMatvecPlan, cudaSamplePlan;

CudaNativePlan *const cudaNativePlans[] = {cudaAttentionPlan, cudaMatvecPlan, cudaSamplePlan, NULL};

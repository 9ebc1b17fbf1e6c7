/* plans.c: see native.h. */
#include "native.h"

CudaNativePlan cudaAttentionPlan, cudaMatvecPlan;

CudaNativePlan *const cudaNativePlans[] = {cudaAttentionPlan, cudaMatvecPlan, NULL};

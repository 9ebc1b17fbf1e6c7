/* plans.c: see native.h. */
#include "native.h"

CudaNativePlan cudaMatvecPlan;

CudaNativePlan *const cudaNativePlans[] = {cudaMatvecPlan, NULL};

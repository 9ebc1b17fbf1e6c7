/* plans.c: see native.h. */
#include "native.h"

CudaNativePlan *const cudaNativePlans[] = {NULL};

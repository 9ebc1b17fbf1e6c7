/* gguf.h: the types of weights of ../weights.h, whose names are also those of kernels. */
#ifndef TEST_NATIVE_CUDA_SIMULATOR_GGUF_H
#define TEST_NATIVE_CUDA_SIMULATOR_GGUF_H

/* What weights.h includes belongs in no namespace. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

namespace gguf {
#include "../weights.h"

[[maybe_unused]] static const WeightType &typeNamed(const char *name) {
  for (const WeightType &type : weightTypes)
    if (strcmp(type.name, name) == 0) return type;
  abort();
}
}

#endif

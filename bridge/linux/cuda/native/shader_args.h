/* shader_args.h: the argument structs and constants of shaders/args.h, for plans and kernels. */
#ifndef BUN_METAL_CUDA_NATIVE_SHADER_ARGS_H
#define BUN_METAL_CUDA_NATIVE_SHADER_ARGS_H

#include <stdint.h>

typedef uint32_t uint; // as the shaders call it
#include "../../../../shaders/args.h"

#endif

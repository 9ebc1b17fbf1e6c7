/*
 * level.h: all native kernels, compiled for the instructions that the including file has named.
 *
 * It is included once by each file of x86_64/ and aarch64/, inside an unnamed namespace: a function of one level must
 * never be taken for that of another one by the linker.
 */
#include "simd.h"

#include "activations.h"
#include "arguments.h"
#include "cache.h"
#include "elementary.h"

#ifdef NATIVE_AMX
#include "amx_tiles.h"
#endif

#include "attention_rows.h"
#include "attention_tiles.h"
#include "attention.h"
#include "elementwise.h"
#include "kv.h"
#include "norm.h"
#include "rope.h"
#include "rows.h"
#include "weight_parts.h"

#include "blocks.h"
#include "superblocks.h"

#include "matmul.h"
#include "matvec.h"

#include "product.h"

#include "product_kernels.h"

static const NativeKernel kernels[] = {
    ATTENTION_KERNELS ELEMENTWISE_KERNELS KV_KERNELS MATMUL_KERNELS NORM_KERNELS PRODUCT_KERNELS ROPE_KERNELS ROW_KERNELS //
};

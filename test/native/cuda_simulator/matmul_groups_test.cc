/* The same, as kernels are where four warps multiply together. */
#define SIMULATED_GROUP_PRODUCTS
#include "matmul_test.cc"

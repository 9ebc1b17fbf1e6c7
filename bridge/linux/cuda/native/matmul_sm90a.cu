/* matmul_sm90a.cu: the kernels of matmul.cu for compute capability 9.0, where four warps multiply together. */
#include "matmul.cu"

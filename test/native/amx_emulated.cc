/* amx_emulated.cc: the level amx for the test of native products, on machines without tiles: the same kernels, on emulated ones. */
#define NATIVE_AMX_EMULATED
#include "../../bridge/linux/cpu/native/x86_64/amx.cc"

/* levels.c: see levels.h. */
#include "levels.h"

#if defined(__x86_64__)
extern const NativeLevel nativeLevel_v2, nativeLevel_avx2, nativeLevel_avx512vnni, nativeLevel_amx;
const NativeLevel *const nativeLevels[] = {&nativeLevel_v2, &nativeLevel_avx2, &nativeLevel_avx512vnni, &nativeLevel_amx,
                                           NULL};
#elif defined(__aarch64__)
extern const NativeLevel nativeLevel_neon, nativeLevel_dotprod, nativeLevel_i8mm;
const NativeLevel *const nativeLevels[] = {&nativeLevel_neon, &nativeLevel_dotprod, &nativeLevel_i8mm, NULL};
#else
const NativeLevel *const nativeLevels[] = {NULL};
#endif

/* intrinsics_ptx.h: the side of intrinsics.h that is instructions of PTX, for compute capability 8.0 and newer. */
#ifndef BUN_METAL_CUDA_NATIVE_INTRINSICS_PTX_H
#define BUN_METAL_CUDA_NATIVE_INTRINSICS_PTX_H

/* ---- kernels and memory --------------------------------------------------------------------------------------------- */

#define DEVICE __attribute__((device, always_inline)) inline
#define DEVICE_MEMBER DEVICE /* of a struct */
/** A function that is called: for what many kernels of a file have and is not worth its bytes in each of them. */
#define DEVICE_CALLED static __attribute__((device, noinline))
/** GLOBAL(threads, blocksPerSM) void name(const Parameters p) { ... } */
#define GLOBAL(threads, blocksPerSM) extern "C" __attribute__((global, launch_bounds(threads, blocksPerSM)))
/** Inside of a kernel: all of the block's shared memory, from an address that is a multiple of 16 on. */
#define SHARED_ARENA(name) extern __attribute__((shared, aligned(16))) unsigned char name[]
#define CONSTANT_TABLE static __attribute__((device)) const
#define UNROLL _Pragma("unroll")
/** Code that runs once, or seldom, is short rather than fast: it has to be fetched. */
#define ROLLED _Pragma("unroll 1")

/* ---- where a thread is ----------------------------------------------------------------------------------------------- */

DEVICE u32 threadIndex() { return (u32)__nvvm_read_ptx_sreg_tid_x(); }
DEVICE u32 threadCount() { return (u32)__nvvm_read_ptx_sreg_ntid_x(); }
DEVICE u32 blockIndexX() { return (u32)__nvvm_read_ptx_sreg_ctaid_x(); }
DEVICE u32 blockIndexY() { return (u32)__nvvm_read_ptx_sreg_ctaid_y(); }
DEVICE u32 blockIndexZ() { return (u32)__nvvm_read_ptx_sreg_ctaid_z(); }
DEVICE u32 blockCountX() { return (u32)__nvvm_read_ptx_sreg_nctaid_x(); }
DEVICE u32 blockCountY() { return (u32)__nvvm_read_ptx_sreg_nctaid_y(); }
DEVICE u32 blockCountZ() { return (u32)__nvvm_read_ptx_sreg_nctaid_z(); }
DEVICE u32 laneIndex() { return threadIndex() & 31; }
/** The same in all lanes, and known to be: what depends on it needs no register of each lane's own. All 32 take part. */
DEVICE u32 warpIndex() { return (u32)__nvvm_shfl_sync_idx_i32(0xffffffff, (int)(threadIndex() >> 5), 0, 31); }

/* ---- waiting for each other ------------------------------------------------------------------------------------------ */

DEVICE void syncThreads() { asm volatile("bar.sync 0;" ::: "memory"); }
/** `barrier` 1 to 15; `threads`, a multiple of 32, is how many wait or arrive there in all. */
DEVICE void syncThreads(u32 barrier, u32 threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(barrier), "r"(threads) : "memory");
}
DEVICE void arriveThreads(u32 barrier, u32 threads) {
  asm volatile("bar.arrive %0, %1;" ::"r"(barrier), "r"(threads) : "memory");
}
DEVICE void syncWarp() { asm volatile("bar.warp.sync 0xffffffff;" ::: "memory"); }

/* Instructions of compute capability 9.0, which older devices do without: the library takes them out of their pragmas where
 * there are any (../kernels.h), so that one text serves all. */
/** Launches that overlap (native.h): waits until all that was launched before is done and its writes are seen. */
DEVICE void waitForPrevious() { asm volatile(".pragma \"griddepcontrol.wait\";" ::: "memory"); }
/** Lets the next launch begin, once all blocks have said so or have ended. */
DEVICE void allowNext() { asm volatile(".pragma \"griddepcontrol.launch_dependents\";"); }

/* ---- between the lanes of a warp: all 32 take part --------------------------------------------------------------------- */

DEVICE u32 shuffleXor(u32 v, u32 mask) { return (u32)__nvvm_shfl_sync_bfly_i32(0xffffffff, (int)v, (int)mask, 31); }
DEVICE i32 shuffleXor(i32 v, u32 mask) { return __nvvm_shfl_sync_bfly_i32(0xffffffff, v, (int)mask, 31); }
DEVICE float shuffleXor(float v, u32 mask) { return __nvvm_shfl_sync_bfly_f32(0xffffffff, v, (int)mask, 31); }
DEVICE u32 shuffle(u32 v, u32 lane) { return (u32)__nvvm_shfl_sync_idx_i32(0xffffffff, (int)v, (int)lane, 31); }
DEVICE float shuffle(float v, u32 lane) { return __nvvm_shfl_sync_idx_f32(0xffffffff, v, (int)lane, 31); }
/** From lane + delta; lanes without such a one keep their own. */
DEVICE u32 shuffleDown(u32 v, u32 delta) { return (u32)__nvvm_shfl_sync_down_i32(0xffffffff, (int)v, (int)delta, 31); }
DEVICE i32 shuffleDown(i32 v, u32 delta) { return __nvvm_shfl_sync_down_i32(0xffffffff, v, (int)delta, 31); }
DEVICE float shuffleDown(float v, u32 delta) { return __nvvm_shfl_sync_down_f32(0xffffffff, v, (int)delta, 31); }
DEVICE u32 maximumWarp(u32 v) {
  u32 d;
  asm volatile("redux.sync.max.u32 %0, %1, 0xffffffff;" : "=r"(d) : "r"(v));
  return d;
}
DEVICE u32 ballot(bool p) { return (u32)__nvvm_vote_ballot_sync(0xffffffff, p); }

/* ---- numbers ---------------------------------------------------------------------------------------------------------- */

#define INTRINSIC_UNARY(name, instruction)               \
  DEVICE float name(float x) {                           \
    float y;                                             \
    asm(instruction ".f32 %0, %1;" : "=f"(y) : "f"(x));  \
    return y;                                            \
  }
/* Relative errors below 2^-22; denormal numbers are 0. */
INTRINSIC_UNARY(fastExp2, "ex2.approx.ftz")
INTRINSIC_UNARY(fastReciprocal, "rcp.approx.ftz")
INTRINSIC_UNARY(fastReciprocalSqrt, "rsqrt.approx.ftz")
#undef INTRINSIC_UNARY
DEVICE float fastDivide(float a, float b) { return a * fastReciprocal(b); }
DEVICE float absolute(float x) { return __builtin_fabsf(x); }
DEVICE float multiplyAdd(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
/** The other one where one is NaN. */
DEVICE float maximum(float a, float b) { return __nvvm_fmax_f(a, b); }
DEVICE float minimum(float a, float b) { return __nvvm_fmin_f(a, b); }
DEVICE i32 maximum(i32 a, i32 b) { return a > b ? a : b; }
DEVICE i32 minimum(i32 a, i32 b) { return a < b ? a : b; }
DEVICE u32 maximum(u32 a, u32 b) { return a > b ? a : b; }
DEVICE u32 minimum(u32 a, u32 b) { return a < b ? a : b; }
/** To the nearest, ties to even; out of range to the nearest end, NaN to 0. */
DEVICE i32 roundToInt(float x) { return __nvvm_f2i_rn(x); }
DEVICE u32 bitsOf(float x) { return __builtin_bit_cast(u32, x); }
DEVICE float floatOf(u32 bits) { return __builtin_bit_cast(float, bits); }

/* ---- bits and bytes ---------------------------------------------------------------------------------------------------- */

/** Bits `bits` to `bits` + 31 of the 64 bits hi:lo; `bits` below 32. */
DEVICE u32 funnelShift(u32 lo, u32 hi, u32 bits) {
  u32 d;
  asm("shf.r.wrap.b32 %0, %1, %2, %3;" : "=r"(d) : "r"(lo), "r"(hi), "r"(bits));
  return d;
}
/** Byte k is the one of the 8 bytes b:a that hexadecimal digit k of the selector tells; with its bit 3, the sign of that. */
DEVICE u32 permuteBytes(u32 a, u32 b, u32 selector) {
  u32 d;
  asm("prmt.b32 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(selector));
  return d;
}
/** c + the products of four bytes. */
DEVICE i32 dotS8(u32 a, u32 b, i32 c) {
  i32 d;
  asm("dp4a.s32.s32 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
  return d;
}
DEVICE i32 dotU8S8(u32 a, u32 b, i32 c) {
  i32 d;
  asm("dp4a.u32.s32 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
  return d;
}

/* ---- half and bfloat: two in a word, the first in its lower half ---------------------------------------------------------- */

DEVICE float halfToFloat(u16 h) {
  float f;
  asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(h));
  return f;
}
DEVICE u16 floatToHalf(float f) {
  u16 h;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(f));
  return h;
}
DEVICE f32x2 halvesToFloats(u32 pair) { return f32x2{halfToFloat((u16)pair), halfToFloat((u16)(pair >> 16))}; }
DEVICE u32 floatsToHalves(float first, float second) {
  u32 d;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(d) : "f"(second), "f"(first));
  return d;
}
DEVICE float bfloatToFloat(u16 b) { return floatOf((u32)b << 16); }
DEVICE u16 floatToBfloat(float f) {
  u16 b;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(b) : "f"(f));
  return b;
}
DEVICE f32x2 bfloatsToFloats(u32 pair) { return f32x2{floatOf(pair << 16), floatOf(pair & 0xffff0000)}; }
DEVICE u32 floatsToBfloats(float first, float second) {
  u32 d;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(d) : "f"(second), "f"(first));
  return d;
}
DEVICE u32 addHalves(u32 a, u32 b) {
  u32 d;
  asm("add.rn.f16x2 %0, %1, %2;" : "=r"(d) : "r"(a), "r"(b));
  return d;
}
DEVICE u32 subtractHalves(u32 a, u32 b) {
  u32 d;
  asm("sub.rn.f16x2 %0, %1, %2;" : "=r"(d) : "r"(a), "r"(b));
  return d;
}
DEVICE u32 multiplyHalves(u32 a, u32 b) {
  u32 d;
  asm("mul.rn.f16x2 %0, %1, %2;" : "=r"(d) : "r"(a), "r"(b));
  return d;
}
DEVICE u32 multiplyAddHalves(u32 a, u32 b, u32 c) {
  u32 d;
  asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
  return d;
}

/* ---- device memory ------------------------------------------------------------------------------------------------------- */

/** What no kernel writes while this one runs, or waits for the one before it, and is read once: weights. Aligned to as many bytes as are loaded. */
DEVICE u32x4 loadStreaming16(const void *from) {
  u32x4 v;
  asm volatile("ld.global.nc.L1::no_allocate.L2::256B.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(from));
  return v;
}
DEVICE u32 loadStreaming4(const void *from) {
  u32 v;
  asm volatile("ld.global.nc.L1::no_allocate.L2::256B.u32 %0, [%1];" : "=r"(v) : "l"(from));
  return v;
}
/** What is read once, and what earlier kernels may have written. */
DEVICE u32x4 loadOnce16(const void *from) {
  u32x4 v;
  asm volatile("ld.global.L1::no_allocate.L2::256B.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(from));
  return v;
}
DEVICE u32x2 loadOnce8(const void *from) {
  u32x2 v;
  asm volatile("ld.global.L1::no_allocate.L2::256B.v2.u32 {%0, %1}, [%2];" : "=r"(v.x), "=r"(v.y) : "l"(from));
  return v;
}

/* ---- between blocks -------------------------------------------------------------------------------------------------------- */

DEVICE u32 atomicAdd(u32 *at, u32 v) {
  u32 old;
  asm volatile("atom.relaxed.gpu.global.add.u32 %0, [%1], %2;" : "=r"(old) : "l"(at), "r"(v) : "memory");
  return old;
}
/** Orders what this thread wrote and read before it against what comes behind it, for the whole device. */
DEVICE void fence() { asm volatile("fence.acq_rel.gpu;" ::: "memory"); }
DEVICE u32 loadAcquire(const u32 *from) {
  u32 v;
  asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(v) : "l"(from) : "memory");
  return v;
}
DEVICE void storeRelease(u32 *to, u32 v) {
  asm volatile("st.release.gpu.global.u32 [%0], %1;" ::"l"(to), "r"(v) : "memory");
}
/** What other blocks of this launch have written, and a fence has made seen: not from this multiprocessor's own cache. */
DEVICE float loadShared(const float *from) {
  float v;
  asm volatile("ld.relaxed.gpu.global.f32 %0, [%1];" : "=f"(v) : "l"(from) : "memory");
  return v;
}
DEVICE u32x4 loadShared16(const void *from) {
  u32x4 v;
  asm volatile("ld.global.cg.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(from)
               : "memory");
  return v;
}

/* ---- asynchronous copies from device memory to shared memory ------------------------------------------------------------------ */

DEVICE u32 sharedAddress(const void *pointer) {
  return (u32)(u64)(const __attribute__((address_space(3))) char *)pointer;
}
/** 16 bytes, of which the first `bytes` (16, or fewer) are copied, and the rest is zero. */
DEVICE void copyAsync16(void *shared, const void *from, u32 bytes = 16) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(sharedAddress(shared)), "l"(from), "r"(bytes)
               : "memory");
}
DEVICE void copyAsync4(void *shared, const void *from, u32 bytes = 4) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(sharedAddress(shared)), "l"(from), "r"(bytes) : "memory");
}
/** Makes a group of this thread's copies since the last one. */
DEVICE void copyAsyncCommit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/** Waits until at most N of this thread's groups are under way. Others see what it copied behind a barrier. */
template <int N> DEVICE void copyAsyncWait() { asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory"); }

/* ---- matrices: PTX ISA, warp-level matrix instructions ---------------------------------------------------------------------------
 *
 * With g = lane / 4, t = lane % 4; a word has 4 bytes or 2 halves, the first lowest:
 *   16 x 32 bytes:  a[0] row g, columns 4 t ..; a[1] row g + 8; a[2], a[3] the same from column 16 on. b: rows 4 t .., 16 + 4 t ..
 *                   of column g
 *   16 x 16 halves: a[0] row g, columns 2 t, 2 t + 1; a[1] row g + 8; a[2], a[3] the same from column 8 on. b: rows 2 t .., 8 + 2 t
 *                   .. of column g
 *   d[0], d[1] row g, columns 2 t, 2 t + 1; d[2], d[3] row g + 8
 */

/** Four 8 x 8 matrices of 16 bits. Lane l says where row l % 8 of matrix l / 8 is: 16 bytes, aligned. It gets, of each, row l / 4,
 * columns 2 (l % 4) and the next. */
DEVICE void loadMatrix4(u32 (&r)[4], const void *shared) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(sharedAddress(shared))
               : "memory");
}
/** The same of the transposed ones: column l / 4, rows 2 (l % 4) and the next. */
DEVICE void loadMatrix4Transposed(u32 (&r)[4], const void *shared) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(sharedAddress(shared))
               : "memory");
}
/** Two matrices: lanes 0 to 15 say where their rows are. */
DEVICE void loadMatrix2(u32 (&r)[2], const void *shared) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(sharedAddress(shared))
               : "memory");
}

#define INTRINSIC_MMA(name, instruction, T, constraint)                                                                  \
  DEVICE void name(T (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) {                                                    \
    asm volatile("mma.sync.aligned." instruction " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"      \
                 : "+" constraint(d[0]), "+" constraint(d[1]), "+" constraint(d[2]), "+" constraint(d[3])                \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));                                    \
  }
/* d += a b */
INTRINSIC_MMA(mmaS8, "m16n8k32.row.col.s32.s8.s8.s32", i32, "r")
INTRINSIC_MMA(mmaU8S8, "m16n8k32.row.col.s32.u8.s8.s32", i32, "r")
INTRINSIC_MMA(mmaS8U8, "m16n8k32.row.col.s32.s8.u8.s32", i32, "r")
INTRINSIC_MMA(mmaF16, "m16n8k16.row.col.f32.f16.f16.f32", float, "f")
INTRINSIC_MMA(mmaBF16, "m16n8k16.row.col.f32.bf16.bf16.f32", float, "f")
#undef INTRINSIC_MMA
/** The left halves of 16 x 32 bytes: 16 columns of a, which are two words, and 16 rows of b, which are one. */
DEVICE void mmaS8Half(i32 (&d)[4], u32 a0, u32 a1, u32 b) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
               : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
               : "r"(a0), "r"(a1), "r"(b));
}

/* ---- matrices, four warps at a time: of capability 9.0 alone ------------------------------------------------------------------------
 *
 * Warps 4 i .. 4 i + 3 of a block multiply together, asynchronously. Matrices are in shared memory, in rows of 64 halves, 128 bytes,
 * of which piece p of 16 bytes stands at p ^ row % 8, from a multiple of 1024 on. Each warp has the sums of 16 rows, as mma has them.
 * What other instructions wrote to shared memory is seen behind fenceShared() in the threads that wrote it, and a barrier.
 */

#if __CUDA_ARCH__ == 900 && defined(__CUDA_ARCH_FEAT_SM90_ALL)
constexpr bool HasGroupProducts = true;
#else
constexpr bool HasGroupProducts = false;
#endif

/** A matrix in shared memory, from a row that is a multiple of 8 on. */
DEVICE u64 groupMatrix(const void *shared) {
  /* From one eight rows to the next: 1024 bytes. Pieces in the order of 128 bytes. */
  return (u64)1 << 62 | (u64)(1024 >> 4) << 32 | (u64)1 << 16 | (sharedAddress(shared) & 0x3ffff) >> 4;
}
/** The same `columns` further, a multiple of 16 below 64. */
DEVICE u64 groupColumns(u64 matrix, u32 columns) { return matrix + (2 * columns >> 4); }

DEVICE void fenceShared() {
#if __CUDA_ARCH__ >= 900
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}
/** Before products that add to sums which other instructions have written. */
DEVICE void groupBegin() {
  if constexpr (HasGroupProducts) asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
DEVICE void groupCommit() {
  if constexpr (HasGroupProducts) asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
/** Waits until at most N groups of products are under way. */
template <int N> DEVICE void groupWait() {
  if constexpr (HasGroupProducts) asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory");
}

#define INTRINSIC_SUMS4(d, j) "+f"(d[j][0]), "+f"(d[j][1]), "+f"(d[j][2]), "+f"(d[j][3])
#define INTRINSIC_SUMS16(d, j) INTRINSIC_SUMS4(d, j), INTRINSIC_SUMS4(d, j + 1), INTRINSIC_SUMS4(d, j + 2), INTRINSIC_SUMS4(d, j + 3)
#define INTRINSIC_SUMS32(d, j) INTRINSIC_SUMS16(d, j), INTRINSIC_SUMS16(d, j + 4)
#define INTRINSIC_SUMS64(d, j) INTRINSIC_SUMS32(d, j), INTRINSIC_SUMS32(d, j + 8)
#define INTRINSIC_SUMS128(d, j) INTRINSIC_SUMS64(d, j), INTRINSIC_SUMS64(d, j + 16)
#define INTRINSIC_NAMES32 \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define INTRINSIC_NAMES64 \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
  "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
  "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define INTRINSIC_NAMES128 \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
  "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
  "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, " \
  "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, " \
  "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, " \
  "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, " \
  "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"
#define INTRINSIC_GROUP(name, type, columns, count, first, second)                                                          \
  DEVICE void name(float (&d)[columns / 8][4], u64 a, u64 b) {                                                              \
    if constexpr (HasGroupProducts)                                                                                         \
      asm volatile("{.reg .pred p; setp.eq.b32 p, 1, 1; wgmma.mma_async.sync.aligned.m64n" #columns "k16.f32." type "." type \
                   " {" INTRINSIC_NAMES##count "}, %" #first ", %" #second ", p, 1, 1, 0, 0;}"                              \
                   : INTRINSIC_SUMS##count(d, 0)                                                                            \
                   : "l"(a), "l"(b));                                                                                       \
  }
/* d += a b, where a is rows of 64 halves or bfloats, of which 16 are multiplied, and b is the columns of another matrix. */
INTRINSIC_GROUP(groupF16, "f16", 64, 32, 32, 33)
INTRINSIC_GROUP(groupF16, "f16", 128, 64, 64, 65)
INTRINSIC_GROUP(groupF16, "f16", 256, 128, 128, 129)
INTRINSIC_GROUP(groupBF16, "bf16", 64, 32, 32, 33)
INTRINSIC_GROUP(groupBF16, "bf16", 128, 64, 64, 65)
INTRINSIC_GROUP(groupBF16, "bf16", 256, 128, 128, 129)
#undef INTRINSIC_GROUP
#undef INTRINSIC_NAMES32
#undef INTRINSIC_NAMES64
#undef INTRINSIC_NAMES128
#undef INTRINSIC_SUMS4
#undef INTRINSIC_SUMS16
#undef INTRINSIC_SUMS32
#undef INTRINSIC_SUMS64
#undef INTRINSIC_SUMS128

#endif

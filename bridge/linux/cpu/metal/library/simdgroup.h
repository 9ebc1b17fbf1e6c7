/*
 * simdgroup.h: barriers, SIMD-group and quad-group functions.
 *
 * The lanes of a SIMD group are fibers of one operating system thread. Each lane writes its operand into its slot of
 * `in` and arrives; the last to arrive computes what every lane gets into `out` (or `result`) and goes on; the others
 * find it there when their turn comes. No slot is reused too early: the next function completes only when all lanes
 * that take part have arrived there, and so have read the results of the one before.
 */
#ifndef BUN_METAL_SIMDGROUP_H
#define BUN_METAL_SIMDGROUP_H

namespace metal {

namespace detail {

inline ulong stackPointer() {
  ulong address;
#if defined(__x86_64__)
  __asm__("movq %%rsp, %0" : "=r"(address));
#else
  __asm__("mov %0, sp" : "=r"(address));
#endif
  return address;
}

#if defined(__x86_64__)
/* What the waiting functions change: all but the stack pointer, rbp and rbx (fiber_x86_64.S). */
#if defined(__AVX512F__)
#define METAL_WAIT_MASKS , "k1", "k2", "k3", "k4", "k5", "k6", "k7"
#define METAL_WAIT_VECTORS                                                                                      \
  , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", \
      "xmm28", "xmm29", "xmm30", "xmm31"
#else
#define METAL_WAIT_MASKS
#define METAL_WAIT_VECTORS
#endif
#define METAL_WAIT_CHANGES                                                                                    \
  "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc", "xmm0", "xmm1", "xmm2", \
      "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",    \
      "xmm15" METAL_WAIT_VECTORS METAL_WAIT_MASKS
#else
typedef uint (*Arrive)(CpuGroup *, uint);
typedef void (*Barrier)(CpuGroup *, uint);
#endif

/** The running lane. */
struct Lane {
  CpuGroup *group;
  uint index;

  Lane() {
    const ulong address = stackPointer();
    group = (CpuGroup *)(address & ~((1ul << CpuGroupShift) - 1));
    index = (uint)(address >> CpuStackShift) & (CpuSimdWidth - 1);
  }
  /** Waits for the lanes of the SIMD group that take part. Their mask for the one that computes, 0 for the others. */
  uint arrive() {
#if defined(__x86_64__)
    ulong g = (ulong)group;
    uint i = index, mask;
    __asm__ volatile("call *%c[arrive](%%rdi)"
                     : "+D"(g), "+S"(i), "=a"(mask)
                     : [arrive] "i"(__builtin_offsetof(CpuGroup, arrive))
                     : METAL_WAIT_CHANGES);
    group = (CpuGroup *)g;
    index = i;
    return mask;
#else
    return ((Arrive)group->arrive)(group, index);
#endif
  }
  /** Waits for all threads of the threadgroup. */
  void barrier() {
#if defined(__x86_64__)
    ulong g = (ulong)group;
    uint i = index;
    __asm__ volatile("call *%c[barrier](%%rdi)"
                     : "+D"(g), "+S"(i)
                     : [barrier] "i"(__builtin_offsetof(CpuGroup, barrier))
                     : "rax", METAL_WAIT_CHANGES);
#else
    ((Barrier)group->barrier)(group, index);
#endif
  }
  template <typename T> T *in() const { return (T *)group->in; }
  template <typename T> T *out() const { return (T *)group->out; }
};

/* What the computing lane does for all is not inlined: its registers are free at that point anyway, and the code of a
 * kernel stays small. */
#define METAL_FOR_ALL __attribute__((noinline))

template <typename Operation, typename T> METAL_FOR_ALL T reduceLanes(const T *in, uint active) {
  if (active != 0xffffffffu) {
    T total = Operation::template identity<T>();
#pragma clang loop unroll(disable) vectorize(disable)
    for (uint i = 0; i < CpuSimdWidth; i++)
      if (active >> i & 1) total = Operation::apply(total, in[i]);
    return total;
  }
  T v[CpuSimdWidth];
  for (int i = 0; i < CpuSimdWidth; i++) v[i] = in[i];
  for (int width = CpuSimdWidth / 2; width > 0; width /= 2)
    for (int i = 0; i < width; i++) v[i] = Operation::apply(v[i], v[i + width]);
  return v[0];
}

/** Combines the operands of the lanes that take part; every lane gets the same. */
template <typename Operation, typename T> inline T reduce(T value) {
  METAL_SIMD_OPERAND(T);
  Lane lane;
  lane.in<T>()[lane.index] = value;
  const uint active = lane.arrive();
  if (active != 0) lane.out<T>()[0] = reduceLanes<Operation, T>(lane.in<T>(), active);
  return lane.out<T>()[0];
}

template <typename Operation, bool inclusive, typename T>
METAL_FOR_ALL void scanLanes(const T *in, T *out, uint active, uint width) {
  T total = Operation::template identity<T>();
#pragma clang loop unroll(disable)
  for (uint i = 0; i < CpuSimdWidth; i++) {
    if ((i & (width - 1)) == 0) total = Operation::template identity<T>();
    const T next = active >> i & 1 ? Operation::apply(total, in[i]) : total;
    out[i] = inclusive ? next : total;
    total = next;
  }
}

/** Runs through the lanes in order, or through each run of `width` lanes. */
template <typename Operation, bool inclusive, typename T> inline T scan(T value, uint width) {
  METAL_SIMD_OPERAND(T);
  Lane lane;
  lane.in<T>()[lane.index] = value;
  const uint active = lane.arrive();
  if (active != 0) scanLanes<Operation, inclusive, T>(lane.in<T>(), lane.out<T>(), active, width);
  return lane.out<T>()[lane.index];
}

template <typename Operation, typename T> METAL_FOR_ALL void reduceQuads(const T *in, T *out, uint active) {
#pragma clang loop unroll(disable)
  for (uint quad = 0; quad < CpuSimdWidth; quad += 4) {
    T total = Operation::template identity<T>();
    for (uint i = quad; i < quad + 4; i++)
      if (active >> i & 1) total = Operation::apply(total, in[i]);
    out[quad] = out[quad + 1] = out[quad + 2] = out[quad + 3] = total;
  }
}

/** Combines the operands of each quad. */
template <typename Operation, typename T> inline T reduceQuad(T value) {
  METAL_SIMD_OPERAND(T);
  Lane lane;
  lane.in<T>()[lane.index] = value;
  const uint active = lane.arrive();
  if (active != 0) reduceQuads<Operation, T>(lane.in<T>(), lane.out<T>(), active);
  return lane.out<T>()[lane.index];
}

template <typename T> METAL_FOR_ALL void showLanes(const T *in, T *out) {
  for (int i = 0; i < CpuSimdWidth; i++) out[i] = in[i];
}

/** Shows each lane the operands of all. Lanes that do not take part have what they showed last. */
template <typename T> struct Exchange {
  Lane lane;
  Exchange(T value) {
    METAL_SIMD_OPERAND(T);
    lane.in<T>()[lane.index] = value;
    if (lane.arrive() != 0) showLanes<T>(lane.in<T>(), lane.out<T>());
  }
  T of(uint other) const { return lane.out<T>()[other & (CpuSimdWidth - 1)]; }
};

METAL_FOR_ALL inline uint voteLanes(const uchar *in) {
  uint yes = 0;
  for (uint i = 0; i < CpuSimdWidth; i++) yes |= (uint)(in[i] != 0) << i;
  return yes;
}

/** The lanes that take part and for which `value` is true; `active` gets all that take part. */
inline uint vote(bool value, thread uint &active) {
  Lane lane;
  lane.in<uchar>()[lane.index] = value;
  const uint mask = lane.arrive();
  if (mask != 0) lane.group->result = (ulong)(voteLanes(lane.in<uchar>()) & mask) | (ulong)mask << 32;
  const ulong result = lane.group->result;
  active = (uint)(result >> 32);
  return (uint)result;
}

/** The operand of the first lane that takes part. */
template <typename T> inline T fromFirst(T v) {
  METAL_SIMD_OPERAND(T);
  Lane lane;
  lane.in<T>()[lane.index] = v;
  const uint active = lane.arrive();
  if (active != 0) lane.out<T>()[0] = lane.in<T>()[__builtin_ctz(active)];
  return lane.out<T>()[0];
}

} // namespace detail

inline void threadgroup_barrier(mem_flags) {
  detail::Lane lane;
  lane.barrier();
}
inline void simdgroup_barrier(mem_flags) {
  detail::Lane lane;
  lane.arrive();
}

} // namespace metal
#endif

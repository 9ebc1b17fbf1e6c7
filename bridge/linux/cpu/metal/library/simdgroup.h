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

enum class mem_flags {
  mem_none = 0,
  mem_device = 1,
  mem_threadgroup = 2,
  mem_texture = 4,
  mem_threadgroup_imageblock = 8,
  mem_object_data = 16,
  mem_device_and_threadgroup = 3
};
constexpr mem_flags operator|(mem_flags a, mem_flags b) { return (mem_flags)((int)a | (int)b); }
constexpr mem_flags operator&(mem_flags a, mem_flags b) { return (mem_flags)((int)a & (int)b); }

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

template <typename T> inline constexpr __constant bool isSimdOperand =
    sizeof(T) <= CpuSlotBytes && (__is_integral(Element<T>) || isFloating<T>) && !__is_same(Element<T>, bool);

#define METAL_SIMD_OPERAND(T) \
  static_assert(detail::isSimdOperand<T>, "SIMD-group functions take numbers and vectors of numbers")

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

struct Sum {
  template <typename T> static T identity() { return (T)(0); }
  template <typename T> static T apply(T a, T b) { return a + b; }
};
struct Product {
  template <typename T> static T identity() { return (T)(1); }
  template <typename T> static T apply(T a, T b) { return a * b; }
};
struct Minimum {
  template <typename T> static T identity() {
    if constexpr (isFloating<T>)
      return (T)((Element<T>)INFINITY);
    else
      return (T)(numeric_limits<Element<T>>::max());
  }
  template <typename T> static T apply(T a, T b) { return __builtin_elementwise_min(a, b); }
};
struct Maximum {
  template <typename T> static T identity() {
    if constexpr (isFloating<T>)
      return (T)((Element<T>)-INFINITY);
    else
      return (T)(numeric_limits<Element<T>>::min());
  }
  template <typename T> static T apply(T a, T b) { return __builtin_elementwise_max(a, b); }
};
struct And {
  template <typename T> static T identity() { return (T)((Element<T>)~0ul); }
  template <typename T> static T apply(T a, T b) { return a & b; }
};
struct Or {
  template <typename T> static T identity() { return (T)(0); }
  template <typename T> static T apply(T a, T b) { return a | b; }
};
struct Xor {
  template <typename T> static T identity() { return (T)(0); }
  template <typename T> static T apply(T a, T b) { return a ^ b; }
};

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

/** Operands of simd_and and the like. */
template <typename T> using IfSimdInteger = enable_if_t<__is_integral(Element<T>), T>;

} // namespace detail

inline void threadgroup_barrier(mem_flags) {
  detail::Lane lane;
  lane.barrier();
}
inline void simdgroup_barrier(mem_flags) {
  detail::Lane lane;
  lane.arrive();
}

template <typename T> inline T simd_sum(T v) { return detail::reduce<detail::Sum>(v); }
template <typename T> inline T simd_product(T v) { return detail::reduce<detail::Product>(v); }
template <typename T> inline T simd_min(T v) { return detail::reduce<detail::Minimum>(v); }
template <typename T> inline T simd_max(T v) { return detail::reduce<detail::Maximum>(v); }
template <typename T> inline detail::IfSimdInteger<T> simd_and(T v) { return detail::reduce<detail::And>(v); }
template <typename T> inline detail::IfSimdInteger<T> simd_or(T v) { return detail::reduce<detail::Or>(v); }
template <typename T> inline detail::IfSimdInteger<T> simd_xor(T v) { return detail::reduce<detail::Xor>(v); }
template <typename T> inline T simd_prefix_inclusive_sum(T v) { return detail::scan<detail::Sum, true>(v, 32); }
template <typename T> inline T simd_prefix_exclusive_sum(T v) { return detail::scan<detail::Sum, false>(v, 32); }
template <typename T> inline T simd_prefix_inclusive_product(T v) {
  return detail::scan<detail::Product, true>(v, 32);
}
template <typename T> inline T simd_prefix_exclusive_product(T v) {
  return detail::scan<detail::Product, false>(v, 32);
}

template <typename T> inline T simd_shuffle(T v, ushort lane) { return detail::Exchange<T>(v).of(lane); }
template <typename T> inline T simd_broadcast(T v, ushort lane) { return detail::Exchange<T>(v).of(lane); }
template <typename T> inline T simd_shuffle_xor(T v, ushort mask) {
  const detail::Exchange<T> all(v);
  return all.of(all.lane.index ^ mask);
}
template <typename T> inline T simd_shuffle_up(T v, ushort delta) {
  const detail::Exchange<T> all(v);
  return all.lane.index >= delta ? all.of(all.lane.index - delta) : v;
}
template <typename T> inline T simd_shuffle_down(T v, ushort delta) {
  const detail::Exchange<T> all(v);
  return all.lane.index + delta < CpuSimdWidth ? all.of(all.lane.index + delta) : v;
}
template <typename T> inline T simd_shuffle_rotate_up(T v, ushort delta) {
  const detail::Exchange<T> all(v);
  return all.of(all.lane.index - delta);
}
template <typename T> inline T simd_shuffle_rotate_down(T v, ushort delta) {
  const detail::Exchange<T> all(v);
  return all.of(all.lane.index + delta);
}
/** Shifts within each run of `modulo` lanes; the first `delta` lanes of a run get the last ones of `fill`. */
template <typename T> inline T simd_shuffle_and_fill_up(T v, T fill, ushort delta, ushort modulo = 32) {
  const detail::Exchange<T> all(v);
  const uint index = all.lane.index, at = index & (modulo - 1);
  const T shifted = all.of(index - delta); /* read before the next exchange overwrites it */
  const detail::Exchange<T> filling(fill);
  return at >= delta ? shifted : filling.of(index - delta + modulo);
}
template <typename T> inline T simd_shuffle_and_fill_down(T v, T fill, ushort delta, ushort modulo = 32) {
  const detail::Exchange<T> all(v);
  const uint index = all.lane.index, at = index & (modulo - 1);
  const T shifted = all.of(index + delta);
  const detail::Exchange<T> filling(fill);
  return at + delta < modulo ? shifted : filling.of(index + delta - modulo);
}

/** A mask of lanes; converts explicitly to an integer. */
struct simd_vote {
  typedef ulong vote_t;
  vote_t mask;
  simd_vote() : mask(0) {}
  explicit simd_vote(vote_t m) : mask(m) {}
  explicit operator ulong() const { return mask; }
  explicit operator uint() const { return (uint)mask; }
  bool all() const { return mask == 0xffffffffu; }
  bool any() const { return mask != 0; }
};
inline simd_vote simd_ballot(bool v) {
  uint active;
  return simd_vote((ulong)detail::vote(v, active));
}
inline bool simd_all(bool v) {
  uint active;
  return detail::vote(v, active) == active;
}
inline bool simd_any(bool v) {
  uint active;
  return detail::vote(v, active) != 0;
}
inline simd_vote simd_active_threads_mask() { return simd_ballot(true); }
inline bool simd_is_first() {
  uint active;
  detail::vote(true, active);
  return (uint)__builtin_ctz(active) == detail::Lane().index;
}
template <typename T> inline T simd_broadcast_first(T v) {
  METAL_SIMD_OPERAND(T);
  detail::Lane lane;
  lane.in<T>()[lane.index] = v;
  const uint active = lane.arrive();
  if (active != 0) lane.out<T>()[0] = lane.in<T>()[__builtin_ctz(active)];
  return lane.out<T>()[0];
}

template <typename T> inline T quad_sum(T v) { return detail::reduceQuad<detail::Sum>(v); }
template <typename T> inline T quad_product(T v) { return detail::reduceQuad<detail::Product>(v); }
template <typename T> inline T quad_min(T v) { return detail::reduceQuad<detail::Minimum>(v); }
template <typename T> inline T quad_max(T v) { return detail::reduceQuad<detail::Maximum>(v); }
template <typename T> inline detail::IfSimdInteger<T> quad_and(T v) { return detail::reduceQuad<detail::And>(v); }
template <typename T> inline detail::IfSimdInteger<T> quad_or(T v) { return detail::reduceQuad<detail::Or>(v); }
template <typename T> inline detail::IfSimdInteger<T> quad_xor(T v) { return detail::reduceQuad<detail::Xor>(v); }
template <typename T> inline T quad_prefix_inclusive_sum(T v) { return detail::scan<detail::Sum, true>(v, 4); }
template <typename T> inline T quad_prefix_exclusive_sum(T v) { return detail::scan<detail::Sum, false>(v, 4); }
template <typename T> inline T quad_prefix_inclusive_product(T v) {
  return detail::scan<detail::Product, true>(v, 4);
}
template <typename T> inline T quad_prefix_exclusive_product(T v) {
  return detail::scan<detail::Product, false>(v, 4);
}
template <typename T> inline T quad_shuffle(T v, ushort lane) {
  const detail::Exchange<T> all(v);
  return all.of((all.lane.index & ~3u) | (lane & 3));
}
template <typename T> inline T quad_broadcast(T v, ushort lane) { return quad_shuffle(v, lane); }
template <typename T> inline T quad_shuffle_xor(T v, ushort mask) {
  const detail::Exchange<T> all(v);
  return all.of(all.lane.index ^ (mask & 3));
}
template <typename T> inline T quad_shuffle_up(T v, ushort delta) {
  const detail::Exchange<T> all(v);
  return (all.lane.index & 3) >= delta ? all.of(all.lane.index - delta) : v;
}
template <typename T> inline T quad_shuffle_down(T v, ushort delta) {
  const detail::Exchange<T> all(v);
  return (all.lane.index & 3) + delta < 4 ? all.of(all.lane.index + delta) : v;
}
template <typename T> inline T quad_shuffle_rotate_up(T v, ushort delta) {
  const detail::Exchange<T> all(v);
  return all.of((all.lane.index & ~3u) | ((all.lane.index - delta) & 3));
}
template <typename T> inline T quad_shuffle_rotate_down(T v, ushort delta) {
  const detail::Exchange<T> all(v);
  return all.of((all.lane.index & ~3u) | ((all.lane.index + delta) & 3));
}
typedef simd_vote quad_vote;
inline quad_vote quad_ballot(bool v) {
  uint active;
  return quad_vote((ulong)(detail::vote(v, active) >> (detail::Lane().index & ~3u) & 15));
}
inline bool quad_all(bool v) {
  uint active;
  const uint yes = detail::vote(v, active);
  return ((yes ^ active) >> (detail::Lane().index & ~3u) & 15) == 0;
}
inline bool quad_any(bool v) {
  uint active;
  return (detail::vote(v, active) >> (detail::Lane().index & ~3u) & 15) != 0;
}
inline quad_vote quad_active_threads_mask() { return quad_ballot(true); }
inline bool quad_is_first() {
  uint active;
  detail::vote(true, active);
  const uint index = detail::Lane().index;
  return (uint)__builtin_ctz(active >> (index & ~3u) & 15) == (index & 3);
}
template <typename T> inline T quad_broadcast_first(T v) {
  uint active;
  detail::vote(true, active);
  const uint quad = detail::Lane().index & ~3u;
  return detail::Exchange<T>(v).of(quad + (uint)__builtin_ctz(active >> quad & 15));
}

} // namespace metal
#endif

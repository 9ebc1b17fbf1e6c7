/*
 * entry.h: how the device calls a kernel, and what it learns about the kernel's arguments.
 *
 * The compiler driver writes a few lines behind every shader, such as
 *     runThread(f<half>, *launch, *lane, Tag{buffer, 0}, Tag{value, thread_position_in_grid});
 * and the templates below deduce the rest from the type of the function: address spaces, constness, sizes.
 */
#ifndef BUN_METAL_ENTRY_H
#define BUN_METAL_ENTRY_H

namespace metal {
namespace detail {

static_assert(fromBuffer == CpuArgumentBuffer && fromThreadgroup == CpuArgumentThreadgroup && fromValue == CpuArgumentValue,
              "kinds of arguments as the device knows them");

struct NamedTag {
  uint source;
  uint index;
  const __constant char *name;
};

inline uint threadsIn(const CpuLaunch &launch) { return launch.size[0] * launch.size[1] * launch.size[2]; }

inline uint valueOf(const CpuLaunch &launch, const CpuThread &lane, uint value, int d) {
  switch (value) {
    case value_thread_position_in_grid: return launch.position[d] * launch.requested[d] + lane.position[d];
    case value_threads_per_grid: return launch.grid[d];
    case value_thread_position_in_threadgroup: return lane.position[d];
    case value_threads_per_threadgroup: return launch.size[d];
    case value_dispatch_threads_per_threadgroup: return launch.requested[d];
    case value_threadgroup_position_in_grid: return launch.position[d];
    case value_threadgroups_per_grid: return launch.groups[d];
    case value_thread_index_in_threadgroup: return lane.index;
    case value_thread_index_in_simdgroup: return lane.index % CpuSimdWidth;
    case value_simdgroup_index_in_threadgroup: return lane.index / CpuSimdWidth;
    case value_simdgroups_per_threadgroup: return (threadsIn(launch) + CpuSimdWidth - 1) / CpuSimdWidth;
    case value_dispatch_simdgroups_per_threadgroup:
      return (launch.requested[0] * launch.requested[1] * launch.requested[2] + CpuSimdWidth - 1) / CpuSimdWidth;
    case value_threads_per_simdgroup:
    case value_thread_execution_width: return CpuSimdWidth;
    case value_thread_index_in_quadgroup: return lane.index % 4;
    case value_quadgroup_index_in_threadgroup: return lane.index / 4;
    case value_quadgroups_per_threadgroup: return (threadsIn(launch) + 3) / 4;
  }
  return 0;
}

/** An argument of type A: fetched once (construction), then given to each thread (get). */
template <typename A> struct Argument {
  static_assert(__is_integral(Element<A>), "a built-in argument is an integer or a vector of integers");
  uint value;
  Argument(const CpuLaunch &, Tag tag) : value(tag.index) {}
  A get(const CpuLaunch &launch, const CpuThread &lane) const {
    typedef Element<A> E;
    if constexpr (Shape<A>::count == 1)
      return (A)valueOf(launch, lane, value, 0);
    else if constexpr (Shape<A>::count == 2)
      return A{(E)valueOf(launch, lane, value, 0), (E)valueOf(launch, lane, value, 1)};
    else
      return A{(E)valueOf(launch, lane, value, 0), (E)valueOf(launch, lane, value, 1),
               (E)valueOf(launch, lane, value, 2)};
  }
  static void describe(CpuArgument &out) { out.kind = CpuArgumentValue; }
};

template <typename T, bool constantSpace, bool isReference> inline void describePointee(CpuArgument &out, uint kind) {
  typedef __remove_cv(T) Plain;
  out.kind = kind;
  out.writable = !constantSpace && !IsConst<T>::value;
  out.constantSpace = constantSpace;
  out.reference = isReference;
  out.dataSize = PointeeSize<Plain>::size;
  out.alignment = PointeeSize<Plain>::alignment;
}

template <typename T> struct Argument<device T *> {
  device T *pointer;
  Argument(const CpuLaunch &launch, Tag tag) : pointer((device T *)launch.buffers[tag.index]) {}
  device T *get(const CpuLaunch &, const CpuThread &) const { return pointer; }
  static void describe(CpuArgument &out) { describePointee<T, false, false>(out, CpuArgumentBuffer); }
};
template <typename T> struct Argument<device T &> {
  device T *pointer;
  Argument(const CpuLaunch &launch, Tag tag) : pointer((device T *)launch.buffers[tag.index]) {}
  device T &get(const CpuLaunch &, const CpuThread &) const { return *pointer; }
  static void describe(CpuArgument &out) { describePointee<T, false, true>(out, CpuArgumentBuffer); }
};
template <typename T> struct Argument<constant T *> {
  constant T *pointer;
  Argument(const CpuLaunch &launch, Tag tag) : pointer((constant T *)launch.buffers[tag.index]) {}
  constant T *get(const CpuLaunch &, const CpuThread &) const { return pointer; }
  static void describe(CpuArgument &out) { describePointee<T, true, false>(out, CpuArgumentBuffer); }
};
/** Small structs are copied, so that the compiler knows that no store changes them. */
template <typename T> struct Argument<constant T &> {
  static constexpr bool copied() { return sizeof(T) <= 128; }
  ulong address;
  alignas(T) char bytes[copied() ? sizeof(T) : 1];
  Argument(const CpuLaunch &launch, Tag tag) : address(launch.buffers[tag.index]) {
    if constexpr (copied()) __builtin_memcpy(bytes, (const void *)address, sizeof(T));
  }
  constant T &get(const CpuLaunch &, const CpuThread &) const {
    if constexpr (copied())
      return *(constant T *)(ulong)&bytes[0];
    else
      return *(constant T *)address;
  }
  static void describe(CpuArgument &out) { describePointee<T, true, true>(out, CpuArgumentBuffer); }
};
template <typename T> struct Argument<threadgroup T *> {
  threadgroup T *pointer;
  Argument(const CpuLaunch &launch, Tag tag)
      : pointer((threadgroup T *)(tag.source == fromArena ? launch.arena : launch.threadgroupMemory[tag.index])) {}
  threadgroup T *get(const CpuLaunch &, const CpuThread &) const { return pointer; }
  static void describe(CpuArgument &out) { describePointee<T, false, false>(out, CpuArgumentThreadgroup); }
};
template <typename T> struct Argument<threadgroup T &> {
  threadgroup T *pointer;
  Argument(const CpuLaunch &launch, Tag tag) : pointer((threadgroup T *)launch.threadgroupMemory[tag.index]) {}
  threadgroup T &get(const CpuLaunch &, const CpuThread &) const { return *pointer; }
  static void describe(CpuArgument &out) { describePointee<T, false, true>(out, CpuArgumentThreadgroup); }
};

/** Runs one thread: kernels that wait for others. */
template <typename... A, typename... Tags>
__attribute__((always_inline)) inline void runThread(void (*function)(A...), const CpuLaunch &launch,
                                                     const CpuThread &lane, Tags... tags) {
  function(Argument<A>(launch, tags).get(launch, lane)...);
}

template <typename... A> __attribute__((always_inline)) inline void loopOver(void (*function)(A...),
                                                                             const CpuLaunch &launch,
                                                                             Argument<A>... arguments) {
  CpuThread lane;
  lane.index = 0;
  for (uint z = 0; z < launch.size[2]; z++)
    for (uint y = 0; y < launch.size[1]; y++) {
      const uint first = lane.index, width = launch.size[0];
      lane.position[1] = y;
      lane.position[2] = z;
#pragma clang loop vectorize(enable)
      for (uint x = 0; x < width; x++) {
        lane.position[0] = x;
        lane.index = first + x;
        function(arguments.get(launch, lane)...);
      }
      lane.index = first + width;
    }
}

/** Runs a whole threadgroup: kernels whose threads do not wait for each other, so that the loop can be vector
 * code. */
template <typename... A, typename... Tags>
__attribute__((always_inline)) inline void runThreadgroup(void (*function)(A...), const CpuLaunch &launch,
                                                          Tags... tags) {
  const CpuLaunch copy = launch;
  loopOver(function, copy, Argument<A>(copy, tags)...);
}

template <typename... A, typename... Tags>
inline void describeKernel(void (*)(A...), CpuKernelInfo *info, uint maxThreads, uint staticMemory, Tags... tags) {
  static_assert(sizeof...(A) <= CpuMaxArguments, "a kernel has at most 64 arguments");
  info->maxThreads = maxThreads;
  info->staticMemory = staticMemory;
  uint count = 0;
  ((Argument<A>::describe(info->arguments[count]), info->arguments[count].kind = tags.source,
    info->arguments[count].index = tags.index, info->arguments[count].name = (ulong)tags.name, count++),
   ...);
  info->argumentCount = count;
}

} // namespace detail
} // namespace metal

extern "C" {
extern __attribute__((weak, visibility("hidden"))) __global const CpuKernel __start_bun_metal_kernels[];
extern __attribute__((weak, visibility("hidden"))) __global const CpuKernel __stop_bun_metal_kernels[];

/** The one symbol of a compiled library: where its table of kernels begins and ends. */
__attribute__((weak, visibility("default"), used)) void bun_metal_library(ulong *range) {
  range[0] = (ulong)__start_bun_metal_kernels;
  range[1] = (ulong)__stop_bun_metal_kernels;
}
}
#endif

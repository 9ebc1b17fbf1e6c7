/*
 * entry.h: how the device calls a kernel, and what it learns about the kernel's arguments.
 *
 * The compiler driver writes a few lines behind every shader, such as
 *     extern "C" __attribute__((nvptx_kernel)) void bm_0_f(CudaLaunch launch) {
 *       runKernel(f<half>, launch, Tag{fromBuffer, 0}, Tag{fromValue, thread_position_in_grid}); }
 *     extern "C" __global const CudaKernelInfo bm_info_0 = describeKernel(f<half>, ...);
 * and the templates below deduce the rest from the type of the function: address spaces, constness, sizes.
 */
#ifndef BUN_METAL_ENTRY_H
#define BUN_METAL_ENTRY_H

namespace metal {
namespace detail {

static_assert(fromBuffer == CudaArgumentBuffer && fromThreadgroup == CudaArgumentThreadgroup &&
                  fromValue == CudaArgumentValue,
              "kinds of arguments as the device knows them");

/** Dynamic shared memory: threadgroup variables, and behind them the arguments with [[threadgroup(n)]]. */
inline threadgroup char *sharedMemory() {
  uint address;
  __asm__("mov.u32 %0, bm_shared;" : "=r"(address));
  return (threadgroup char *)(ulong)address;
}

/** Where a thread stands. */
struct Place {
  uint3 group;    /* position of the threadgroup in the grid */
  uint3 size;     /* threads in this threadgroup: fewer at the edge of a grid */
  uint3 position; /* in the threadgroup */
  uint index;     /* in the threadgroup */

  /** False for a thread that is outside of the grid. At an edge the threads close up, in the order of their index, so that
   * SIMD groups are whole there too. */
  bool find(const CudaLaunch &launch) {
    const uint3 requested = {launch.requested[0], launch.requested[1], launch.requested[2]};
    const uint3 grid = {launch.grid[0], launch.grid[1], launch.grid[2]};
    const uint3 block = {(uint)__nvvm_read_ptx_sreg_ctaid_x(), (uint)__nvvm_read_ptx_sreg_ctaid_y(),
                         (uint)__nvvm_read_ptx_sreg_ctaid_z()};
    position = uint3{(uint)__nvvm_read_ptx_sreg_tid_x(), (uint)__nvvm_read_ptx_sreg_tid_y(),
                     (uint)__nvvm_read_ptx_sreg_tid_z()};
    group = block + uint3{launch.origin[0], launch.origin[1], launch.origin[2]};
    size = min(requested, grid - group * requested);
    index = position.x + requested.x * (position.y + requested.y * position.z);
    if (size.x == requested.x && size.y == requested.y && size.z == requested.z) return true;
    if (index >= size.x * size.y * size.z) return false;
    const uint row = index / size.x;
    position = uint3{index % size.x, row % size.y, row / size.y};
    return true;
  }
};

inline uint valueOf(const CudaLaunch &launch, const Place &place, uint value, int d) {
  const uint threads = place.size.x * place.size.y * place.size.z;
  switch (value) {
    case value_thread_position_in_grid: return place.group[d] * launch.requested[d] + place.position[d];
    case value_threads_per_grid: return launch.grid[d];
    case value_thread_position_in_threadgroup: return place.position[d];
    case value_threads_per_threadgroup: return place.size[d];
    case value_dispatch_threads_per_threadgroup: return launch.requested[d];
    case value_threadgroup_position_in_grid: return place.group[d];
    case value_threadgroups_per_grid: return (launch.grid[d] + launch.requested[d] - 1) / launch.requested[d];
    case value_thread_index_in_threadgroup: return place.index;
    case value_thread_index_in_simdgroup: return Lane().index;
    case value_simdgroup_index_in_threadgroup: return place.index / SimdWidth;
    case value_simdgroups_per_threadgroup: return (threads + SimdWidth - 1) / SimdWidth;
    case value_dispatch_simdgroups_per_threadgroup:
      return (launch.requested[0] * launch.requested[1] * launch.requested[2] + SimdWidth - 1) / SimdWidth;
    case value_threads_per_simdgroup:
    case value_thread_execution_width: return SimdWidth;
    case value_thread_index_in_quadgroup: return place.index % 4;
    case value_quadgroup_index_in_threadgroup: return place.index / 4;
    case value_quadgroups_per_threadgroup: return (threads + 3) / 4;
  }
  return 0;
}

/** An argument of type A. A built-in value here; the others below. */
template <typename A> struct Argument {
  static_assert(__is_integral(Element<A>), "a built-in argument is an integer or a vector of integers");
  enum : uint { constantBytes = 0 };
  static A get(const CudaLaunch &launch, const Place &place, Tag tag, uint) {
    typedef Element<A> E;
    if constexpr (Shape<A>::count == 1)
      return (A)valueOf(launch, place, tag.index, 0);
    else if constexpr (Shape<A>::count == 2)
      return A{(E)valueOf(launch, place, tag.index, 0), (E)valueOf(launch, place, tag.index, 1)};
    else
      return A{(E)valueOf(launch, place, tag.index, 0), (E)valueOf(launch, place, tag.index, 1),
               (E)valueOf(launch, place, tag.index, 2)};
  }
  static constexpr CudaArgument describe() { return CudaArgument{.kind = CudaArgumentValue}; }
};

template <typename T, bool constantSpace, bool isReference> constexpr CudaArgument describePointee() {
  typedef __remove_cv(T) Plain;
  return CudaArgument{.writable = !constantSpace && !IsConst<T>::value,
                      .constantSpace = constantSpace,
                      .reference = isReference,
                      .dataSize = PointeeSize<Plain>::size,
                      .alignment = PointeeSize<Plain>::alignment};
}

template <typename T> struct Argument<device T *> {
  enum : uint { constantBytes = 0 };
  static device T *get(const CudaLaunch &launch, const Place &, Tag tag, uint) {
    return (device T *)launch.buffers[tag.index];
  }
  static constexpr CudaArgument describe() { return describePointee<T, false, false>(); }
};
template <typename T> struct Argument<device T &> {
  enum : uint { constantBytes = 0 };
  static device T &get(const CudaLaunch &launch, const Place &, Tag tag, uint) {
    return *(device T *)launch.buffers[tag.index];
  }
  static constexpr CudaArgument describe() { return describePointee<T, false, true>(); }
};
template <typename T> struct Argument<constant T *> {
  enum : uint { constantBytes = 0 };
  static constant T *get(const CudaLaunch &launch, const Place &, Tag tag, uint) {
    return (constant T *)launch.buffers[tag.index];
  }
  static constexpr CudaArgument describe() { return describePointee<T, true, false>(); }
};
/**
 * Small ones may come with the launch, and are copied: the compiler keeps the copy in registers, and so no address of it is
 * left. Where one is (an array in it with a variable index), the driver of the compiler sees that and compiles again with
 * METAL_CONSTANTS_IN_MEMORY: the copy is not in device memory, as its type says.
 */
template <typename T> struct Argument<constant T &> {
  enum : uint { step = CudaConstantAlignment };
#if defined(METAL_CONSTANTS_IN_MEMORY)
  enum : uint { isSmall = 0 };
#else
  enum : uint { isSmall = sizeof(T) <= CudaConstantLargest && alignof(T) <= step };
#endif
  enum : uint { constantBytes = isSmall ? (sizeof(T) + step - 1) / step * step : 0 };
  static constexpr CudaArgument describe() { return describePointee<T, true, true>(); }
};
template <typename T> struct Argument<threadgroup T *> {
  enum : uint { constantBytes = 0 };
  static threadgroup T *get(const CudaLaunch &launch, const Place &, Tag tag, uint) {
    const uint offset = tag.source == fromArena ? 0 : launch.threadgroupMemory[tag.index];
    return (threadgroup T *)(sharedMemory() + offset);
  }
  static constexpr CudaArgument describe() { return describePointee<T, false, false>(); }
};
template <typename T> struct Argument<threadgroup T &> {
  enum : uint { constantBytes = 0 };
  static threadgroup T &get(const CudaLaunch &launch, const Place &place, Tag tag, uint) {
    return *Argument<threadgroup T *>::get(launch, place, tag, 0);
  }
  static constexpr CudaArgument describe() { return describePointee<T, false, true>(); }
};

/** An argument as it is passed on. */
template <typename A> struct Passed {
  A value;
  Passed(const CudaLaunch &launch, const Place &place, Tag tag, uint offset)
      : value(Argument<A>::get(launch, place, tag, offset)) {}
  A get() const { return value; }
};
template <typename T> struct Passed<constant T &> {
  constant T *pointer;
  alignas(T) char bytes[Argument<constant T &>::isSmall ? sizeof(T) : 1];
  Passed(const CudaLaunch &launch, const Place &, Tag tag, uint offset) {
    pointer = (constant T *)launch.buffers[tag.index];
    if constexpr (Argument<constant T &>::isSmall) {
      if (offset != CudaNoOffset && (launch.inlined >> tag.index & 1))
        __builtin_memcpy(bytes, launch.constants + offset, sizeof(T));
      else
        __builtin_memcpy(bytes, pointer, sizeof(T));
    }
  }
  constant T &get() const {
    if constexpr (Argument<constant T &>::isSmall)
      return *(constant T *)(const T *)&bytes[0];
    else
      return *pointer;
  }
};

/** Where argument `n` has its place in CudaLaunch.constants: behind those of the arguments before it. */
template <typename... A> constexpr uint constantOffset(uint n) {
  const uint bytes[] = {Argument<A>::constantBytes..., 0};
  uint end = 0;
  for (uint i = 0; i < sizeof...(A); i++) {
    if (bytes[i] == 0 || end + bytes[i] > CudaConstantBytes) {
      if (i == n) return CudaNoOffset;
      continue;
    }
    if (i == n) return end;
    end += bytes[i];
  }
  return CudaNoOffset;
}

template <uint... n> struct Sequence {};
template <uint count, uint... n> struct MakeSequence : MakeSequence<count - 1, count - 1, n...> {};
template <uint... n> struct MakeSequence<0, n...> {
  typedef Sequence<n...> type;
};

template <typename... A, typename... Tags, uint... n>
__attribute__((always_inline)) inline void callKernel(void (*function)(A...), const CudaLaunch &launch,
                                                      const Place &place, Sequence<n...>, Tags... tags) {
  function(Passed<A>(launch, place, tags, constantOffset<A...>(n)).get()...);
}
template <typename... A, typename... Tags>
__attribute__((always_inline)) inline void runKernel(void (*function)(A...), const CudaLaunch &launch, Tags... tags) {
  Place place;
  if (!place.find(launch)) return;
  callKernel(function, launch, place, typename MakeSequence<sizeof...(A)>::type(), tags...);
}

template <typename... A, typename... Tags>
constexpr CudaKernelInfo describeKernel(void (*)(A...), uint maxThreads, uint staticMemory, Tags... tags) {
  static_assert(sizeof...(A) <= CudaMaxArguments, "a kernel has at most 64 arguments");
  CudaKernelInfo info = {};
  info.argumentCount = sizeof...(A);
  info.maxThreads = maxThreads;
  info.staticMemory = staticMemory;
  const Tag list[] = {tags..., Tag{}};
  const CudaArgument arguments[] = {Argument<A>::describe()..., CudaArgument{}};
  for (uint i = 0; i < sizeof...(A); i++) {
    info.arguments[i] = arguments[i];
    info.arguments[i].kind = list[i].source;
    info.arguments[i].index = list[i].index;
    info.arguments[i].constantOffset = constantOffset<A...>(i);
  }
  return info;
}

} // namespace detail
} // namespace metal
#endif

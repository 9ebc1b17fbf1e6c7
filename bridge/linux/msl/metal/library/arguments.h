/*
 * arguments.h: what the arguments of a kernel can be, and where its threadgroup variables go. The tool writes these names.
 */
#ifndef BUN_METAL_ARGUMENTS_H
#define BUN_METAL_ARGUMENTS_H

namespace metal {
namespace detail {

/** Where an argument comes from. fromArena: the memory of the kernel's threadgroup variables. */
enum Source { fromBuffer, fromThreadgroup, fromValue, fromArena };

/** What a value argument is, by the name of its attribute. */
enum Value {
  value_thread_position_in_grid,
  value_threads_per_grid,
  value_thread_position_in_threadgroup,
  value_threads_per_threadgroup,
  value_dispatch_threads_per_threadgroup,
  value_threadgroup_position_in_grid,
  value_threadgroups_per_grid,
  value_thread_index_in_threadgroup,
  value_thread_index_in_simdgroup,
  value_simdgroup_index_in_threadgroup,
  value_simdgroups_per_threadgroup,
  value_dispatch_simdgroups_per_threadgroup,
  value_threads_per_simdgroup,
  value_thread_execution_width,
  value_thread_index_in_quadgroup,
  value_quadgroup_index_in_threadgroup,
  value_quadgroups_per_threadgroup
};

struct Tag {
  uint source;
  uint index; /* of a buffer or of threadgroup memory; a Value */
};

template <typename T> struct PointeeSize {
  enum { size = sizeof(T), alignment = alignof(T) };
};
template <> struct PointeeSize<void> {
  enum { size = 1, alignment = 1 };
};
template <typename T> struct IsConst {
  enum { value = 0 };
};
template <typename T> struct IsConst<const T> {
  enum { value = 1 };
};

/** Where a threadgroup variable of type T goes when the ones before it end at `end`. */
template <typename T> constexpr uint placeAfter(uint end, uint alignment) {
  const uint own = alignof(T) > 16 ? (uint)alignof(T) : 16;
  const uint step = alignment > own ? alignment : own;
  return (end + step - 1) / step * step;
}

} // namespace detail
} // namespace metal
#endif

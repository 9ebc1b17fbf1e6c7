/*
 * reduce.h: reductions over a threadgroup, of at most one SIMD group or of whole ones. Every thread calls them and gets
 * the result.
 *
 * `partials` is threadgroup memory with a place for each SIMD group; two reductions in one kernel need two of them,
 * because nothing holds back the second one's writes until all have read the first one's.
 */
#ifndef BUN_METAL_REDUCE_H
#define BUN_METAL_REDUCE_H

#include "common.h"

/** Where a thread stands in its threadgroup. */
struct Place {
  uint lane; // in its SIMD group
  uint simdgroup;
  uint simdgroups; // in the threadgroup
};

inline float threadgroup_sum(float value, threadgroup float *partials, Place place) {
  value = simd_sum(value);
  if (place.simdgroups == 1) return value;
  if (place.lane == 0) partials[place.simdgroup] = value;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  return simd_sum(place.lane < place.simdgroups ? partials[place.lane] : 0.0f);
}

template <typename T> inline T threadgroup_max(T value, threadgroup T *partials, Place place) {
  value = simd_max(value);
  if (place.simdgroups == 1) return value;
  if (place.lane == 0) partials[place.simdgroup] = value;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  return simd_max(partials[place.lane < place.simdgroups ? place.lane : 0]);
}

inline uint threadgroup_min(uint value, threadgroup uint *partials, Place place) {
  value = simd_min(value);
  if (place.simdgroups == 1) return value;
  if (place.lane == 0) partials[place.simdgroup] = value;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  return simd_min(partials[place.lane < place.simdgroups ? place.lane : 0]);
}

#endif

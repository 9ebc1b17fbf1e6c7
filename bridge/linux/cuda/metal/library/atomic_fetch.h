/*
 * atomic_fetch.h: what an atomic object becomes by an operation, for atomic.h. Each returns what it was.
 */
#ifndef BUN_METAL_ATOMIC_FETCH_H
#define BUN_METAL_ATOMIC_FETCH_H

namespace metal {
namespace detail {

template <typename T> inline T fetchAdd(T *object, T operand) { return __atomic_fetch_add(object, operand, __ATOMIC_RELAXED); }
template <typename T> inline T fetchSubtract(T *object, T operand) { return __atomic_fetch_add(object, -operand, __ATOMIC_RELAXED); }
template <typename T> inline T fetchMinimum(T *object, T operand) { return __atomic_fetch_min(object, operand, __ATOMIC_RELAXED); }
template <typename T> inline T fetchMaximum(T *object, T operand) { return __atomic_fetch_max(object, operand, __ATOMIC_RELAXED); }
template <typename T> inline T fetchAnd(T *object, T operand) { return __atomic_fetch_and(object, operand, __ATOMIC_RELAXED); }
template <typename T> inline T fetchOr(T *object, T operand) { return __atomic_fetch_or(object, operand, __ATOMIC_RELAXED); }
template <typename T> inline T fetchXor(T *object, T operand) { return __atomic_fetch_xor(object, operand, __ATOMIC_RELAXED); }

} // namespace detail
} // namespace metal
#endif

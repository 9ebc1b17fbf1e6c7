/*
 * simdgroup_matrix_functions.h: what shaders do with the matrices of the device's simdgroup_matrix.h, which loads, stores,
 * fills and multiplies them.
 */
#ifndef BUN_METAL_SIMDGROUP_MATRIX_FUNCTIONS_H
#define BUN_METAL_SIMDGROUP_MATRIX_FUNCTIONS_H

namespace metal {
namespace detail {

/** The first element of a matrix at (column, row); transposing exchanges the two. */
METAL_MATRIX ulong matrixStart(ulong stride, ulong2 origin, bool transpose) {
  return transpose ? origin.x * stride + origin.y : origin.y * stride + origin.x;
}

} // namespace detail

#define METAL_MATRIX_MEMORY(space)                                                                                   \
  template <typename T>                                                                                              \
  METAL_MATRIX void simdgroup_load(thread simdgroup_matrix<T> &m, const space T *source, ulong elements_per_row = 8, \
                                   ulong2 matrix_origin = (ulong2)(0), bool transpose_matrix = false) {              \
    m.overwritten();                                                                                                 \
    detail::loadMatrix(m, source + detail::matrixStart(elements_per_row, matrix_origin, transpose_matrix),           \
                       elements_per_row, transpose_matrix);                                                          \
  }                                                                                                                  \
  template <typename T>                                                                                              \
  METAL_MATRIX void simdgroup_store(const simdgroup_matrix<T> &m, space T *destination, ulong elements_per_row = 8,  \
                                    ulong2 matrix_origin = (ulong2)(0), bool transpose_matrix = false) {             \
    m.gather();                                                                                                      \
    detail::storeMatrix(m, destination + detail::matrixStart(elements_per_row, matrix_origin, transpose_matrix),     \
                        elements_per_row, transpose_matrix);                                                         \
  }
METAL_MATRIX_MEMORY(device)
METAL_MATRIX_MEMORY(threadgroup)
#undef METAL_MATRIX_MEMORY

template <typename T, int Columns, int Rows>
METAL_MATRIX simdgroup_matrix<T, Columns, Rows> make_filled_simdgroup_matrix(T value) {
  simdgroup_matrix<T, Columns, Rows> m;
  detail::fillMatrix(m, value);
  return m;
}

/** d = a * b + c; d may be c. Products and sums are in float; a half result is rounded once. */
template <typename D, typename A, typename B, typename C>
METAL_MATRIX void simdgroup_multiply_accumulate(thread simdgroup_matrix<D> &d, const simdgroup_matrix<A> &a,
                                                const simdgroup_matrix<B> &b, const simdgroup_matrix<C> &c) {
  a.gather();
  b.gather();
  c.gather();
  detail::multiplyMatrices(d, a, b, c);
}

template <typename D, typename A, typename B> METAL_MATRIX void simdgroup_multiply(thread simdgroup_matrix<D> &d,
                                                                                   const simdgroup_matrix<A> &a,
                                                                                   const simdgroup_matrix<B> &b) {
  simdgroup_matrix<float> zero = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
  simdgroup_multiply_accumulate(d, a, b, zero);
}

template <typename T> METAL_MATRIX simdgroup_matrix<T> operator*(simdgroup_matrix<T> a, simdgroup_matrix<T> b) {
  simdgroup_matrix<T> d;
  simdgroup_multiply(d, a, b);
  return d;
}

} // namespace metal
#endif

/*
 * matrix.h: matrices of float and half, N columns of M rows (floatNxM), column by column.
 */
#ifndef BUN_METAL_MATRIX_H
#define BUN_METAL_MATRIX_H

namespace metal {

template <typename T, int C, int R> struct matrix {
  vec<T, R> columns[C];

  matrix() = default;
  explicit matrix(T diagonal) {
    for (int c = 0; c < C; c++)
      for (int r = 0; r < R; r++) columns[c][r] = c == r ? diagonal : (T)(0);
  }
  template <typename... V> matrix(vec<T, R> first, V... rest) : columns{first, rest...} {
    static_assert(sizeof...(V) == C - 1, "a matrix is made of all its columns");
  }
  vec<T, R> operator[](int c) const { return columns[c]; }
  vec<T, R> &operator[](int c) { return columns[c]; }
};

template <typename T, int C, int R> inline vec<T, R> operator*(matrix<T, C, R> m, vec<T, C> v) {
  vec<T, R> sum = m.columns[0] * v[0];
  for (int c = 1; c < C; c++) sum += m.columns[c] * v[c];
  return sum;
}
template <typename T, int C, int R> inline vec<T, C> operator*(vec<T, R> v, matrix<T, C, R> m) {
  vec<T, C> out;
  for (int c = 0; c < C; c++) out[c] = dot(v, m.columns[c]);
  return out;
}
template <typename T, int K, int R, int C> inline matrix<T, C, R> operator*(matrix<T, K, R> a, matrix<T, C, K> b) {
  matrix<T, C, R> out;
  for (int c = 0; c < C; c++) out.columns[c] = a * b.columns[c];
  return out;
}
template <typename T, int C, int R> inline matrix<T, C, R> operator*(matrix<T, C, R> m, T s) {
  for (int c = 0; c < C; c++) m.columns[c] *= s;
  return m;
}
template <typename T, int C, int R> inline matrix<T, C, R> operator*(T s, matrix<T, C, R> m) { return m * s; }
template <typename T, int C, int R> inline matrix<T, C, R> operator+(matrix<T, C, R> a, matrix<T, C, R> b) {
  for (int c = 0; c < C; c++) a.columns[c] += b.columns[c];
  return a;
}
template <typename T, int C, int R> inline matrix<T, C, R> operator-(matrix<T, C, R> a, matrix<T, C, R> b) {
  for (int c = 0; c < C; c++) a.columns[c] -= b.columns[c];
  return a;
}
template <typename T, int C, int R> inline matrix<T, R, C> transpose(matrix<T, C, R> m) {
  matrix<T, R, C> out;
  for (int c = 0; c < C; c++)
    for (int r = 0; r < R; r++) out.columns[r][c] = m.columns[c][r];
  return out;
}
template <typename T> inline T determinant(matrix<T, 2, 2> m) {
  return m.columns[0].x * m.columns[1].y - m.columns[1].x * m.columns[0].y;
}
template <typename T> inline T determinant(matrix<T, 3, 3> m) {
  return dot(m.columns[0], cross(m.columns[1], m.columns[2]));
}

} // namespace metal

#define METAL_MATRICES(T)                \
  typedef metal::matrix<T, 2, 2> T##2x2; \
  typedef metal::matrix<T, 2, 3> T##2x3; \
  typedef metal::matrix<T, 2, 4> T##2x4; \
  typedef metal::matrix<T, 3, 2> T##3x2; \
  typedef metal::matrix<T, 3, 3> T##3x3; \
  typedef metal::matrix<T, 3, 4> T##3x4; \
  typedef metal::matrix<T, 4, 2> T##4x2; \
  typedef metal::matrix<T, 4, 3> T##4x3; \
  typedef metal::matrix<T, 4, 4> T##4x4
METAL_MATRICES(float);
METAL_MATRICES(half);
#undef METAL_MATRICES
#endif

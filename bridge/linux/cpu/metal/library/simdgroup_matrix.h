/*
 * simdgroup_matrix.h: 8 x 8 matrices shared by a SIMD group.
 *
 * All lanes execute these functions together, so one lane can do the work of all: lane 0 holds the whole matrix, and
 * the others pass by without waiting. Only thread_elements(), which lets every lane see and change its two elements,
 * has to bring the lanes together; the compiler driver defines METAL_THREAD_ELEMENTS where a source mentions it,
 * since the mere possibility costs every matrix a flag.
 */
#ifndef BUN_METAL_SIMDGROUP_MATRIX_H
#define BUN_METAL_SIMDGROUP_MATRIX_H

/* Lanes other than 0 have only a comparison to do, so that is inlined, and the work of lane 0 is not: loops over
 * matrices stay small enough to be unrolled. */
#define METAL_MATRIX __attribute__((always_inline)) inline

namespace metal {
namespace detail {

typedef float MatrixRow __attribute__((ext_vector_type(8)));

/** Where lane l's first element is (the second is beside it), as observed on Apple7 to Apple9. */
inline uint fragmentRow(uint l) { return l / 4 / 4 * 4 + l / 2 % 4; }
inline uint fragmentColumn(uint l) { return (l / 4 & 2) * 2 + l % 2 * 2; }

template <typename T> inline MatrixRow roundedRow(MatrixRow v) {
  if constexpr (is_same_v<T, half>) {
    typedef half HalfRow __attribute__((ext_vector_type(8)));
    return __builtin_convertvector(__builtin_convertvector(v, HalfRow), MatrixRow);
  } else {
    return v;
  }
}

} // namespace detail

template <typename T, int Columns = 8, int Rows = 8> struct simdgroup_matrix {
  static_assert(is_same_v<T, float> || is_same_v<T, half>, "a simdgroup_matrix is of float or half on this device");
  static_assert(Columns == 8 && Rows == 8, "a simdgroup_matrix is 8 x 8");

  detail::MatrixRow rows[8]; /* of lane 0; undefined in the others */

  simdgroup_matrix() = default;
  /** A diagonal matrix. */
  METAL_MATRIX explicit simdgroup_matrix(T diagonal) {
    if (detail::Lane().index == 0)
      for (int r = 0; r < 8; r++) {
        detail::MatrixRow row = (detail::MatrixRow)(0.0f);
        row[r] = (float)diagonal;
        rows[r] = row;
      }
  }

#if defined(METAL_THREAD_ELEMENTS)
  vec<T, 2> elements; /* from a call of thread_elements() on, until its changes are gathered */
  bool spread = false;

  /** This lane's two elements. They may be changed until the next simdgroup function that takes the matrix. */
  thread vec<T, 2> &thread_elements() thread {
    detail::Lane lane;
    if (!spread) {
      if (lane.index == 0) lane.group->leader = (ulong)&rows;
      lane.arrive();
      const detail::MatrixRow *whole = (const detail::MatrixRow *)lane.group->leader;
      const uint row = detail::fragmentRow(lane.index), column = detail::fragmentColumn(lane.index);
      elements = vec<T, 2>{(T)whole[row][column], (T)whole[row][column + 1]};
      lane.arrive();
      spread = true;
    }
    return elements;
  }
  const thread vec<T, 2> &thread_elements() const thread {
    return const_cast<thread simdgroup_matrix *>(this)->thread_elements();
  }

  /** Brings changes made through thread_elements() back to lane 0. */
  METAL_MATRIX void gather() const {
    if (spread) ((thread simdgroup_matrix *)this)->gatherElements();
  }
  METAL_MATRIX void overwritten() { spread = false; }

private:
  __attribute__((noinline)) void gatherElements() thread {
    spread = false;
    detail::Lane lane;
    lane.in<vec<T, 2>>()[lane.index] = elements;
    const uint active = lane.arrive();
    if (active != 0) lane.group->result = active;
    /* lane 0 does not have to be the one that computes, but it is the one that holds the rows */
    if (lane.index == 0) {
      const uint mask = (uint)lane.group->result;
      for (uint l = 0; l < CpuSimdWidth; l++)
        if (mask >> l & 1) {
          const vec<T, 2> pair = lane.in<vec<T, 2>>()[l];
          rows[detail::fragmentRow(l)][detail::fragmentColumn(l)] = (float)pair[0];
          rows[detail::fragmentRow(l)][detail::fragmentColumn(l) + 1] = (float)pair[1];
        }
    }
    lane.arrive();
  }
#else
  METAL_MATRIX void gather() const {}
  METAL_MATRIX void overwritten() {}
#endif
};

typedef simdgroup_matrix<float, 8, 8> simdgroup_float8x8;
typedef simdgroup_matrix<half, 8, 8> simdgroup_half8x8;

namespace detail {

/** Rows to columns: three rounds of exchanges, of single elements, of pairs, of halves. */
inline void transposeRows(MatrixRow *m) {
  MatrixRow t[8];
  for (int i = 0; i < 8; i += 2) {
    t[i] = __builtin_shufflevector(m[i], m[i + 1], 0, 8, 2, 10, 4, 12, 6, 14);
    t[i + 1] = __builtin_shufflevector(m[i], m[i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
  }
  for (int i = 0; i < 8; i += 4)
    for (int k = i; k < i + 2; k++) {
      m[k] = __builtin_shufflevector(t[k], t[k + 2], 0, 1, 8, 9, 4, 5, 12, 13);
      m[k + 2] = __builtin_shufflevector(t[k], t[k + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    }
  for (int i = 0; i < 4; i++) {
    t[i] = __builtin_shufflevector(m[i], m[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    t[i + 4] = __builtin_shufflevector(m[i], m[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
  for (int i = 0; i < 8; i++) m[i] = t[i];
}

template <typename T> METAL_FOR_ALL void loadRows(MatrixRow *rows, const T *source, ulong stride, bool transpose) {
  typedef T Loaded __attribute__((ext_vector_type(8), aligned(alignof(T))));
  MatrixRow m[8];
  for (int r = 0; r < 8; r++) {
    if constexpr (is_same_v<T, float>)
      m[r] = *(const Loaded *)(source + r * stride);
    else
      m[r] = __builtin_convertvector(*(const Loaded *)(source + r * stride), MatrixRow);
  }
  if (transpose) transposeRows(m);
  for (int r = 0; r < 8; r++) rows[r] = m[r];
}

template <typename T>
METAL_FOR_ALL void storeRows(const MatrixRow *rows, T *destination, ulong stride, bool transpose) {
  typedef T Stored __attribute__((ext_vector_type(8), aligned(alignof(T))));
  MatrixRow m[8];
  for (int r = 0; r < 8; r++) m[r] = rows[r];
  if (transpose) transposeRows(m);
  for (int r = 0; r < 8; r++) {
    if constexpr (is_same_v<T, float>)
      *(Stored *)(destination + r * stride) = m[r];
    else
      *(Stored *)(destination + r * stride) = __builtin_convertvector(m[r], Stored);
  }
}

/** d = a * b + c, where d may be any of them. */
template <typename D>
METAL_FOR_ALL void multiplyRows(MatrixRow *d, const MatrixRow *a, const MatrixRow *b, const MatrixRow *c) {
  MatrixRow result[8];
  for (int r = 0; r < 8; r++) {
    MatrixRow sum = c[r];
    for (int k = 0; k < 8; k++) sum = multiplyAdd((MatrixRow)(a[r][k]), b[k], sum);
    result[r] = roundedRow<D>(sum);
  }
  for (int r = 0; r < 8; r++) d[r] = result[r];
}

template <typename T> METAL_FOR_ALL void fillRows(MatrixRow *rows, T value) {
  for (int r = 0; r < 8; r++) rows[r] = (MatrixRow)((float)value);
}

template <typename T, typename Source>
METAL_MATRIX void loadMatrix(thread simdgroup_matrix<T> &m, Source source, ulong stride, bool transpose) {
  if (Lane().index == 0) loadRows<T>(m.rows, source, stride, transpose);
}

template <typename T, typename Destination>
METAL_MATRIX void storeMatrix(const simdgroup_matrix<T> &m, Destination destination, ulong stride, bool transpose) {
  if (Lane().index == 0) storeRows<T>(m.rows, destination, stride, transpose);
}

template <typename T> METAL_MATRIX void fillMatrix(thread simdgroup_matrix<T> &m, T value) {
  if (Lane().index == 0) fillRows<T>(m.rows, value);
}

/** d = a * b + c, of which all have been gathered; d may be c. */
template <typename D, typename A, typename B, typename C>
METAL_MATRIX void multiplyMatrices(thread simdgroup_matrix<D> &d, const simdgroup_matrix<A> &a, const simdgroup_matrix<B> &b,
                                   const simdgroup_matrix<C> &c) {
  d.overwritten();
  if (Lane().index == 0) multiplyRows<D>(d.rows, a.rows, b.rows, c.rows);
}

} // namespace detail
} // namespace metal
#endif

/*
 * simdgroup_matrix.h: 8 x 8 matrices shared by a SIMD group. Lane l holds the elements of row l / 4 in columns
 * 2 (l % 4) and the one beside it: what tensor cores take and give (PTX ISA, mma.m16n8k8).
 *
 * Every matrix is kept with its transpose, since a factor on the right is taken by columns. What is not needed of the two
 * the compiler leaves out, loads and instructions alike.
 */
#ifndef BUN_METAL_SIMDGROUP_MATRIX_H
#define BUN_METAL_SIMDGROUP_MATRIX_H

#define METAL_MATRIX __attribute__((always_inline)) inline

namespace metal {
namespace detail {

METAL_MATRIX uint matrixRow() { return Lane().index / 4; }
METAL_MATRIX uint matrixColumn() { return Lane().index % 4 * 2; }

/** Two numbers of 16 bits of each lane's row become those of its column. */
METAL_MATRIX uint transposeWords(uint pair) {
  uint result;
  __asm__("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(result) : "r"(pair));
  return result;
}
METAL_MATRIX half2 transposed(half2 v) { return __builtin_astype(transposeWords(__builtin_astype(v, uint)), half2); }
METAL_MATRIX float2 transposed(float2 v) {
  const uint x = __builtin_astype(v.x, uint), y = __builtin_astype(v.y, uint);
  const uint low = transposeWords((x & 0xffff) | y << 16), high = transposeWords(x >> 16 | (y & 0xffff0000));
  return float2{__builtin_astype((low & 0xffff) | high << 16, float),
                __builtin_astype(low >> 16 | (high & 0xffff0000), float)};
}

} // namespace detail

template <typename T, int Columns = 8, int Rows = 8> struct simdgroup_matrix {
  static_assert(is_same_v<T, float> || is_same_v<T, half>, "a simdgroup_matrix is of float or half on this device");
  static_assert(Columns == 8 && Rows == 8, "a simdgroup_matrix is 8 x 8");

  vec<T, 2> own;       /* of the matrix: row matrixRow(), from column matrixColumn() on */
  vec<T, 2> ofColumns; /* of its transpose */

  simdgroup_matrix() = default;
  /** A diagonal matrix. */
  METAL_MATRIX explicit simdgroup_matrix(T diagonal) {
    const uint row = detail::matrixRow(), column = detail::matrixColumn();
    own = ofColumns = vec<T, 2>{column == row ? diagonal : (T)0, column + 1 == row ? diagonal : (T)0};
  }

#if defined(METAL_THREAD_ELEMENTS)
  vec<T, 2> elements; /* from a call of thread_elements() on, until its changes are gathered */
  bool spread = false;

  /**
   * This lane's two elements, by the layout observed on Apple7 to Apple9: they are a pair of neighbours there, too, which
   * is another lane's here. They may be changed until the next simdgroup function that takes the matrix.
   */
  METAL_MATRIX thread vec<T, 2> &thread_elements() thread {
    if (!spread) {
      const uint lane = detail::Lane().index;
      const uint row = lane / 16 * 4 + lane / 2 % 4, column = (lane / 4 & 2) * 2 + lane % 2 * 2;
      elements = detail::fromLane(own, detail::AllLanes, row * 4 + column / 2);
      spread = true;
    }
    return elements;
  }
  METAL_MATRIX const thread vec<T, 2> &thread_elements() const thread {
    return const_cast<thread simdgroup_matrix *>(this)->thread_elements();
  }

  /** Takes over changes made through thread_elements(). */
  METAL_MATRIX void gather() const { ((thread simdgroup_matrix *)this)->gatherElements(); }
  METAL_MATRIX void overwritten() { spread = false; }

private:
  METAL_MATRIX void gatherElements() thread {
    if (!spread) return;
    spread = false;
    const uint row = detail::matrixRow(), pair = detail::matrixColumn() / 2;
    own = detail::fromLane(elements, detail::AllLanes, row / 4 * 16 + pair / 2 * 8 + row % 4 * 2 + pair % 2);
    ofColumns = detail::transposed(own);
  }
#else
  METAL_MATRIX void gather() const {}
  METAL_MATRIX void overwritten() {}
#endif
};

typedef simdgroup_matrix<float, 8, 8> simdgroup_float8x8;
typedef simdgroup_matrix<half, 8, 8> simdgroup_half8x8;

namespace detail {

/** The upper 19 bits of a number, which tensor cores take of it, rounded. */
METAL_MATRIX uint leadingBits(float x) { return (__builtin_astype(x, uint) + 0x1000) & 0xffffe000; }

/**
 * Products of 8 x 8 matrices of float: both are split into a leading and a remaining part, x = high + low, of 11 bits each
 * at least. One instruction multiplies 16 rows, the leading parts of a's in the upper half and the remaining ones in the
 * lower; so two, one for each part of b, make all four products, which add up to those of 22 bits. Sums over the 8 products
 * begin at 0 here, and are added to others as floats: tensor cores cut off what they add to larger sums.
 *
 * Slot k of a's columns and of b's rows is element 2 k of the sum for k < 4, and 2 (k - 4) + 1 for the others.
 */
METAL_MATRIX float2 matrixProducts(float2 a, float2 bOfColumns) {
  const uint a0 = leadingBits(a.x), a2 = leadingBits(a.y);
  const float a1 = a.x - __builtin_astype(a0, float), a3 = a.y - __builtin_astype(a2, float);
  const uint b0 = leadingBits(bOfColumns.x), b1 = leadingBits(bOfColumns.y);
  const float low0 = bOfColumns.x - __builtin_astype(b0, float), low1 = bOfColumns.y - __builtin_astype(b1, float);
  float4 d, e;
  __asm__("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
          "{%10, %10, %10, %10};"
          : "=f"(d.x), "=f"(d.y), "=f"(d.z), "=f"(d.w)
          : "r"(a0), "r"(__builtin_astype(a1, uint)), "r"(a2), "r"(__builtin_astype(a3, uint)),
            "r"(__builtin_astype(low0, uint)), "r"(__builtin_astype(low1, uint)), "f"(0.0f));
  __asm__("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
          "{%10, %11, %12, %13};"
          : "=f"(e.x), "=f"(e.y), "=f"(e.z), "=f"(e.w)
          : "r"(a0), "r"(__builtin_astype(a1, uint)), "r"(a2), "r"(__builtin_astype(a3, uint)), "r"(b0), "r"(b1),
            "f"(d.x), "f"(d.y), "f"(d.z), "f"(d.w));
  return e.xy + e.zw;
}

/** Of half: products are exact, sums are made in float. The lower half of the 16 rows is 0. */
METAL_MATRIX float2 matrixProducts(half2 a, half2 bOfColumns) {
  float4 d;
  __asm__("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%7, %7, %7, %7};"
          : "=f"(d.x), "=f"(d.y), "=f"(d.z), "=f"(d.w)
          : "r"(__builtin_astype(a, uint)), "r"(0), "r"(__builtin_astype(bOfColumns, uint)), "f"(0.0f));
  return d.xy;
}
METAL_MATRIX float2 matrixProducts(float2 a, half2 b) { return matrixProducts(a, convert<float2>(b)); }
METAL_MATRIX float2 matrixProducts(half2 a, float2 b) { return matrixProducts(convert<float2>(a), b); }

template <typename T, typename Source>
METAL_MATRIX void loadMatrix(thread simdgroup_matrix<T> &m, Source source, ulong stride, bool transpose) {
  const Source along = source + matrixRow() * stride + matrixColumn(), across = source + matrixColumn() * stride + matrixRow();
  const vec<T, 2> inRows = {along[0], along[1]}, inColumns = {across[0], across[stride]};
  m.own = transpose ? inColumns : inRows;
  m.ofColumns = transpose ? inRows : inColumns;
}

template <typename T, typename Destination>
METAL_MATRIX void storeMatrix(const simdgroup_matrix<T> &m, Destination destination, ulong stride, bool transpose) {
  const ulong row = matrixRow(), column = matrixColumn();
  const Destination first = destination + (transpose ? column * stride + row : row * stride + column);
  first[0] = m.own.x;
  first[transpose ? stride : 1] = m.own.y;
}

template <typename T> METAL_MATRIX void fillMatrix(thread simdgroup_matrix<T> &m, T value) {
  m.own = m.ofColumns = vec<T, 2>{value, value};
}

/** d = a * b + c, of which all have been gathered; d may be any of them. */
template <typename D, typename A, typename B, typename C>
METAL_MATRIX void multiplyMatrices(thread simdgroup_matrix<D> &d, const simdgroup_matrix<A> &a, const simdgroup_matrix<B> &b,
                                   const simdgroup_matrix<C> &c) {
  const float2 sums = convert<float2>(c.own) + matrixProducts(a.own, b.ofColumns);
  d.overwritten();
  d.own = convert<vec<D, 2>>(sums);
  d.ofColumns = transposed(d.own);
}

} // namespace detail
} // namespace metal
#endif

/*
 * matmul.cu: matrix-matrix products on tensor cores, in place of shaders/matmul.metal.
 *
 * A block makes a tile of 128 rows by 64, 128 or 256 outputs, or its sums over a part of k, in steps of 64 elements. Sums are
 * floats in the registers of 8 warps. Tiles of x are copied asynchronously, some steps ahead. So are weights in halves or
 * bfloats. Of quantised ones segments of 256 elements are copied as they are, into one of two places, and while a step is
 * multiplied, the weights of the next become halves, once for the whole block. Where four warps multiply together (wgmma), other
 * 8 warps do that.
 *
 * Quantised weights become halves times a power of two, 2^4 at first: weights up to 2000 fit then, and those of 2^-18 or more
 * have all of their bits; smaller ones have an error of 2^-29. A block in whose tile there are larger ones, or none above 2^-14,
 * finds that out by the way, and makes its tile once more with the power that fits its largest.
 *
 * Weights in bfloats are multiplied with both bfloats of x (matmul_rows.h), floats as two bfloats with both but for the least
 * product, which leaves 16 bits: halves would not have their range.
 */
#include "matmul_block.h"

MATMUL(f32, FloatWeights, 64, 1)
MATMUL(bf16, CopiedWeights<true>, 64, 1)
MATMUL(f16, CopiedWeights<false>, 64, 2)
MATMUL(f16, CopiedWeights<false>, 128, HasGroupProducts ? 2 : 1)
MATMUL_GROUPS(f16, CopiedWeights<false>, 256, 1)

MATMUL_BOTH(q4_0, QuantisedWeights<Q4_0>)
MATMUL_BOTH(q8_0, QuantisedWeights<Q8_0>)
MATMUL_BOTH(q4_k, QuantisedWeights<Q4_K>)
MATMUL_BOTH(q5_k, QuantisedWeights<Q5_K>)
MATMUL_BOTH(q6_k, QuantisedWeights<Q6_K>)
MATMUL(q4_1, QuantisedWeights<Q4_1>, 64, 2)
MATMUL(q5_0, QuantisedWeights<Q5_0>, 64, 2)
MATMUL(q5_1, QuantisedWeights<Q5_1>, 64, 2)
MATMUL(q2_k, QuantisedWeights<Q2_K>, 64, 2)
MATMUL(q3_k, QuantisedWeights<Q3_K>, 64, 2)
MATMUL(iq4_nl, QuantisedWeights<IQ4_NL>, 64, 2)
MATMUL(iq4_xs, QuantisedWeights<IQ4_XS>, 64, 2)
MATMUL(mxfp4, QuantisedWeights<MXFP4>, 64, 2)

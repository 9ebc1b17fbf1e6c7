/*
 * matvec_fused.metal: matrix-vector products with what stands before and after them in a layer, for the work of one token:
 * each dispatch less is one wait for the whole device less.
 *
 * Before: x is normalised (see norm.metal). The factor 1 / sqrt(mean(x^2) + eps) is the same for all elements, so the sums
 * are made of w * (x * weight of the norm), and multiplied by it at the end. Each SIMD group adds up the squares of x while
 * it reads x anyway.
 * After: a residual is added, or the sums of a second matrix are multiplied by an activation of the first one's.
 */
#include "activation.h"
#include "matvec.h"

/** What x goes through on its way into a product. */
struct Input {
  device const F32 *x;
  device const F32 *norm; // weights of the norm
  bool normalises;
};

inline Chunk load16(Input input, uint i, thread float4 &squares) {
  Chunk activations = load16(input.x, i);
  if (!input.normalises) return activations;
  const Chunk norm = load16(input.norm, i);
  for (uint c = 0; c < 4; ++c) {
    squares = fma(activations.values[c], activations.values[c], squares);
    activations.values[c] *= norm.values[c];
  }
  return activations;
}

/** One matrix's sums over the row, and the sum of the squares of x where it is normalised. */
template <typename Block> struct FusedSums {
  OutputRows<Block> weights;
  float4 sums[MatvecOutputs];
};

template <typename Block>
inline void accumulate(thread FusedSums<Block> &product, Chunk activations, uint i) {
  for (uint o = 0; o < MatvecOutputs; ++o) {
    product.sums[o] = multiply_accumulate(load16(product.weights.rows[o], i), activations, product.sums[o]);
  }
}

/** An element of the end of a row, after its last whole chunk. */
template <typename Block> inline void accumulate(thread FusedSums<Block> &product, float activation, uint i) {
  for (uint o = 0; o < MatvecOutputs; ++o) product.sums[o].x += element(product.weights.rows[o], i) * activation;
}

template <typename Block> inline FusedSums<Block> start_sums(device const Block *w, uint first, uint n, uint k) {
  FusedSums<Block> product;
  product.weights = output_rows(w, first, n, k);
  for (uint o = 0; o < MatvecOutputs; ++o) product.sums[o] = 0.0f;
  return product;
}

inline float4 activate(float4 gates, uint ending) {
  float4 result;
  for (uint o = 0; o < MatvecOutputs; ++o) result[o] = ending == EndingSilu ? silu(gates[o]) : gelu(gates[o]);
  return result;
}

/**
 * out[r] = w h + residual[r], or activation(w h) * (second h), where h is x[r], or its norm times the norm's weights.
 * Reads w [n, k], second [n, k] where the ending is an activation, x [rows, k], norm [k] where x is normalised, and
 * residual [rows, n] where it is added; writes out [rows, n]. What is not read may be any memory.
 */
template <typename Block>
[[kernel]] void matvec_fused(device const Block *w [[buffer(0)]],
                             device const Block *second [[buffer(1)]],
                             device const F32 *x [[buffer(2)]],
                             device const F32 *norm [[buffer(3)]],
                             device const float *residual [[buffer(4)]],
                             device float *out [[buffer(5)]],
                             constant FusedMatrixArgs &args [[buffer(6)]],
                             uint2 group [[threadgroup_position_in_grid]],
                             uint2 threads [[threads_per_threadgroup]],
                             uint lane [[thread_index_in_simdgroup]],
                             uint simdgroup [[simdgroup_index_in_threadgroup]],
                             uint simdgroups [[simdgroups_per_threadgroup]]) {
  const uint lanes = threads.x / simdgroups;
  const uint first = (group.x * simdgroups + simdgroup) * MatvecOutputs;
  const bool isGated = args.ending >= EndingSilu;
  const Input input = {x + ulong(group.y) * args.k, norm, args.normalises != 0};
  FusedSums<Block> product = start_sums(w, first, args.n, args.k);
  FusedSums<Block> factor = start_sums(isGated ? second : w, first, args.n, args.k);

  float4 squares = 0.0f;
  for (uint i = lane * ChunkSize; i + ChunkSize <= args.k; i += lanes * ChunkSize) {
    const Chunk activations = load16(input, i, squares);
    accumulate(product, activations, i);
    if (isGated) accumulate(factor, activations, i);
  }
  if (Block::elements == 1) { // whole blocks are whole chunks
    for (uint i = args.k / ChunkSize * ChunkSize + lane; i < args.k; i += lanes) {
      float activation = element(input.x, i);
      if (input.normalises) {
        squares.x += activation * activation;
        activation *= element(input.norm, i);
      }
      accumulate(product, activation, i);
      if (isGated) accumulate(factor, activation, i);
    }
  }

  float4 totals = simd_sum(sums_of(product.sums));
  float4 factors = isGated ? simd_sum(sums_of(factor.sums)) : 0.0f;
  if (input.normalises) {
    const float scale = precise::rsqrt(simd_sum(sum_of(squares)) / float(args.k) + args.eps);
    totals *= scale;
    factors *= scale;
  }
  if (lane != 0) return;
  const ulong row = ulong(group.y) * args.n;
  if (isGated) totals = activate(totals, args.ending) * factors;
  for (uint o = 0; o < MatvecOutputs && first + o < args.n; ++o) {
    out[row + first + o] = args.ending == EndingAdd ? totals[o] + residual[row + first + o] : totals[o];
  }
}

#define MATVEC_FUSED(Block, name)                                                                                      \
  template [[host_name("matvec_fused_" #name)]] [[kernel]] decltype(matvec_fused<Block>) matvec_fused<Block>;
WEIGHT_TYPES(MATVEC_FUSED)

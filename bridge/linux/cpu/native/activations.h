/*
 * activations.h: rows of activations as whole numbers of 16 bits, for products with quantised weights. Part of level.h.
 *
 * The weights of a block are whole numbers of at most 8 bits times a scale, and so the sum over a block is one of whole
 * numbers, which processors make several times as fast as one of floats, if the activations are whole numbers, too. Blocks
 * of 32 elements have a scale of their own, so that an error is at most 2^-16 of the block's largest element. (llama.cpp
 * takes 8 bits here: 2^-8.)
 *
 * A quant is 256 high + low with both in -128 .. 127, so that instructions for products of bytes can take the halves.
 */
enum : uint32_t { ActivationBlock = 32 };
constexpr float LargestActivation = 32639.0f; // 127 * 256 + 127

/**
 * x[i] is quants[i] * scales[i / 32], of `n` elements, whole blocks. A block with an infinity or a NaN has the scale NaN, and
 * so has all that is made of it.
 */
static inline void quantise(const float *x, uint32_t n, int16_t *quants, float *scales) {
  for (uint32_t block = 0; block < n / ActivationBlock; block++, x += ActivationBlock, quants += ActivationBlock) {
    Floats most = {}, nothing = {};
    for (uint32_t i = 0; i < ActivationBlock; i += Lanes) {
      const Floats v = load_f32(x + i);
      most = maximum(most, magnitude(v));
      nothing += v * 0.0f;
    }
    const float largest = maximum_of(most);
    scales[block] = largest / LargestActivation + sum_of(nothing);
    const float inverse = largest > 1e-30f && scales[block] == scales[block] ? LargestActivation / largest : 0.0f;
    for (uint32_t i = 0; i < ActivationBlock; i += Lanes) {
      // The half is rounded away by the conversion, which cuts off; what is not finite becomes 0.
      const Floats scaled = load_f32(x + i) * inverse;
      const Floats rounded = scaled + (Floats)(((Ints)scaled & int32_t(0x80000000)) | (Ints)splat(0.5f));
      const Ints whole = __builtin_convertvector(inverse > 0.0f ? rounded : Floats{}, Ints);
      store(quants + i, __builtin_convertvector(whole, HalfShorts));
    }
  }
}
